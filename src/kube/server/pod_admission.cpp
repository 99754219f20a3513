// Pods: the account they act as, the token they find in their file system, how long they tolerate a
// lost node, and their priority (kube-apiserver's ServiceAccount, DefaultTolerationSeconds and
// Priority admission).

#include <fmt/format.h>

#include "admission.h"
#include "cloudlet/base/id.h"

namespace cloudlet::kube::server {

namespace {

constexpr std::string_view token_mount = "/var/run/secrets/kubernetes.io/serviceaccount";
constexpr int64_t token_seconds = 3607; // an hour, and the odd seconds that mark an injected token
constexpr int64_t toleration_seconds = 300;

Json token_volume(std::string_view name) {
    Json token =
        Json::object({{"serviceAccountToken",
                       Json::object({{"expirationSeconds", token_seconds}, {"path", "token"}})}});
    Json ca_item = Json::object({{"key", "ca.crt"}, {"path", "ca.crt"}});
    Json ca =
        Json::object({{"configMap", Json::object({{"name", "kube-root-ca.crt"},
                                                  {"items", Json::array({std::move(ca_item)})}})}});
    Json field = Json::object({{"apiVersion", "v1"}, {"fieldPath", "metadata.namespace"}});
    Json ns_item = Json::object({{"path", "namespace"}, {"fieldRef", std::move(field)}});
    Json ns = Json::object(
        {{"downwardAPI", Json::object({{"items", Json::array({std::move(ns_item)})}})}});
    Json projected =
        Json::object({{"sources", Json::array({std::move(token), std::move(ca), std::move(ns)})},
                      {"defaultMode", 420}});
    return Json::object({{"name", name}, {"projected", std::move(projected)}});
}

bool has_token_mount(const Json& container) {
    for (const Json& mount : container["volumeMounts"].items())
        if (mount["mountPath"].as_string() == token_mount) return true;
    return false;
}

void add_token(Json& spec) {
    bool wanted = false;
    for (std::string_view list : {"containers", "initContainers"})
        for (const Json& container : spec[list].items()) wanted |= !has_token_mount(container);
    if (!wanted) return;

    const std::string volume = "kube-api-access-" + new_name_suffix(5);
    spec.ensure("volumes").push_back(token_volume(volume));
    for (std::string_view list : {"initContainers", "containers"}) {
        if (!spec[list].is_array()) continue;
        for (Json& container : spec.find_mutable(list)->mutable_items()) {
            if (has_token_mount(container)) continue;
            container.ensure("volumeMounts")
                .push_back(Json::object(
                    {{"name", volume}, {"readOnly", true}, {"mountPath", token_mount}}));
        }
    }
}

Outcome<> admit_account(Core& core, const Target& target, std::string_view pod_name, Json& spec) {
    std::string name(spec["serviceAccountName"].as_string());
    if (name.empty()) name = spec["serviceAccount"].as_string();
    if (name.empty()) name = "default";
    const ObjectPointer account =
        core.cache.of(api::resources::service_accounts).get(object_path(target.ns, name));
    if (!account)
        return refuse(forbidden(
            api::resources::pods, pod_name,
            fmt::format("error looking up service account {}/{}: serviceaccount \"{}\" not found",
                        target.ns, name, name)));
    spec.set("serviceAccountName", name).set("serviceAccount", name);
    const api::Object parsed = account->object();
    if (spec["imagePullSecrets"].empty() && !parsed["imagePullSecrets"].empty())
        spec.set("imagePullSecrets", parsed["imagePullSecrets"]);
    const bool by_account = parsed["automountServiceAccountToken"].as_bool(true);
    if (spec["automountServiceAccountToken"].as_bool(by_account)) add_token(spec);
    return {};
}

bool tolerates(const Json& toleration, std::string_view taint) {
    const std::string_view key = toleration["key"].as_string();
    const std::string_view effect = toleration["effect"].as_string();
    return (key == taint || key.empty()) && (effect.empty() || effect == "NoExecute");
}

void add_tolerations(Json& spec) {
    for (std::string_view taint :
         {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
        bool present = false;
        for (const Json& toleration : spec["tolerations"].items())
            present |= tolerates(toleration, taint);
        if (present) continue;
        spec.ensure("tolerations")
            .push_back(Json::object({{"key", taint},
                                     {"operator", "Exists"},
                                     {"effect", "NoExecute"},
                                     {"tolerationSeconds", toleration_seconds}}));
    }
}

Outcome<> admit_priority(std::string_view pod_name, Json& spec) {
    const std::string_view name = spec["priorityClassName"].as_string();
    int64_t priority = 0;
    if (name == "system-node-critical")
        priority = 2'000'001'000;
    else if (name == "system-cluster-critical")
        priority = 2'000'000'000;
    else if (!name.empty())
        return refuse(forbidden(api::resources::pods, pod_name,
                                fmt::format("no PriorityClass with name {} was found", name)));
    if (spec["priority"].is_int() && spec["priority"].as_int() != priority)
        return refuse(forbidden(
            api::resources::pods, pod_name,
            fmt::format("the integer value of priority ({}) must not be provided in pod spec; "
                        "priority admission controller computed {} from the given PriorityClass "
                        "name",
                        spec["priority"].as_int(), priority)));
    spec.set("priority", priority);
    if (!spec.contains("preemptionPolicy")) spec.set("preemptionPolicy", "PreemptLowerPriority");
    return {};
}

} // namespace

Outcome<> admit_pod(Core& core, const Target& target, Json& pod) {
    const std::string name(pod.at({"metadata", "name"}).as_string());
    if (!pod["spec"].is_object()) return {}; // validation says so
    Json& spec = *pod.find_mutable("spec");
    NEED(admit_account(core, target, name, spec));
    NEED(admit_priority(name, spec));
    add_tolerations(spec);
    return {};
}

} // namespace cloudlet::kube::server
