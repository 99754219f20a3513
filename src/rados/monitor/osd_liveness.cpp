#include "cloudlet/rados/osd_liveness.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "cloudlet/rados/planted_bug.h"
#include "monitor/map_draft.h"

namespace cloudlet::rados {
namespace {

OsdExtraInfo extra_of(const OsdMap& map, int32_t osd) {
    auto slot = static_cast<size_t>(osd);
    return slot < map.osd_extra.size() ? map.osd_extra[slot] : OsdExtraInfo{};
}

/// The item itself or the nearest one above it of a type; the item when there is none.
int32_t domain_of(const CrushMap& crush, int32_t item, std::string_view type_name) {
    auto type = crush.type_of(type_name);
    for (std::optional<int32_t> at = item; at && type; at = crush.parent_of(*at))
        if (crush.type_of_item(*at) == type) return *at;
    return item;
}

/// Its process has ended: nobody need wait until it can be reading no more.
OsdExtraInfo dead_from_next(const OsdMap& map, int32_t osd) {
    OsdExtraInfo extra = extra_of(map, osd);
    extra.envelope.version = std::max<uint8_t>(extra.envelope.version, 4); // which can say so
    extra.dead_epoch = map.epoch + 1;
    return extra;
}

struct Counts {
    size_t exist = 0, up = 0, in = 0;
};

Counts count(const OsdMap& map) {
    Counts counts;
    for (int32_t osd = 0; osd < map.max_osd(); ++osd) {
        counts.exist += map.exists(osd);
        counts.up += map.is_up(osd);
        counts.in += !map.is_out(osd);
    }
    return counts;
}

double ratio(size_t part, size_t whole) {
    return whole ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

/// "Laggy" is an OSD that was marked down though it lived: it gets more time, less so the longer
/// it is silent now.
double laggy_seconds(const OsdExtraInfo& extra) {
    return extra.laggy_interval * (extra.laggy_probability / double{0xffffffff});
}

} // namespace

void OsdLiveness::report(int32_t target, int32_t reporter, MonotonicTime since, bool gone) {
    if (target != reporter) reports_[target][reporter] = {since, gone};
}

void OsdLiveness::withdraw(int32_t target, int32_t reporter) {
    if (planted(PlantedBug::keep_withdrawn_report)) return;
    auto found = reports_.find(target);
    if (found == reports_.end()) return;
    found->second.erase(reporter);
    if (found->second.empty()) reports_.erase(found);
}

void OsdLiveness::beacon(int32_t osd, MonotonicTime now) { beacons_[osd] = now; }

size_t OsdLiveness::reports() const {
    size_t count = 0;
    for (const auto& [target, reporters] : reports_) count += reporters.size();
    return count;
}

std::optional<OsdMapIncremental> OsdLiveness::judge(const OsdMap& map, MonotonicTime now) {
    forget_the_gone(map, now);
    OsdMapIncremental step;
    Counts counts = count(map);
    for (int32_t osd = 0; osd < map.max_osd(); ++osd) {
        const bool held = (map.flags & map_nodown) && !planted(PlantedBug::ignore_nodown);
        if (!map.is_up(osd) || held || has_osd_flag(map, osd, osd_nodown)) continue;
        const bool gone = is_gone(osd);
        bool silent = now - beacons_.at(osd) >= options_.beacon_timeout;
        if (!gone && !silent && !is_convicted(map, osd, now)) continue;
        if (ratio(counts.up - 1, counts.exist) < options_.min_up_ratio) break;
        --counts.up;
        mark_down(step, osd);
        if (gone) step.new_extra[osd] = dead_from_next(map, osd);
    }
    for (auto [osd, since] : down_since_) {
        if (now - since < options_.down_out_interval || !may_go_out(map, osd)) continue;
        if (ratio(counts.in - 1, counts.exist) < options_.min_in_ratio) break;
        --counts.in;
        mark_out(map, step, osd);
    }
    if (step.new_state.empty() && step.new_weight.empty()) return std::nullopt;
    step.fsid = map.fsid;
    step.epoch = map.epoch + 1;
    return step;
}

/// An OSD enters each record when this monitor first sees it in that state.
void OsdLiveness::forget_the_gone(const OsdMap& map, MonotonicTime now) {
    auto is_gone = [&](const auto& entry) { return !map.is_up(entry.first); };
    for (auto& [target, reporters] : reports_) std::erase_if(reporters, is_gone);
    std::erase_if(reports_,
                  [&](const auto& entry) { return is_gone(entry) || entry.second.empty(); });
    std::erase_if(beacons_, is_gone);
    std::erase_if(down_since_, [&](const auto& entry) {
        return map.is_up(entry.first) || map.is_out(entry.first);
    });
    for (int32_t osd = 0; osd < map.max_osd(); ++osd) {
        if (map.is_up(osd))
            beacons_.try_emplace(osd, now);
        else if (!map.is_out(osd))
            down_since_.try_emplace(osd, now);
    }
}

bool OsdLiveness::is_gone(int32_t target) const {
    auto found = reports_.find(target);
    return found != reports_.end() &&
           std::ranges::any_of(found->second, [](const auto& it) { return it.second.gone; });
}

bool OsdLiveness::is_convicted(const OsdMap& map, int32_t target, MonotonicTime now) const {
    auto found = reports_.find(target);
    size_t needed = planted(PlantedBug::one_reporter_convinces) ? 1 : options_.min_reporters;
    if (found == reports_.end() || found->second.size() < needed) return false;
    std::set<int32_t> all_domains, domains;
    for (int32_t osd = 0; osd < map.max_osd(); ++osd)
        if (map.exists(osd))
            all_domains.insert(domain_of(*map.crush, osd, options_.reporter_level));
    bool one_machine = all_domains.size() <= 1;
    MonotonicTime last_since = MonotonicTime::min();
    for (const auto& [reporter, report] : found->second) {
        last_since = std::max(last_since, report.since);
        domains.insert(one_machine ? reporter
                                   : domain_of(*map.crush, reporter, options_.reporter_level));
    }
    if (domains.size() < needed) return false;
    Duration silent = now - last_since;
    return silent >= grace_of(map, target, silent);
}

Duration OsdLiveness::grace_of(const OsdMap& map, int32_t target, Duration silent) const {
    const auto& reporters = reports_.at(target);
    double peers = 0;
    for (const auto& [reporter, report] : reporters)
        peers += laggy_seconds(extra_of(map, reporter));
    double extra = laggy_seconds(extra_of(map, target)) +
                   peers / static_cast<double>(std::max<size_t>(1, reporters.size()));
    double halflives = std::chrono::duration<double>(silent) / options_.laggy_halflife;
    std::chrono::duration<double> more(extra * std::exp2(-halflives));
    return options_.grace + std::chrono::duration_cast<Duration>(more);
}

/// A whole rack that is down at once is a switch or a fuse, and copying all of it elsewhere is the
/// last thing that anybody wants.
bool OsdLiveness::may_go_out(const OsdMap& map, int32_t osd) const {
    const bool held = (map.flags & map_noout) && !planted(PlantedBug::ignore_noout);
    if (held || has_osd_flag(map, osd, osd_noout)) return false;
    int32_t domain = domain_of(*map.crush, osd, options_.down_out_limit);
    if (domain == osd) return true; // it stands in no rack
    auto devices = map.crush->devices_below(domain);
    return std::any_of(devices.begin(), devices.end(), [&](int32_t it) { return map.is_up(it); });
}

void mark_down(OsdMapIncremental& step, int32_t osd) { step.new_state[osd] |= osd_up; }

void mark_out(const OsdMap& map, OsdMapIncremental& step, int32_t osd) {
    step.new_weight[osd] = 0;
    // A state's change of 0 would mean the up bit.
    if (!(map.osd_state[static_cast<size_t>(osd)] & osd_autoout))
        step.new_state[osd] |= osd_autoout;
    auto extra = extra_of(map, osd);
    extra.old_weight = map.osd_weight[static_cast<size_t>(osd)];
    step.new_extra[osd] = extra;
}

bool MarkdownHistory::add(MonotonicTime now) {
    times_.push_back(now);
    while (now - times_.front() > period) times_.pop_front();
    return times_.size() > most;
}

} // namespace cloudlet::rados
