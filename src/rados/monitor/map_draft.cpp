#include "monitor/map_draft.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/rados/crush_codec.h"

namespace cloudlet::rados {
namespace {

Timestamp stamp_of(WallTime wall) {
    auto since = std::max(wall.time_since_epoch(), WallTime::duration::zero());
    auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since);
    return {static_cast<uint32_t>(seconds.count()),
            static_cast<uint32_t>((since - seconds).count())};
}

bool changes_up(const OsdMapIncremental& step) {
    return !step.new_up_client.empty() ||
           std::any_of(step.new_state.begin(), step.new_state.end(),
                       [](const auto& entry) { return entry.second & osd_up; });
}

bool changes_in(const OsdMap& map, const OsdMapIncremental& step) {
    return std::any_of(step.new_weight.begin(), step.new_weight.end(), [&](const auto& entry) {
        return map.is_out(entry.first) != (entry.second == 0);
    });
}

} // namespace

MapDraft::MapDraft(const OsdMap& map, WallTime wall) : map_(&map) {
    step_.fsid = map.fsid;
    step_.epoch = map.epoch + 1;
    step_.modified = std::max(stamp_of(wall), map.modified);
}

MapStep MapDraft::finish() {
    if (changes_up(step_)) step_.new_last_up_change = step_.modified;
    if (changes_in(*map_, step_)) step_.new_last_in_change = step_.modified;
    if (crush_) step_.crush = encode_crush_map(*crush_);
    return std::make_shared<const OsdMapIncremental>(std::move(step_));
}

std::string describe(const OsdMap& map, const OsdMapIncremental& step) {
    std::string text;
    auto add = [&](std::string_view what) {
        text += text.empty() ? "" : ", ";
        text += what;
    };
    for (const auto& [osd, address] : step.new_up_client) add(fmt::format("osd.{} up", osd));
    for (const auto& [osd, bits] : step.new_state) {
        if (map.is_up(osd) && (bits & osd_up)) add(fmt::format("osd.{} down", osd));
        if (map.exists(osd) && (bits & osd_exists)) add(fmt::format("osd.{} gone", osd));
        if (bits & (osd_nearfull | osd_backfillfull | osd_full))
            add(fmt::format("osd.{} fuller or emptier", osd));
    }
    for (const auto& [osd, weight] : step.new_weight)
        add(weight ? fmt::format("osd.{} in", osd) : fmt::format("osd.{} out", osd));
    for (const auto& [osd, epoch] : step.new_up_thru)
        add(fmt::format("osd.{} up through {}", osd, epoch));
    for (const auto& [osd, epoch] : step.new_lost) add(fmt::format("osd.{} lost", osd));
    for (const auto& [pg, osds] : step.new_pg_temp)
        add(fmt::format("pg {} temporarily on [{}]", pg.to_string(), fmt::join(osds, ",")));
    if (step.new_flags >= 0) add(fmt::format("flags {:#x}", step.new_flags));
    if (!step.crush.empty()) add("another hierarchy");
    return text;
}

bool has_osd_flag(const OsdMap& map, int32_t osd, uint32_t flag) {
    if (map.osd_state[static_cast<size_t>(osd)] & flag) return true;
    if (map.crush_node_flags.empty()) return false;
    for (auto at = map.crush->parent_of(osd); at; at = map.crush->parent_of(*at)) {
        auto found = map.crush_node_flags.find(*at);
        if (found != map.crush_node_flags.end() && (found->second & flag)) return true;
    }
    return false;
}

} // namespace cloudlet::rados
