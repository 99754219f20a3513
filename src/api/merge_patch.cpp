// RFC 7386: merge patches, applied and made.

#include "cloudlet/api/patch.h"

namespace cloudlet::api {

Json apply_merge_patch(const Json& object, const Json& patch) {
    if (!patch.is_object()) return patch;
    Json result = object.is_object() ? object : Json::object();
    for (const auto& member : patch.members()) {
        if (member.value.is_null())
            result.erase(member.key);
        else
            result.set(member.key, apply_merge_patch(result[member.key], member.value));
    }
    return result;
}

Json make_merge_patch(const Json& from, const Json& to) {
    if (!from.is_object() || !to.is_object()) return to;
    Json patch = Json::object();
    for (const auto& member : from.members())
        if (!to.contains(member.key)) patch.set(member.key, nullptr);
    for (const auto& member : to.members()) {
        if (member.value.is_null()) continue;
        const Json* before = from.find(member.key);
        if (before && *before == member.value) continue;
        bool nested = before && before->is_object() && member.value.is_object();
        // An object that takes the place of something else must not bring nulls that would delete.
        patch.set(member.key, nested ? make_merge_patch(*before, member.value) : member.value);
    }
    return patch;
}

} // namespace cloudlet::api
