#pragma once
// What built-in kinds do beyond their schema, by kind: private to this room.

#include <set>
#include <string>
#include <vector>

#include "cloudlet/api/kind.h"

namespace cloudlet::api {

using FieldErrors = std::vector<FieldError>;

/// A place below another: join("spec", "replicas") and at("spec.containers", 0).
inline std::string join(const std::string& path, std::string_view name) {
    return path.empty() ? std::string(name) : path + "." + std::string(name);
}
inline std::string at(const std::string& path, size_t index) {
    return path + "[" + std::to_string(index) + "]";
}

/// The C++ of one kind; what is left null has nothing to say.
struct KindHooks {
    std::string_view kind{}; // the names are unique among the built-in kinds
    std::string_view name_check{};
    void (*defaults)(Json& object) = nullptr;
    void (*on_create)(Json& object) = nullptr;
    void (*on_update)(Json& object, const Json& old) = nullptr;
    void (*validate)(const Json& object, FieldErrors& errors) = nullptr;
    void (*validate_change)(const Json& object, const Json& old, FieldErrors& errors) = nullptr;
    void (*idle_values)(const Json& object, std::vector<std::string>& warnings) = nullptr;
    bool has_generation = false;
};
const KindHooks& hooks_of(const Kind& kind);

// kind_defaults.cpp, service_kind.cpp
void default_pod(Json& pod);
void default_pod_template_owner(Json& object); // Deployment, ReplicaSet
void default_deployment(Json& deployment);
void default_secret(Json& secret);
void default_namespace(Json& ns);
void default_node(Json& node);
void default_service(Json& service);
void default_service_account(Json& account);

// idle_values.cpp: one warning for each value that is accepted and does nothing yet
void find_idle_pod_values(const Json& pod, std::vector<std::string>& warnings);
void find_idle_template_values(const Json& object, std::vector<std::string>& warnings);
void find_idle_service_values(const Json& service, std::vector<std::string>& warnings);

// validate_metadata.cpp
void validate_metadata(const Kind& kind, const Json& object, FieldErrors& errors);
void validate_metadata_change(const Json& object, const Json& old, FieldErrors& errors);
void validate_labels(const Json& labels, const std::string& path, FieldErrors& errors);
void validate_annotations(const Json& annotations, const std::string& path, FieldErrors& errors);

// validate_pod.cpp, validate_container.cpp, validate_volume.cpp
struct PodScope { // what containers refer to
    bool host_network = false;
    bool init = false;
    std::set<std::string_view> volumes;
};
void validate_pod(const Json& pod, FieldErrors& errors);
void validate_pod_change(const Json& pod, const Json& old, FieldErrors& errors);
void validate_pod_spec(const Json& spec, const std::string& path, FieldErrors& errors);
void validate_container(const Json& container, const std::string& path, const PodScope& scope,
                        FieldErrors& errors);
void validate_probe(const Json& probe, const std::string& path, FieldErrors& errors);
void validate_handler(const Json& handler, const std::string& path, FieldErrors& errors);
void validate_resources(const Json& resources, const std::string& path, FieldErrors& errors);
void validate_volume(const Json& volume, const std::string& path, FieldErrors& errors);
void validate_volume_path(const Json& value, const std::string& path, FieldErrors& errors);

// validate_workload.cpp
void validate_deployment(const Json& deployment, FieldErrors& errors);
void validate_replica_set(const Json& replica_set, FieldErrors& errors);

// service_kind.cpp
void carry_over_service(Json& service, const Json& old);
void validate_service(const Json& service, FieldErrors& errors);
void validate_service_change(const Json& service, const Json& old, FieldErrors& errors);
void validate_endpoints(const Json& endpoints, FieldErrors& errors);
void validate_endpoint_slice(const Json& slice, FieldErrors& errors);

// validate_config.cpp
void validate_config_map(const Json& object, FieldErrors& errors);
void validate_config_map_change(const Json& object, const Json& old, FieldErrors& errors);
void validate_secret(const Json& object, FieldErrors& errors);
void validate_secret_change(const Json& object, const Json& old, FieldErrors& errors);
void validate_event(const Json& event, FieldErrors& errors);
void validate_node(const Json& node, FieldErrors& errors);
void validate_node_change(const Json& node, const Json& old, FieldErrors& errors);
void validate_binding(const Json& binding, FieldErrors& errors);
void validate_token_request(const Json& request, FieldErrors& errors);

} // namespace cloudlet::api
