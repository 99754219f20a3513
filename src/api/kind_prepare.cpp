// The life of an object before it is stored: defaults, preparation, validation. The hooks of each
// built-in kind stand in one table below.

#include <algorithm>
#include <array>

#include "cloudlet/api/quantity.h"
#include "kind_hooks.h"

namespace cloudlet::api {

namespace {

void create_pod(Json& pod) {
    pod.set("status", Json::object({{"phase", "Pending"}, {"qosClass", qos_class(pod["spec"])}}));
}

void create_namespace(Json& ns) {
    ns.set_path({"spec", "finalizers"}, Json::array({"kubernetes"}));
    ns.set("status", Json::object({{"phase", "Active"}}));
}

void create_service(Json& service) {
    service.set("status", Json::object({{"loadBalancer", Json::object()}}));
}

void update_namespace(Json& ns, const Json& old) { // only /finalize changes them
    if (old["spec"].is_null())
        ns.erase("spec");
    else
        ns.set("spec", old["spec"]);
}

constexpr std::array hooks{
    KindHooks{.kind = "Namespace",
              .name_check = "dns_label",
              .defaults = default_namespace,
              .on_create = create_namespace,
              .on_update = update_namespace},
    KindHooks{.kind = "Node",
              .name_check = "dns_subdomain",
              .defaults = default_node,
              .validate = validate_node,
              .validate_change = validate_node_change},
    KindHooks{.kind = "Pod",
              .name_check = "dns_subdomain",
              .defaults = default_pod,
              .on_create = create_pod,
              .validate = validate_pod,
              .validate_change = validate_pod_change,
              .idle_values = find_idle_pod_values},
    KindHooks{.kind = "Service",
              .name_check = "dns_label_1035",
              .defaults = default_service,
              .on_create = create_service,
              .on_update = carry_over_service,
              .validate = validate_service,
              .validate_change = validate_service_change,
              .idle_values = find_idle_service_values},
    KindHooks{.kind = "Endpoints", .name_check = "dns_subdomain", .validate = validate_endpoints},
    KindHooks{.kind = "EndpointSlice",
              .name_check = "dns_subdomain",
              .validate = validate_endpoint_slice,
              .has_generation = true},
    KindHooks{.kind = "ConfigMap",
              .name_check = "dns_subdomain",
              .validate = validate_config_map,
              .validate_change = validate_config_map_change},
    KindHooks{.kind = "Secret",
              .name_check = "dns_subdomain",
              .defaults = default_secret,
              .validate = validate_secret,
              .validate_change = validate_secret_change},
    KindHooks{.kind = "ServiceAccount", .name_check = "dns_subdomain"},
    KindHooks{.kind = "Event", .name_check = "dns_subdomain", .validate = validate_event},
    KindHooks{.kind = "Lease", .name_check = "dns_subdomain"},
    KindHooks{.kind = "Deployment",
              .name_check = "dns_subdomain",
              .defaults = default_deployment,
              .validate = validate_deployment,
              .idle_values = find_idle_template_values,
              .has_generation = true},
    KindHooks{.kind = "ReplicaSet",
              .name_check = "dns_subdomain",
              .defaults = default_pod_template_owner,
              .validate = validate_replica_set,
              .idle_values = find_idle_template_values,
              .has_generation = true},
    KindHooks{.kind = "Binding", .name_check = "dns_subdomain", .validate = validate_binding},
    KindHooks{.kind = "TokenRequest", .validate = validate_token_request},
};
constexpr KindHooks no_hooks{};

void erase_status(const Kind& kind, Json& object) {
    if (kind.has_status()) object.erase("status");
}

/// Sets a member to another object's, or erases it where that has none.
void copy_member(Json& to, const Json& from, std::string_view key) {
    if (const Json* value = from.find(key))
        to.set(key, *value);
    else
        to.erase(key);
}

/// What a client may leave out of an update, and what it cannot change by sending it (apimachinery
/// ObjectMeta update rules).
void carry_over_metadata(Json& object, const Json& old) {
    Json* metadata = object.find_mutable("metadata");
    if (!metadata || !metadata->is_object()) return;
    const Json& before = old["metadata"];
    if ((*metadata)["uid"].as_string().empty()) copy_member(*metadata, before, "uid");
    copy_member(*metadata, before, "creationTimestamp");
    if (before["deletionTimestamp"].is_null()) return;
    copy_member(*metadata, before, "deletionTimestamp");
    copy_member(*metadata, before, "deletionGracePeriodSeconds");
}

bool same_amount(const Json& a, const Json& b) {
    auto amount = [](const Json& value) {
        return Quantity::parse(value.is_string() ? std::string(value.as_string()) : value.dump());
    };
    auto left = amount(a), right = amount(b);
    return left && right && *left == *right;
}

FieldErrors validate_all(const Kind& kind, const Json& object) {
    FieldErrors errors;
    if (kind.stored || kind.kind == "Binding") validate_metadata(kind, object, errors);
    FieldErrors fields = kind.schema->validate(object);
    errors.insert(errors.end(), std::make_move_iterator(fields.begin()),
                  std::make_move_iterator(fields.end()));
    if (auto validate = hooks_of(kind).validate) validate(object, errors);
    return errors;
}

} // namespace

const KindHooks& hooks_of(const Kind& kind) {
    auto found = std::ranges::find(hooks, kind.kind, &KindHooks::kind);
    return found == hooks.end() ? no_hooks : *found;
}

void default_object(const Kind& kind, Json& object) {
    if (!object.is_object()) return;
    kind.schema->default_into(object);
    if (auto defaults = hooks_of(kind).defaults) defaults(object);
}

bool changes_generation(const Kind& kind, const Json& object, const Json& old) {
    if (!hooks_of(kind).has_generation) return false;
    for (const Field& field : kind.schema->fields()) {
        if (field.name == "metadata" || field.name == "status") continue;
        if (object[field.name] != old[field.name]) return true;
    }
    return false;
}

void prepare_create(const Kind& kind, Json& object) {
    erase_status(kind, object);
    if (hooks_of(kind).has_generation)
        object.set_path({"metadata", "generation"}, 1);
    else if (Json* metadata = object.find_mutable("metadata"))
        metadata->erase("generation");
    if (auto create = hooks_of(kind).on_create) create(object);
}

void prepare_update(const Kind& kind, Json& object, const Json& old) {
    carry_over_metadata(object, old);
    if (kind.has_status()) copy_member(object, old, "status");
    if (auto update = hooks_of(kind).on_update) update(object, old);
    int64_t generation = old.at({"metadata", "generation"}).as_int();
    if (hooks_of(kind).has_generation)
        object.set_path({"metadata", "generation"},
                        generation + (changes_generation(kind, object, old) ? 1 : 0));
}

void prepare_status_update(const Kind& kind, Json& object, const Json& old) {
    Json result = old;
    copy_member(result, object, "status");
    if (kind.kind == "Node") copy_member(result, object, "metadata");
    const Json& version = object.at({"metadata", "resourceVersion"});
    if (!version.is_null()) result.set_path({"metadata", "resourceVersion"}, version);
    object = std::move(result);
}

FieldErrors validate_create(const Kind& kind, const Json& object) {
    FieldErrors errors = validate_all(kind, object);
    if (kind.kind == "Pod" && object.at({"spec", "ephemeralContainers"}).size() > 0)
        errors.push_back(
            FieldError::forbidden("spec.ephemeralContainers", "cannot be set on create"));
    return errors;
}

FieldErrors validate_update(const Kind& kind, const Json& object, const Json& old) {
    FieldErrors errors;
    validate_metadata_change(object, old, errors);
    FieldErrors immutable = kind.schema->validate_immutable(object, old);
    errors.insert(errors.end(), immutable.begin(), immutable.end());
    if (auto change = hooks_of(kind).validate_change) change(object, old, errors);
    FieldErrors fields = validate_all(kind, object);
    for (FieldError& error :
         fields) // one place is told once: what may not change at all comes first
        if (std::ranges::find(errors, error.path, &FieldError::path) == errors.end())
            errors.push_back(std::move(error));
    return errors;
}

FieldErrors validate_status_update(const Kind& kind, const Json& object, const Json& old) {
    FieldErrors errors;
    validate_metadata_change(object, old, errors);
    validate_metadata(kind, object, errors);
    const Field* status = kind.schema->find("status");
    const Json& value = object["status"];
    if (!status || !value.is_object()) return errors;
    FieldErrors fields = status->schema->validate(value, "status");
    errors.insert(errors.end(), fields.begin(), fields.end());
    return errors;
}

std::string_view qos_class(const Json& pod_spec) {
    bool any = false;
    bool guaranteed = true;
    for (std::string_view list : {"containers", "initContainers"}) {
        for (const Json& container : pod_spec[list].items()) {
            const Json& resources = container["resources"];
            for (std::string_view name : {"cpu", "memory"}) {
                const Json& limit = resources["limits"][name];
                const Json& request = resources["requests"][name];
                any |= !limit.is_null() || !request.is_null();
                guaranteed &=
                    !limit.is_null() && (request.is_null() || same_amount(request, limit));
            }
        }
    }
    if (!any) return "BestEffort";
    return guaranteed ? "Guaranteed" : "Burstable";
}

} // namespace cloudlet::api
