#include "monitor/osd_wishes.h"

#include <algorithm>

#include "cloudlet/rados/osd_liveness.h"
#include "cloudlet/rados/planted_bug.h"

namespace cloudlet::rados {
namespace {

const OsdInfo& info_of(const OsdMap& map, int32_t osd) {
    return map.osd_info[static_cast<size_t>(osd)];
}

/// One that is new or that time put out comes in again; one that an operator took out does not.
bool comes_in(const MapDraft& draft, int32_t osd) {
    const OsdMap& map = draft.map();
    const bool held = (draft.flags() & map_noin) && !planted(PlantedBug::ignore_noin);
    if (!map.is_out(osd) || held || has_osd_flag(map, osd, osd_noin)) return false;
    return map.osd_state[static_cast<size_t>(osd)] & (osd_autoout | osd_new);
}

/// How likely it is to live though it is silent, and for how long: OsdLiveness is the more patient
/// with it. Each boot counts for a third; that of a new process says that it had not lived.
OsdExtraInfo learn_lag(OsdExtraInfo extra, bool lived, const Timestamp& now) {
    constexpr double weight = 0.3;         // mon_osd_laggy_weight
    constexpr uint32_t most_seconds = 300; // mon_osd_laggy_max_interval
    const uint32_t down =
        std::min(now.seconds - std::min(extra.down_stamp.seconds, now.seconds), most_seconds);
    auto blend = [&](uint32_t before, double seen) {
        return static_cast<uint32_t>(before * (1 - weight) + seen * weight);
    };
    extra.laggy_probability = blend(extra.laggy_probability, lived ? double{0xffffffff} : 0);
    if (!lived || extra.down_stamp != Timestamp{})
        extra.laggy_interval = blend(extra.laggy_interval, lived ? down : 0);
    return extra;
}

void mark_up(MapDraft& draft, int32_t osd, const message::Boot& boot) {
    auto slot = static_cast<size_t>(osd);
    const OsdMap& map = draft.map();
    OsdMapIncremental& step = draft.change();
    step.new_up_client[osd] = step.new_heartbeat_front[osd] = boot.address;
    step.new_up_cluster[osd] = step.new_heartbeat_back[osd] =
        boot.cluster_address.addresses.empty() ? boot.address : boot.cluster_address;
    if (map.osd_uuid[slot] != boot.disk) step.new_uuid[osd] = boot.disk;
    const OsdExtraInfo& known = map.osd_extra[slot];
    if (OsdExtraInfo extra = learn_lag(known, boot.lived, draft.modified()); extra != known)
        step.new_extra[osd] = std::move(extra);
    if (!comes_in(draft, osd)) return;
    uint32_t old = map.osd_extra[slot].old_weight;
    step.new_weight[osd] = old ? old : crush_weight_one;
}

} // namespace

std::string_view boot_obstacle(const OsdMap& map, uint32_t flags, int32_t osd) {
    if (!map.exists(osd)) return "there is no such OSD in the map";
    const bool held = (flags & map_noup) && !planted(PlantedBug::ignore_noup);
    if (held || has_osd_flag(map, osd, osd_noup)) return "noup is set";
    return {};
}

void OsdWishes::boot(int32_t osd, Epoch epoch, const message::Boot& wish) {
    boots_[osd] = {epoch, wish};
}

void OsdWishes::alive(int32_t osd, Epoch epoch, Epoch up_thru) {
    Alive& wish = alive_[osd];
    wish = {epoch, std::max(wish.up_thru, up_thru)};
}

void OsdWishes::forget(int32_t osd) {
    boots_.erase(osd);
    alive_.erase(osd);
}

void OsdWishes::draft_boots(MapDraft& draft) {
    const OsdMap& map = draft.map();
    std::erase_if(boots_, [&](const auto& entry) {
        auto& [osd, boot] = entry;
        if (!boot_obstacle(map, draft.flags(), osd).empty()) return true;
        return map.is_up(osd) && info_of(map, osd).up_from > boot.epoch &&
               map.client_addresses[static_cast<size_t>(osd)] == boot.wish.address;
    });
    for (const auto& [osd, boot] : boots_) {
        if (!draft.claim(osd)) continue;
        if (map.is_up(osd))
            mark_down(draft.change(), osd);
        else
            mark_up(draft, osd, boot.wish);
    }
}

void OsdWishes::draft_up_thru(MapDraft& draft) {
    const OsdMap& map = draft.map();
    std::erase_if(alive_, [&](const auto& entry) {
        auto& [osd, wish] = entry;
        return !map.is_up(osd) || info_of(map, osd).up_from > wish.epoch ||
               info_of(map, osd).up_thru >= wish.up_thru;
    });
    for (const auto& [osd, wish] : alive_)
        if (!draft.is_claimed(osd)) draft.change().new_up_thru[osd] = wish.up_thru;
}

} // namespace cloudlet::rados
