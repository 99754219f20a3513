// Rules of metadata, the same for every kind (apimachinery api/validation ObjectMeta).

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cloudlet/api/names.h"
#include "kind_hooks.h"

namespace cloudlet::api {

namespace {

void validate_name(const Kind& kind, const Json& metadata, FieldErrors& errors) {
    std::string_view check = hooks_of(kind).name_check;
    const Json& name = metadata["name"];
    const Json& prefix = metadata["generateName"];
    if (!prefix.as_string().empty()) {
        std::string masked(prefix.as_string()); // the server appends letters to it
        if (masked.ends_with('-')) masked.back() = 'a';
        if (auto complaint = run_named_check(check, masked))
            errors.push_back(FieldError::invalid("metadata.generateName", prefix, *complaint));
    }
    if (name.as_string().empty()) {
        errors.push_back(FieldError::required("metadata.name", "name or generateName is required"));
    } else if (auto complaint = run_named_check(check, name.as_string())) {
        errors.push_back(FieldError::invalid("metadata.name", name, *complaint));
    }
}

void validate_namespace(const Kind& kind, const Json& metadata, FieldErrors& errors) {
    const Json& ns = metadata["namespace"];
    if (!kind.namespaced) {
        if (!ns.as_string().empty())
            errors.push_back(
                FieldError::forbidden("metadata.namespace", "not allowed on this type"));
    } else if (ns.as_string().empty()) {
        errors.push_back(FieldError::required("metadata.namespace"));
    } else if (auto complaint = check_dns_label(ns.as_string())) {
        errors.push_back(FieldError::invalid("metadata.namespace", ns, *complaint));
    }
}

void validate_owners(const Json& owners, FieldErrors& errors) {
    std::string path = "metadata.ownerReferences";
    const Json* controller = nullptr;
    for (const Json& owner : owners.items()) {
        // The paths lack an index, as those of Kubernetes do.
        for (std::string_view key : {"apiVersion", "kind", "name", "uid"})
            if (owner[key].as_string().empty())
                errors.push_back(FieldError::invalid(
                    join(path, key), owner[key].is_null() ? Json("") : owner[key],
                    key == "apiVersion" ? "version must not be empty" : "must not be empty"));
        if (!owner["controller"].as_bool()) continue;
        if (controller)
            errors.push_back(FieldError::invalid(
                path, owners,
                fmt::format("Only one reference can have Controller set to true. Found \"true\" in "
                            "references for {} "
                            "and {}",
                            (*controller)["name"].as_string(), owner["name"].as_string())));
        controller = &owner;
    }
}

void validate_finalizers(const Json& finalizers, FieldErrors& errors) {
    constexpr std::array<std::string_view, 3> standard{"orphan", "foregroundDeletion",
                                                       "kubernetes"};
    size_t index = 0;
    for (const Json& finalizer : finalizers.items()) {
        std::string path = at("metadata.finalizers", index++);
        std::string_view text = finalizer.as_string();
        if (auto complaint = check_qualified_name(text))
            errors.push_back(FieldError::invalid(path, finalizer, *complaint));
        else if (text.find('/') == text.npos && std::ranges::find(standard, text) == standard.end())
            errors.push_back(FieldError::invalid(
                path, finalizer,
                "name is neither a standard finalizer name nor is it fully qualified"));
    }
}

} // namespace

void validate_labels(const Json& labels, const std::string& path, FieldErrors& errors) {
    for (const auto& label : labels.members()) {
        if (auto complaint = check_qualified_name(label.key))
            errors.push_back(FieldError::invalid(path, label.key, *complaint));
        if (auto complaint = check_label_value(label.value.as_string()))
            errors.push_back(FieldError::invalid(path, label.value, *complaint));
    }
}

void validate_annotations(const Json& annotations, const std::string& path, FieldErrors& errors) {
    constexpr size_t limit = 256 * 1024;
    size_t total = 0;
    for (const auto& annotation : annotations.members()) {
        std::string key = annotation.key;
        std::ranges::transform(key, key.begin(),
                               [](char c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; });
        if (auto complaint = check_qualified_name(key))
            errors.push_back(FieldError::invalid(path, annotation.key, *complaint));
        total += annotation.key.size() + annotation.value.as_string().size();
    }
    if (total > limit) errors.push_back(FieldError::too_long(path, limit));
}

void validate_metadata(const Kind& kind, const Json& object, FieldErrors& errors) {
    const Json& metadata = object["metadata"];
    validate_name(kind, metadata, errors);
    validate_namespace(kind, metadata, errors);
    validate_labels(metadata["labels"], "metadata.labels", errors);
    validate_annotations(metadata["annotations"], "metadata.annotations", errors);
    validate_owners(metadata["ownerReferences"], errors);
    validate_finalizers(metadata["finalizers"], errors);
}

void validate_metadata_change(const Json& object, const Json& old, FieldErrors& errors) {
    for (std::string_view key : {"name", "namespace", "uid", "creationTimestamp",
                                 "deletionTimestamp", "deletionGracePeriodSeconds"}) {
        const Json& now = object["metadata"][key];
        const Json& before = old["metadata"][key];
        if (now != before)
            errors.push_back(
                FieldError::invalid("metadata." + std::string(key), now, "field is immutable"));
    }
    if (!old["metadata"]["deletionTimestamp"].is_string()) return;
    for (const Json& finalizer : object["metadata"]["finalizers"].items()) {
        const auto& before = old["metadata"]["finalizers"].items();
        if (std::ranges::find(before, finalizer) == before.end())
            errors.push_back(FieldError::forbidden(
                "metadata.finalizers", fmt::format("no new finalizers can be added if the object "
                                                   "is being deleted, found new finalizers "
                                                   "[]string{{{}}}",
                                                   finalizer.dump())));
    }
}

} // namespace cloudlet::api
