#pragma once
// A container's environment and command line as the kubelet composes them: envFrom, env with
// $(VAR) expansion and valueFrom, and the variables of Services. Pure but for the lookups it is
// given.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cloudlet/api/object.h"

namespace cloudlet::kube::node {

/// Replaces $(NAME) by its value; "$$" is "$"; an unknown name stays as written
/// (Kubernetes, third_party/forked/golang/expansion).
std::string expand(std::string_view text, const std::map<std::string, std::string>& values);

/// What a fieldRef or resourceFieldRef may ask for beyond the Pod itself.
struct PodFacts {
    std::string pod_ip, host_ip, node_name;
    int64_t machine_milli_cpu = 0, machine_memory = 0; // stand in for limits that are not set
};

/// Error: Code::invalid for a path that cannot be referenced.
Result<std::string> field_value(const api::Object& pod, std::string_view path,
                                const PodFacts& facts);
Result<std::string> resource_value(const codec::Json& pod_spec, const codec::Json& container,
                                   const codec::Json& ref, const PodFacts& facts);

struct EnvironmentSources {
    /// Error: not_found. Both are asked for objects of the pod's namespace.
    std::function<Result<api::Object>(const std::string&name)> config_map, secret;
    std::vector<api::Object> services; // of the pod's namespace, and default/kubernetes
};

/// "NAME=value" in a stable order. Error: not_found or invalid names what is missing, as status
/// shows it.
Result<std::vector<std::string>> build_environment(const api::Object& pod,
                                                   const codec::Json& container,
                                                   const PodFacts& facts,
                                                   const EnvironmentSources& sources);

/// command or args with $(VAR) expanded.
std::vector<std::string> expand_all(const codec::Json& words,
                                    const std::vector<std::string>& environment);

} // namespace cloudlet::kube::node
