#include "cached_object.h"

#include <array>
#include <mutex>

#include <fmt/format.h>

namespace cloudlet::kube::server {

namespace {

constexpr std::string_view revision_key = "\"resourceVersion\":\"";

std::mutex& parse_lock(const void* object) {
    static std::array<std::mutex, 32> locks;
    return locks[(reinterpret_cast<uintptr_t>(object) >> 6) % locks.size()];
}

} // namespace

std::string object_path(std::string_view ns, std::string_view name) {
    if (ns.empty()) return std::string(name);
    std::string path;
    path.reserve(ns.size() + 1 + name.size());
    return path.append(ns).append("/").append(name);
}

std::string stored_prefix(const api::Kind& kind) {
    return fmt::format(R"({{"apiVersion":"{}","kind":"{}","metadata":{{)", kind.group_version(),
                       kind.kind);
}

std::string encode_for_store(const api::Kind& kind, const Json& object) {
    std::string out = stored_prefix(kind);
    bool first = true;
    for (const auto& [key, value] : object["metadata"].members()) {
        if (key == "resourceVersion") continue;
        if (!first) out += ',';
        first = false;
        codec::append_json_string(out, key);
        out += ':';
        value.dump_to(out);
    }
    out += '}';
    for (const auto& [key, value] : object.members()) {
        if (key == "apiVersion" || key == "kind" || key == "metadata") continue;
        out += ',';
        codec::append_json_string(out, key);
        out += ':';
        value.dump_to(out);
    }
    out += '}';
    return out;
}

std::string splice_revision(const api::Kind& kind, std::string_view stored, int64_t revision) {
    const std::string prefix = stored_prefix(kind);
    std::string out;
    out.reserve(stored.size() + revision_key.size() + 24);
    out.append(prefix).append(revision_key).append(std::to_string(revision)).append("\"");
    if (stored.substr(prefix.size(), 1) != "}") out += ',';
    return out.append(stored.substr(prefix.size()));
}

Result<ObjectPointer> CachedObject::make(const api::Kind& kind, const SharedBytes& stored,
                                         int64_t revision, Json parsed) {
    const std::string prefix = stored_prefix(kind);
    if (parsed.is_null()) parsed = TRY(codec::parse_json(*stored));
    if (!parsed["metadata"].is_object())
        return fail(Code::invalid, "a stored object without metadata");

    auto object = std::shared_ptr<CachedObject>(new CachedObject());
    object->kind_ = &kind;
    object->revision_ = revision;
    // Bytes that another version wrote in another order are brought into ours first.
    const bool canonical = stored->starts_with(prefix);
    object->json_ = share(
        splice_revision(kind, canonical ? *stored : encode_for_store(kind, parsed), revision));
    object->revision_offset_ = prefix.size() + revision_key.size();

    const Json& metadata = parsed["metadata"];
    object->ns_ = metadata["namespace"].as_string();
    object->name_ = metadata["name"].as_string();
    object->uid_ = metadata["uid"].as_string();
    object->being_deleted_ = metadata["deletionTimestamp"].is_string();
    object->labels_ = metadata["labels"];
    for (std::string_view field : kind.selectable_fields)
        object->fields_.push_back(api::field_value(kind, parsed, field));
    return ObjectPointer(std::move(object));
}

std::string CachedObject::json_at(int64_t revision) const {
    const size_t end = json_->find('"', revision_offset_);
    return json_->substr(0, revision_offset_) + std::to_string(revision) + json_->substr(end);
}

api::Object CachedObject::object() const {
    std::lock_guard lock(parse_lock(this));
    if (auto alive = parsed_.lock()) return api::Object(std::move(alive));
    auto parsed = codec::parse_json(*json_);
    auto value = std::make_shared<const Json>(parsed ? std::move(*parsed) : Json());
    parsed_ = value;
    return api::Object(std::move(value));
}

std::string_view CachedObject::field(std::string_view path) const {
    if (path == "metadata.name") return name_;
    if (path == "metadata.namespace") return ns_;
    for (size_t i = 0; i < fields_.size(); ++i)
        if (kind_->selectable_fields[i] == path) return fields_[i];
    return {};
}

bool CachedObject::matches(const api::LabelSelector& labels,
                           const api::FieldSelector& fields) const {
    for (const api::FieldRequirement& requirement : fields.requirements())
        if ((field(requirement.path) == requirement.value) != requirement.equal) return false;
    return labels.empty() || labels.matches(labels_);
}

} // namespace cloudlet::kube::server
