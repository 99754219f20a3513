// ConfigMap, Secret, Event, Node, Binding and TokenRequest.

#include <array>

#include "cloudlet/api/names.h"
#include "cloudlet/api/quantity.h"
#include "kind_hooks.h"

namespace cloudlet::api {

namespace {

constexpr size_t max_config_bytes = 1024 * 1024;

void validate_keys(const Json& data, const std::string& path, FieldErrors& errors) {
    for (const auto& member : data.members())
        if (auto complaint = check_config_key(member.key))
            errors.push_back(
                FieldError::invalid(path + "[" + member.key + "]", member.key, *complaint));
}

size_t decoded_size(const Json& base64) { return base64.as_string().size() / 4 * 3; }

/// What may not change once `immutable` is set.
void validate_frozen(const Json& object, const Json& old,
                     std::initializer_list<std::string_view> fields, FieldErrors& errors) {
    if (!old["immutable"].as_bool()) return;
    constexpr std::string_view text = "field is immutable when `immutable` is set";
    if (!object["immutable"].as_bool())
        errors.push_back(FieldError::forbidden("immutable", std::string(text)));
    for (std::string_view field : fields)
        if (object[field] != old[field] && object[field].size() + old[field].size() > 0)
            errors.push_back(FieldError::forbidden(std::string(field), std::string(text)));
}

struct SecretRule {
    std::string_view type, key;
};
constexpr std::array secret_rules{
    SecretRule{"kubernetes.io/dockercfg", ".dockercfg"},
    SecretRule{"kubernetes.io/dockerconfigjson", ".dockerconfigjson"},
    SecretRule{"kubernetes.io/ssh-auth", "ssh-privatekey"},
    SecretRule{"kubernetes.io/tls", "tls.crt"},
    SecretRule{"kubernetes.io/tls", "tls.key"},
};

} // namespace

void validate_config_map(const Json& object, FieldErrors& errors) {
    size_t total = 0;
    validate_keys(object["data"], "data", errors);
    for (const auto& member : object["data"].members()) {
        total += member.value.as_string().size();
        if (object["binaryData"].contains(member.key))
            errors.push_back(FieldError::invalid("data[" + member.key + "]", member.key,
                                                 "duplicate of key present in binaryData"));
    }
    validate_keys(object["binaryData"], "binaryData", errors);
    for (const auto& member : object["binaryData"].members()) total += decoded_size(member.value);
    if (total > max_config_bytes) errors.push_back(FieldError::too_long("", max_config_bytes));
}

void validate_config_map_change(const Json& object, const Json& old, FieldErrors& errors) {
    validate_frozen(object, old, {"data", "binaryData"}, errors);
}

void validate_secret(const Json& object, FieldErrors& errors) {
    size_t total = 0;
    validate_keys(object["data"], "data", errors);
    for (const auto& member : object["data"].members()) total += decoded_size(member.value);
    if (total > max_config_bytes) errors.push_back(FieldError::too_long("data", max_config_bytes));
    std::string_view type = object["type"].as_string();
    for (const SecretRule& rule : secret_rules)
        if (rule.type == type && !object["data"].contains(rule.key))
            errors.push_back(FieldError::required("data[" + std::string(rule.key) + "]"));
    if (type == "kubernetes.io/basic-auth" && !object["data"].contains("username") &&
        !object["data"].contains("password")) {
        errors.push_back(FieldError::required("data[username]"));
        errors.push_back(FieldError::required("data[password]"));
    }
    constexpr std::string_view account = "kubernetes.io/service-account.name";
    if (type == "kubernetes.io/service-account-token" &&
        object["metadata"]["annotations"][account].as_string().empty())
        errors.push_back(
            FieldError::required("metadata.annotations[" + std::string(account) + "]"));
}

void validate_secret_change(const Json& object, const Json& old, FieldErrors& errors) {
    validate_frozen(object, old, {"data"}, errors);
}

void validate_event(const Json& event, FieldErrors& errors) {
    std::string_view ns = event["metadata"]["namespace"].as_string();
    const Json& about = event["involvedObject"]["namespace"];
    bool good = about.as_string().empty() ? ns == "default" || ns == "kube-system"
                                          : about.as_string() == ns;
    if (!good)
        errors.push_back(FieldError::invalid("involvedObject.namespace",
                                             about.is_null() ? Json("") : about,
                                             "does not match event.namespace"));
}

void validate_node(const Json& node, FieldErrors& errors) {
    for (std::string_view list : {"capacity", "allocatable"})
        for (const auto& entry : node["status"][list].members()) {
            auto amount = Quantity::parse(entry.value.as_string());
            if (amount && amount->is_negative())
                errors.push_back(
                    FieldError::invalid("status." + std::string(list) + "." + entry.key,
                                        entry.value, "must be greater than or equal to 0"));
        }
    const auto& taints = node["spec"]["taints"].items();
    for (size_t i = 0; i < taints.size(); ++i)
        for (size_t j = 0; j < i; ++j)
            if (taints[i]["key"] == taints[j]["key"] && taints[i]["effect"] == taints[j]["effect"])
                errors.push_back(FieldError::duplicate(at("spec.taints", i), taints[i]));
}

void validate_node_change(const Json& node, const Json& old, FieldErrors& errors) {
    for (std::string_view field : {"podCIDR", "podCIDRs", "providerID"}) {
        const Json& before = old["spec"][field];
        bool was_set = before.is_string() ? !before.as_string().empty() : before.size() > 0;
        if (was_set && node["spec"][field] != before)
            errors.push_back(FieldError::forbidden(
                "spec." + std::string(field), "node updates may not change it once it is set"));
    }
}

void validate_binding(const Json& binding, FieldErrors& errors) {
    const Json& target = binding["target"];
    constexpr std::array<std::string_view, 2> kinds{"Node", "<empty>"};
    if (!target["kind"].as_string().empty() && target["kind"].as_string() != "Node")
        errors.push_back(FieldError::not_supported("target.kind", target["kind"], kinds));
    if (target["name"].as_string().empty()) errors.push_back(FieldError::required("target.name"));
}

void validate_token_request(const Json& request, FieldErrors& errors) {
    const Json& seconds = request["spec"]["expirationSeconds"];
    constexpr int64_t least = 10 * 60;
    if (seconds.is_int() && seconds.as_int() < least)
        errors.push_back(FieldError::invalid("spec.expirationSeconds", seconds,
                                             "may not specify a duration less than 10 minutes"));
    if (seconds.as_int() > (int64_t{1} << 32))
        errors.push_back(
            FieldError::invalid("spec.expirationSeconds", seconds,
                                "may not specify a duration larger than 2^32 seconds"));
}

} // namespace cloudlet::api
