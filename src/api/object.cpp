#include "cloudlet/api/object.h"

namespace cloudlet::api {
namespace {

const codec::Json& null_json() {
    static const codec::Json null;
    return null;
}

std::optional<WallTime> time_of(const codec::Json& text) {
    auto parsed = parse_time(text.as_string());
    return parsed ? std::optional(*parsed) : std::nullopt;
}

OwnerReference owner_from(const codec::Json& json) {
    return {.api_version = std::string(json["apiVersion"].as_string()),
            .kind = std::string(json["kind"].as_string()),
            .name = std::string(json["name"].as_string()),
            .uid = std::string(json["uid"].as_string()),
            .controller = json["controller"].as_bool(),
            .block_owner_deletion = json["blockOwnerDeletion"].as_bool()};
}

} // namespace

const codec::Json& Object::json() const { return json_ ? *json_ : null_json(); }

std::optional<WallTime> Object::creation_time() const {
    return time_of(metadata()["creationTimestamp"]);
}

std::optional<WallTime> Object::deletion_time() const {
    return time_of(metadata()["deletionTimestamp"]);
}

std::vector<OwnerReference> Object::owner_references() const {
    std::vector<OwnerReference> owners;
    for (const auto& owner : metadata()["ownerReferences"].items())
        owners.push_back(owner_from(owner));
    return owners;
}

std::optional<OwnerReference> Object::controller() const {
    for (const auto& owner : metadata()["ownerReferences"].items())
        if (owner["controller"].as_bool()) return owner_from(owner);
    return std::nullopt;
}

const codec::Json& Object::condition(std::string_view type) const {
    for (const auto& condition : status()["conditions"].items())
        if (condition["type"].as_string() == type) return condition;
    return null_json();
}

bool Object::condition_is(std::string_view type, std::string_view status) const {
    return condition(type)["status"].as_string() == status;
}

} // namespace cloudlet::api
