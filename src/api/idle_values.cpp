// Values that are accepted and do nothing yet, of fields that do something with other values: what
// the word "inert" of the kinds' files is too coarse for.

#include "kind_hooks.h"

namespace cloudlet::api {

namespace {

void find_in_pod_spec(const Json& spec, const std::string& path,
                      std::vector<std::string>& warnings) {
    if (spec["hostUsers"].is_bool() && !spec["hostUsers"].as_bool())
        warnings.push_back(join(path, "hostUsers") +
                           ": the pod runs with the node's user ids; this server has no user "
                           "namespaces yet");
    size_t index = 0;
    for (const Json& volume : spec["volumes"].items()) {
        const std::string place = at(join(path, "volumes"), index++);
        const Json& empty_dir = volume["emptyDir"];
        if (empty_dir.contains("sizeLimit") && empty_dir["medium"].as_string() != "Memory")
            warnings.push_back(place +
                               ".emptyDir.sizeLimit: not enforced yet for a volume on disk; "
                               "\"medium: Memory\" is limited");
    }
    for (std::string_view list : {"initContainers", "containers"}) {
        index = 0;
        for (const Json& container : spec[list].items()) {
            const std::string place = at(join(path, list), index++);
            if (container["resources"]["limits"].contains("ephemeral-storage"))
                warnings.push_back(place +
                                   ".resources.limits[ephemeral-storage]: not enforced yet");
        }
    }
}

} // namespace

void find_idle_pod_values(const Json& pod, std::vector<std::string>& warnings) {
    find_in_pod_spec(pod["spec"], "spec", warnings);
}

void find_idle_template_values(const Json& object, std::vector<std::string>& warnings) {
    find_in_pod_spec(object["spec"]["template"]["spec"], "spec.template.spec", warnings);
}

void find_idle_service_values(const Json& service, std::vector<std::string>& warnings) {
    if (service["spec"]["type"].as_string() == "LoadBalancer")
        warnings.push_back("spec.type: there is no load balancer yet, so the Service gets no "
                           "external address; reach it by its node ports");
}

} // namespace cloudlet::api
