#pragma once
// Facts about pods and conditions that several controllers ask for. Pure.

#include "cloudlet/api/object.h"
#include "cloudlet/base/clock.h"

namespace cloudlet::kube::controllers {

/// Neither ended nor being deleted: it counts as a replica.
bool is_active(const api::Object& pod);
bool has_ended(const api::Object& pod);
bool is_ready(const api::Object& pod);

/// When it became ready, if it is.
std::optional<WallTime> ready_since(const api::Object& pod);

/// Ready for `min_ready` at least. `remaining` is what is missing, zero when it is available or not
/// ready.
struct Availability {
    bool available = false;
    Duration remaining{0};
};
Availability availability_of(const api::Object& pod, Duration min_ready, WallTime now);

/// A condition as apps/v1 spells them.
codec::Json make_condition(std::string_view type, std::string_view status, std::string_view reason,
                           std::string_view message, WallTime now);

/// The conditions with `condition` in place of the one of its type. What has the same status keeps
/// its lastTransitionTime; what is the same in status, reason and message stays as it is.
codec::Json with_condition(const codec::Json& conditions, codec::Json condition);
codec::Json without_condition(const codec::Json& conditions, std::string_view type);
const codec::Json& find_condition(const codec::Json& conditions, std::string_view type);

} // namespace cloudlet::kube::controllers
