#pragma once
// An object as the cache holds it: the bytes that clients get, and the little of it that lookups
// need.
//
// The store's bytes hold no resourceVersion; the revision is spliced in once, when the object
// enters the cache, and the result is shared by every reader and watcher.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/api/kind.h"
#include "cloudlet/api/object.h"
#include "cloudlet/api/selector.h"
#include "cloudlet/base/bytes.h"

namespace cloudlet::kube::server {

using codec::Json;

/// Immutable; shared; thread-safe.
class CachedObject {
public:
    /// `stored` is what the store holds under `key`. When the writer still has the parsed value it
    /// is given as `parsed` and spares a parse. Error: Code::invalid when the bytes are no object.
    static Result<std::shared_ptr<const CachedObject>>
    make(const api::Kind& kind, const SharedBytes& stored, int64_t revision, Json parsed = {});

    const api::Kind& kind() const { return *kind_; }
    const std::string& ns() const { return ns_; }
    const std::string& name() const { return name_; }
    const std::string& uid() const { return uid_; }
    int64_t revision() const { return revision_; }
    const Json& labels() const { return labels_; }
    bool being_deleted() const { return being_deleted_; }
    /// With metadata.resourceVersion.
    const SharedBytes& json() const { return json_; }
    /// The same with another resourceVersion, as events of removal carry it.
    std::string json_at(int64_t revision) const;
    /// The parsed value; kept as long as someone outside holds it, parsed anew after that.
    api::Object object() const;
    /// Value of a selectable field.
    std::string_view field(std::string_view path) const;
    bool matches(const api::LabelSelector& labels, const api::FieldSelector& fields) const;

private:
    CachedObject() = default;

    const api::Kind* kind_ = nullptr;
    std::string ns_, name_, uid_;
    int64_t revision_ = 0;
    bool being_deleted_ = false;
    Json labels_;
    std::vector<std::string> fields_; // in the order of kind_->selectable_fields
    SharedBytes json_;
    size_t revision_offset_ = 0;               // of the digits inside json_
    mutable std::weak_ptr<const Json> parsed_; // guarded by one of a few shared locks
};

using ObjectPointer = std::shared_ptr<const CachedObject>;

/// The text that every stored object of a kind starts with, up to and with `"metadata":{`.
std::string stored_prefix(const api::Kind& kind);
/// The bytes as stored: apiVersion, kind and metadata first, no resourceVersion.
std::string encode_for_store(const api::Kind& kind, const Json& object);
/// `stored` with the revision spliced in; the form that clients get.
std::string splice_revision(const api::Kind& kind, std::string_view stored, int64_t revision);

/// The name under which an object is kept in its collection: "ns/name", or "name".
std::string object_path(std::string_view ns, std::string_view name);

} // namespace cloudlet::kube::server
