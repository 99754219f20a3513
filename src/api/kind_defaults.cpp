// Defaults that depend on other fields, after k8s.io/kubernetes pkg/apis/*/v1/defaults.go of 1.32.

#include "cloudlet/base/bytes.h"
#include "kind_hooks.h"

namespace cloudlet::api {

namespace {

void set_if_absent(Json& object, std::string_view key, Json value) {
    const Json* present = object.find(key);
    if (!present || present->is_null()) object.set(key, std::move(value));
}

/// Docker's reading of a reference: no tag and no digest means the tag "latest".
bool is_latest(std::string_view image) {
    if (image.find('@') != image.npos) {
        image = image.substr(0, image.find('@'));
        size_t slash = image.rfind('/');
        std::string_view last = slash == image.npos ? image : image.substr(slash + 1);
        return last.ends_with(":latest");
    }
    size_t slash = image.rfind('/');
    std::string_view last = slash == image.npos ? image : image.substr(slash + 1);
    size_t colon = last.find(':');
    return colon == last.npos || last.substr(colon + 1) == "latest";
}

void default_container(Json& container, bool host_network) {
    if (container["imagePullPolicy"].as_string().empty())
        container.set("imagePullPolicy",
                      is_latest(container["image"].as_string()) ? "Always" : "IfNotPresent");
    if (!host_network) return;
    Json* ports = container.find_mutable("ports");
    if (!ports || !ports->is_array()) return;
    for (Json& port : ports->mutable_items())
        if (port.is_object() && port["hostPort"].as_int() == 0 &&
            port["containerPort"].as_int() > 0)
            port.set("hostPort", port["containerPort"]);
}

bool has_source(const Json& volume) {
    for (const auto& member : volume.members())
        if (member.key != "name" && !member.value.is_null()) return true;
    return false;
}

void default_pod_spec(Json& spec) {
    if (!spec.is_object()) return;
    std::string account(spec["serviceAccountName"].as_string());
    if (account.empty()) account = spec["serviceAccount"].as_string();
    if (!account.empty()) spec.set("serviceAccountName", account).set("serviceAccount", account);
    bool host_network = spec["hostNetwork"].as_bool();
    for (std::string_view list : {"containers", "initContainers", "ephemeralContainers"}) {
        Json* containers = spec.find_mutable(list);
        if (!containers || !containers->is_array()) continue;
        for (Json& container : containers->mutable_items())
            if (container.is_object()) default_container(container, host_network);
    }
    Json* volumes = spec.find_mutable("volumes");
    if (!volumes || !volumes->is_array()) return;
    for (Json& volume : volumes->mutable_items())
        if (volume.is_object() && !has_source(volume)) volume.set("emptyDir", Json::object());
}

/// A limit without a request asks for as much (pods only, not templates).
void default_requests(Json& container) {
    Json* resources = container.find_mutable("resources");
    if (!resources || !resources->is_object() || !(*resources)["limits"].is_object()) return;
    const Json& given = (*resources)["requests"];
    if (!given.is_null() && !given.is_object()) return;
    const Json limits = (*resources)["limits"];
    for (const auto& limit : limits.members())
        if ((*resources)["requests"][limit.key].is_null()) {
            Json& requests = resources->ensure("requests");
            requests.set(limit.key, limit.value);
        }
}

} // namespace

void default_pod(Json& pod) {
    Json* spec = pod.find_mutable("spec");
    if (!spec || !spec->is_object()) return;
    default_pod_spec(*spec);
    set_if_absent(*spec, "enableServiceLinks", true);
    for (std::string_view list : {"containers", "initContainers"}) {
        Json* containers = spec->find_mutable(list);
        if (!containers || !containers->is_array()) continue;
        for (Json& container : containers->mutable_items())
            if (container.is_object()) default_requests(container);
    }
}

void default_pod_template_owner(Json& object) {
    Json* spec = object.find_mutable("spec");
    Json* pod_template = spec ? spec->find_mutable("template") : nullptr;
    Json* pod_spec = pod_template ? pod_template->find_mutable("spec") : nullptr;
    if (pod_spec) default_pod_spec(*pod_spec);
}

void default_deployment(Json& deployment) {
    default_pod_template_owner(deployment);
    Json* spec = deployment.find_mutable("spec");
    Json* strategy = spec ? spec->find_mutable("strategy") : nullptr;
    if (!strategy || !strategy->is_object() || (*strategy)["type"].as_string() != "RollingUpdate")
        return;
    set_if_absent(*strategy, "rollingUpdate", Json::object());
    Json* rolling = strategy->find_mutable("rollingUpdate");
    if (!rolling->is_object()) return;
    set_if_absent(*rolling, "maxUnavailable", "25%");
    set_if_absent(*rolling, "maxSurge", "25%");
}

void default_secret(Json& secret) {
    const Json texts = secret["stringData"];
    secret.erase("stringData"); // written only, never kept
    for (const auto& text : texts.members()) {
        Json& data = secret.ensure("data");
        if (data.is_object() || data.is_null())
            data.set(text.key, to_base64(text.value.as_string()));
    }
}

void default_namespace(Json& ns) {
    Json* metadata = ns.find_mutable("metadata");
    if (!metadata || !metadata->is_object() || (*metadata)["name"].as_string().empty()) return;
    Json& labels = metadata->ensure("labels");
    if (labels.is_null() || labels.is_object())
        labels.set("kubernetes.io/metadata.name", (*metadata)["name"]);
}

void default_node(Json& node) {
    Json* status = node.find_mutable("status");
    if (!status || !(*status)["capacity"].is_object()) return;
    if ((*status)["allocatable"].is_null()) status->set("allocatable", (*status)["capacity"]);
}

} // namespace cloudlet::api
