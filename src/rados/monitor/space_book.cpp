#include "monitor/space_book.h"

namespace cloudlet::rados {
namespace {

constexpr uint32_t full_states = osd_nearfull | osd_backfillfull | osd_full;
constexpr uint32_t full_flags = map_nearfull | map_full;

uint32_t level_of(OsdSpace space, FullRatios ratios) {
    if (space.capacity == 0) return 0;
    double ratio = static_cast<double>(space.used) / static_cast<double>(space.capacity);
    if (ratio >= ratios.full) return osd_full;
    if (ratio >= ratios.backfillfull) return osd_backfillfull;
    return ratio >= ratios.nearfull ? uint32_t{osd_nearfull} : 0;
}

/// The full bits that the OSD will have after the step.
uint32_t level_after(const MapDraft& draft, int32_t osd) {
    uint32_t state = draft.map().osd_state[static_cast<size_t>(osd)];
    auto change = draft.step().new_state.find(osd);
    if (change != draft.step().new_state.end()) state ^= change->second;
    return state & full_states;
}

} // namespace

void SpaceBook::draft(MapDraft& draft) {
    const OsdMap& map = draft.map();
    FullRatios ratios = full_ratios(map);
    std::erase_if(spaces_, [&](const auto& entry) { return !map.exists(entry.first); });
    for (const auto& [osd, space] : spaces_) {
        if (!map.is_up(osd)) continue;
        uint32_t state = map.osd_state[static_cast<size_t>(osd)] & full_states;
        uint32_t change = state ^ level_of(space, ratios);
        if (change && draft.claim(osd)) draft.change().new_state[osd] = change;
    }
    uint32_t wanted = 0;
    for (int32_t osd = 0; osd < map.max_osd(); ++osd) {
        if (!map.is_up(osd) || map.is_out(osd)) continue;
        uint32_t level = level_after(draft, osd);
        if (level) wanted |= map_nearfull;
        if (level & osd_full) wanted |= map_full;
    }
    if ((draft.flags() & full_flags) != wanted)
        draft.set_flags((draft.flags() & ~full_flags) | wanted);
}

} // namespace cloudlet::rados
