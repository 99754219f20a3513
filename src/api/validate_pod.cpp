// Pods: what holds between the parts of a spec, and what may change once it is stored.

#include <algorithm>
#include <set>

#include "kind_hooks.h"

namespace cloudlet::api {

namespace {

void validate_containers(const Json& spec, const std::string& path, FieldErrors& errors) {
    PodScope scope;
    scope.host_network = spec["hostNetwork"].as_bool();
    for (const Json& volume : spec["volumes"].items())
        scope.volumes.insert(volume["name"].as_string());
    std::set<std::string_view> names;
    size_t index = 0;
    for (const Json& container : spec["containers"].items()) {
        names.insert(container["name"].as_string());
        validate_container(container, at(path + ".containers", index++), scope, errors);
        if (!container["restartPolicy"].is_null())
            errors.push_back(
                FieldError::forbidden(at(path + ".containers", index - 1) + ".restartPolicy",
                                      "may not be set for non-init containers"));
    }
    scope.init = true;
    index = 0;
    for (const Json& container : spec["initContainers"].items()) {
        std::string here = at(path + ".initContainers", index++);
        if (names.contains(container["name"].as_string()))
            errors.push_back(FieldError::duplicate(here + ".name", container["name"]));
        validate_container(container, here, scope, errors);
    }
}

/// Two containers may not take one port of the node.
void validate_host_ports(const Json& spec, const std::string& path, FieldErrors& errors) {
    std::set<std::string> taken;
    size_t c = 0;
    for (const Json& container : spec["containers"].items()) {
        std::string ports = at(path + ".containers", c++) + ".ports";
        size_t p = 0;
        for (const Json& port : container["ports"].items()) {
            std::string here = at(ports, p++) + ".hostPort";
            if (port["hostPort"].as_int() == 0) continue;
            std::string key = std::string(port["protocol"].as_string("TCP")) + "/" +
                              std::string(port["hostIP"].as_string()) + "/" +
                              port["hostPort"].dump();
            if (!taken.insert(key).second) errors.push_back(FieldError::duplicate(here, key));
        }
    }
}

void validate_tolerations(const Json& tolerations, const std::string& path, FieldErrors& errors) {
    size_t index = 0;
    for (const Json& toleration : tolerations.items()) {
        std::string here = at(path, index++);
        bool exists = toleration["operator"].as_string() == "Exists";
        if (toleration["key"].as_string().empty() && !exists)
            errors.push_back(FieldError::invalid(
                here + ".operator", toleration["operator"],
                "operator must be Exists when `key` is empty, which means \"match all "
                "values and all keys\""));
        if (exists && !toleration["value"].as_string().empty())
            errors.push_back(FieldError::invalid(
                here + ".operator", toleration, "value must be empty when `operator` is 'Exists'"));
        if (!toleration["tolerationSeconds"].is_null() &&
            toleration["effect"].as_string() != "NoExecute")
            errors.push_back(
                FieldError::invalid(here + ".effect", toleration["effect"],
                                    "effect must be 'NoExecute' when `tolerationSeconds` is set"));
    }
}

void validate_dns(const Json& spec, const std::string& path, FieldErrors& errors) {
    size_t servers = spec["dnsConfig"]["nameservers"].size();
    if (spec["dnsPolicy"].as_string() == "None" && servers == 0)
        errors.push_back(FieldError::required(
            path + ".dnsConfig.nameservers",
            "must provide at least one DNS nameserver when `dnsPolicy` is None"));
    if (servers > 3)
        errors.push_back(FieldError::invalid(path + ".dnsConfig.nameservers",
                                             spec["dnsConfig"]["nameservers"],
                                             "must not have more than 3 nameservers"));
}

/// The spec as it would be if nothing but the changeable parts had changed.
Json with_changeable_parts_of(const Json& old_spec, const Json& spec) {
    Json result = old_spec;
    for (std::string_view list : {"containers", "initContainers"}) {
        Json* containers = result.find_mutable(list);
        if (!containers || !containers->is_array() || spec[list].size() != containers->size())
            continue;
        for (size_t i = 0; i < containers->size(); ++i)
            if (spec[list][i]["image"].is_string())
                containers->mutable_items()[i].set("image", spec[list][i]["image"]);
    }
    for (std::string_view key : {"activeDeadlineSeconds", "tolerations", "schedulingGates"}) {
        if (spec[key].is_null())
            result.erase(key);
        else
            result.set(key, spec[key]);
    }
    bool was_negative = old_spec["terminationGracePeriodSeconds"].as_int() < 0;
    if (was_negative && spec["terminationGracePeriodSeconds"].as_int() == 1)
        result.set("terminationGracePeriodSeconds", 1);
    return result;
}

/// Tolerations may be added, gates may be removed.
void validate_lists_change(const Json& spec, const Json& old, FieldErrors& errors) {
    const auto& now = spec["tolerations"].items();
    for (const Json& toleration : old["tolerations"].items())
        if (std::ranges::find(now, toleration) == now.end()) {
            errors.push_back(FieldError::forbidden(
                "spec.tolerations", "existing toleration can not be modified except its "
                                    "tolerationSeconds"));
            break;
        }
    const auto& gates = old["schedulingGates"].items();
    for (const Json& gate : spec["schedulingGates"].items())
        if (std::ranges::find(gates, gate) == gates.end()) {
            errors.push_back(FieldError::forbidden("spec.schedulingGates",
                                                   "only deletion is allowed, but found new "
                                                   "scheduling gate"));
            break;
        }
}

} // namespace

void validate_pod_spec(const Json& spec, const std::string& path, FieldErrors& errors) {
    if (!spec.is_object()) {
        errors.push_back(FieldError::required(path + ".containers"));
        return;
    }
    size_t index = 0;
    for (const Json& volume : spec["volumes"].items())
        validate_volume(volume, at(path + ".volumes", index++), errors);
    validate_containers(spec, path, errors);
    validate_host_ports(spec, path, errors);
    validate_labels(spec["nodeSelector"], path + ".nodeSelector", errors);
    validate_tolerations(spec["tolerations"], path + ".tolerations", errors);
    validate_dns(spec, path, errors);
    if (spec["shareProcessNamespace"].as_bool() && spec["hostPID"].as_bool())
        errors.push_back(
            FieldError::invalid(path + ".shareProcessNamespace", spec["shareProcessNamespace"],
                                "ShareProcessNamespace and HostPID cannot both be enabled"));
}

void validate_pod(const Json& pod, FieldErrors& errors) {
    validate_pod_spec(pod["spec"], "spec", errors);
}

void validate_pod_change(const Json& pod, const Json& old, FieldErrors& errors) {
    const Json& spec = pod["spec"];
    const Json& before = old["spec"];
    if (spec == before) return;
    for (std::string_view list : {"containers", "initContainers"})
        if (spec[list].size() != before[list].size()) {
            errors.push_back(FieldError::forbidden("spec." + std::string(list),
                                                   "pod updates may not add or remove containers"));
            return;
        }
    validate_lists_change(spec, before, errors);
    const Json& deadline = spec["activeDeadlineSeconds"];
    const Json& old_deadline = before["activeDeadlineSeconds"];
    if (!old_deadline.is_null() && deadline.is_null())
        errors.push_back(
            FieldError::invalid("spec.activeDeadlineSeconds", deadline,
                                "must not update from a positive integer to nil value"));
    else if (!old_deadline.is_null() && deadline.as_int() > old_deadline.as_int())
        errors.push_back(FieldError::invalid("spec.activeDeadlineSeconds", deadline,
                                             "must be less than or equal to previous value"));
    if (spec != with_changeable_parts_of(before, spec))
        errors.push_back(FieldError::forbidden(
            "spec", "pod updates may not change fields other than `spec.containers[*].image`,"
                    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations`"
                    " (only additions to "
                    "existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be "
                    "set to 1 if it was "
                    "previously negative)"));
}

} // namespace cloudlet::api
