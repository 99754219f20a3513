#include <algorithm>

#include <fmt/format.h>

#include "admission.h"
#include "cloudlet/base/id.h"

namespace cloudlet::kube::server {

namespace {

/// In the order in which metadata is written; what is not here (managedFields, selfLink) is
/// dropped.
constexpr std::string_view metadata_fields[] = {"name",
                                                "generateName",
                                                "namespace",
                                                "uid",
                                                "resourceVersion",
                                                "generation",
                                                "creationTimestamp",
                                                "deletionTimestamp",
                                                "deletionGracePeriodSeconds",
                                                "labels",
                                                "annotations",
                                                "ownerReferences",
                                                "finalizers"};

void arrange(Json& object) {
    Json arranged = Json::object();
    if (Json* metadata = object.find_mutable("metadata"))
        for (std::string_view field : metadata_fields) {
            Json* value = metadata->find_mutable(field);
            if (!value || value->is_null()) continue;
            const bool empty_container =
                (value->is_object() || value->is_array()) && value->empty();
            if (!empty_container) arranged.set(field, std::move(*value));
        }
    object.set("metadata", std::move(arranged));
}

Outcome<> choose_name(Core& core, const Target& target, Json& metadata) {
    const std::string base(metadata["generateName"].as_string().substr(0, 58));
    if (!metadata["name"].as_string().empty()) return {};
    if (base.empty())
        return refuse(invalid(
            *target.kind, "",
            {api::FieldError::required("metadata.name", "name or generateName is required")}));
    Collection& collection = *core.cache.find(*target.kind);
    for (int attempt = 0; attempt < 8; ++attempt) {
        const std::string name = base + new_name_suffix(5);
        if (collection.get(object_path(target.ns, name))) continue;
        metadata.set("name", name);
        return {};
    }
    return refuse(already_exists(resource_of(*target.kind), base));
}

bool contains(const Json& list, const Json& value) {
    return std::find(list.items().begin(), list.items().end(), value) != list.items().end();
}

Outcome<> check_preconditions(const Target& target, const CachedObject& current,
                              const Json& metadata) {
    const api::Resource resource = resource_of(*target.kind);
    if (const std::string_view name = metadata["name"].as_string();
        !name.empty() && name != current.name())
        return refuse(bad_request(
            fmt::format("the name of the object ({}) does not match the name on the URL ({})", name,
                        current.name())));
    if (const std::string_view ns = metadata["namespace"].as_string();
        !ns.empty() && ns != current.ns())
        return refuse(bad_request(
            "the namespace of the provided object does not match the namespace sent on the "
            "request"));
    if (const std::string_view uid = metadata["uid"].as_string();
        !uid.empty() && uid != current.uid())
        return refuse(conflict(
            resource, current.name(),
            fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", uid,
                        current.uid())));
    const std::string_view version = metadata["resourceVersion"].as_string();
    if (!version.empty() && version != "0" && NEED(parse_revision(version)) != current.revision())
        return refuse(modified(resource, current.name()));
    return {};
}

Outcome<> check_finalizers(const Target& target, const Json& old, const Json& metadata) {
    if (!old["deletionTimestamp"].is_string()) return {};
    for (const Json& finalizer : metadata["finalizers"].items())
        if (!contains(old["finalizers"], finalizer))
            return refuse(invalid(
                *target.kind, old["name"].as_string(),
                {api::FieldError::forbidden(
                    "metadata.finalizers",
                    fmt::format(
                        "no new finalizers can be added if the object is being deleted, found new "
                        "finalizers []string{{{}}}",
                        finalizer.dump()))}));
    return {};
}

} // namespace

Outcome<> stamp_new(Core& core, const Target& target, Json& object) {
    if (!object["metadata"].is_object()) object.set("metadata", Json::object());
    Json& metadata = *object.find_mutable("metadata");
    const std::string_view ns = metadata["namespace"].as_string();
    if (target.kind->namespaced && !ns.empty() && ns != target.ns)
        return refuse(bad_request(
            "the namespace of the provided object does not match the namespace sent on the "
            "request"));
    if (!metadata["resourceVersion"].as_string().empty())
        return refuse(bad_request("resourceVersion should not be set on objects to be created"));
    NEED(choose_name(core, target, metadata));
    for (std::string_view field : {"deletionTimestamp", "deletionGracePeriodSeconds", "generation"})
        metadata.erase(field);
    if (target.kind->namespaced)
        metadata.set("namespace", target.ns);
    else
        metadata.erase("namespace");
    metadata.set("uid", new_uuid()).set("creationTimestamp", format_time(core.now()));
    object.set("apiVersion", target.kind->group_version()).set("kind", target.kind->kind);
    arrange(object);
    return {};
}

Outcome<> stamp_update(const Target& target, const CachedObject& current, const Json& old,
                       Json& object) {
    if (!object["metadata"].is_object()) object.set("metadata", Json::object());
    Json& metadata = *object.find_mutable("metadata");
    const Json& before = old["metadata"];
    NEED(check_preconditions(target, current, metadata));
    NEED(check_finalizers(target, before, metadata));
    for (std::string_view field :
         {"name", "generateName", "namespace", "uid", "resourceVersion", "generation",
          "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"}) {
        if (before.contains(field))
            metadata.set(field, before[field]);
        else
            metadata.erase(field);
    }
    object.set("apiVersion", target.kind->group_version()).set("kind", target.kind->kind);
    arrange(object);
    return {};
}

bool is_finished(const api::Kind& kind, const Json& object) {
    const Json& metadata = object["metadata"];
    if (!metadata["deletionTimestamp"].is_string() || !metadata["finalizers"].empty()) return false;
    if (metadata["deletionGracePeriodSeconds"].as_int() != 0) return false;
    return !is_kind(kind, api::resources::namespaces) || object.at({"spec", "finalizers"}).empty();
}

Json new_service_account(Core& core, std::string_view ns, std::string_view name) {
    Json metadata = Json::object({{"name", name}, {"namespace", ns}, {"uid", new_uuid()}});
    metadata.set("creationTimestamp", format_time(core.now()));
    return Json::object(
        {{"apiVersion", "v1"}, {"kind", "ServiceAccount"}, {"metadata", std::move(metadata)}});
}

} // namespace cloudlet::kube::server
