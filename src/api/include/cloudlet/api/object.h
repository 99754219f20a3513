#pragma once
// An API object as everyone inside the program holds it: immutable JSON with a shared owner, plus
// typed views of its metadata. Changing an object means writing a patch through api::Client, so
// that a field the writer does not know is never lost.

#include <compare>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/codec/json.h"

namespace cloudlet::api {

/// What names an object within its resource; `ns` is empty for cluster-scoped ones.
struct ObjectKey {
    std::string ns;
    std::string name;
    auto operator<=>(const ObjectKey&) const = default;
    std::string to_string() const { return ns.empty() ? name : ns + "/" + name; }
};

/// One entry of metadata.ownerReferences.
struct OwnerReference {
    std::string api_version, kind, name, uid;
    bool controller = false;
    bool block_owner_deletion = false;
};

/// Immutable; copying copies a reference; thread-safe to read. A default-made Object is empty: all
/// views give empty values.
class Object {
public:
    Object() = default;
    explicit Object(codec::Json json)
        : json_(std::make_shared<const codec::Json>(std::move(json))) {}
    explicit Object(std::shared_ptr<const codec::Json> json) : json_(std::move(json)) {}

    explicit operator bool() const { return json_ != nullptr; }
    const codec::Json& json() const;
    const codec::Json& operator[](std::string_view key) const { return json()[key]; }
    const codec::Json& at(std::initializer_list<std::string_view> path) const {
        return json().at(path);
    }
    const codec::Json& metadata() const { return json()["metadata"]; }
    const codec::Json& spec() const { return json()["spec"]; }
    const codec::Json& status() const { return json()["status"]; }

    std::string_view kind() const { return json()["kind"].as_string(); }
    std::string_view api_version() const { return json()["apiVersion"].as_string(); }
    std::string_view name() const { return metadata()["name"].as_string(); }
    std::string_view ns() const { return metadata()["namespace"].as_string(); }
    std::string_view uid() const { return metadata()["uid"].as_string(); }
    std::string_view resource_version() const { return metadata()["resourceVersion"].as_string(); }
    int64_t generation() const { return metadata()["generation"].as_int(); }
    std::string_view label(std::string_view key) const {
        return metadata()["labels"][key].as_string();
    }
    std::string_view annotation(std::string_view key) const {
        return metadata()["annotations"][key].as_string();
    }
    ObjectKey key() const { return {std::string(ns()), std::string(name())}; }

    /// True once a deletion was accepted (metadata.deletionTimestamp is set).
    bool is_being_deleted() const { return metadata()["deletionTimestamp"].is_string(); }
    std::optional<WallTime> creation_time() const;
    std::optional<WallTime> deletion_time() const;
    std::vector<OwnerReference> owner_references() const;
    /// The owner reference with controller=true, if any.
    std::optional<OwnerReference> controller() const;
    /// The entry of status.conditions with this type, or a null Json.
    const codec::Json& condition(std::string_view type) const;
    bool condition_is(std::string_view type, std::string_view status) const;

private:
    std::shared_ptr<const codec::Json> json_;
};

} // namespace cloudlet::api
