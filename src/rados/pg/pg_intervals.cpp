#include "cloudlet/rados/pg_intervals.h"

#include <algorithm>
#include <bit>

#include "cloudlet/base/check.h"

namespace cloudlet::rados {

namespace {

bool is_member(int32_t osd) { return osd != osd_none && osd != no_osd; }

const OsdInfo* info_of(const OsdMap& map, int32_t osd) {
    return map.has_osd(osd) ? &map.osd_info[static_cast<size_t>(osd)] : nullptr;
}

PgShard shard_at(const OsdSet& set, size_t position, bool erasure) {
    return {set.osds[position], erasure ? static_cast<int8_t>(position) : no_shard};
}

/// True when one of the PGs from `few` up to `many` is a child of this seed.
bool has_child(uint32_t seed, uint32_t few, uint32_t many) {
    if (few == 0 || seed >= few) return false;
    uint32_t mask = std::bit_ceil(few) - 1;
    uint32_t step = std::max(1u, (mask + 1) / 2); // children differ from it above this bit only
    for (uint64_t child = uint64_t{seed} + step; child < many; child += step)
        if (child >= few && stable_mod(static_cast<uint32_t>(child), few, mask) == seed)
            return true;
    return false;
}

bool restarted(const PgView& before, const PgView& after) {
    return std::ranges::any_of(after.members, [&](const PgMember& member) {
        auto old = std::ranges::find(before.members, member.osd, &PgMember::osd);
        return old != before.members.end() && old->up_from != member.up_from;
    });
}

} // namespace

size_t PgView::acting_count() const {
    return static_cast<size_t>(std::count_if(acting.osds.begin(), acting.osds.end(), is_member));
}

PgShard PgView::at(const OsdSet& set, size_t position) const {
    return shard_at(set, position, erasure);
}

PgView view_pg(const OsdMap& map, PgId pg, OsdSet up, OsdSet acting) {
    PgView view{.pg = pg, .epoch = map.epoch, .up = std::move(up), .acting = std::move(acting)};
    view.flags = map.flags & interval_flags;
    if (const Pool* pool = map.pool(pg.pool)) {
        view.size = pool->size;
        view.min_size = pool->min_size;
        view.pg_num = pool->pg_num;
        view.pg_num_pending = pool->pg_num_pending;
        view.erasure = pool->is_erasure();
    }
    view.members.reserve(view.up.osds.size());
    for (const OsdSet* set : {&view.up, &view.acting}) {
        for (int32_t osd : set->osds) {
            auto at = std::ranges::lower_bound(view.members, osd, {}, &PgMember::osd);
            if (!map.has_osd(osd) || (at != view.members.end() && at->osd == osd)) continue;
            const auto index = static_cast<size_t>(osd);
            view.members.insert(at, {osd, map.osd_info[index].up_from, map.osd_uuid[index]});
        }
    }
    return view;
}

PgView view_pg(const Placer& placer, CrushWorkspace& work, PgId pg) {
    PgSets sets = placer.place(work, pg);
    return view_pg(placer.map(), pg, std::move(sets.up), std::move(sets.acting));
}

std::string_view name_of(IntervalChange change) {
    switch (change) {
    case IntervalChange::acting_primary: return "acting primary";
    case IntervalChange::acting: return "acting set";
    case IntervalChange::up_primary: return "up primary";
    case IntervalChange::up: return "up set";
    case IntervalChange::restarted: return "a member restarted";
    case IntervalChange::size: return "size";
    case IntervalChange::min_size: return "min_size";
    case IntervalChange::pg_num: return "pg_num";
    case IntervalChange::flags: return "flags";
    }
    return "unknown";
}

bool pg_num_touches(uint32_t seed, uint32_t from, uint32_t to) {
    auto [few, many] = std::minmax(from, to);
    if (few == many) return false;
    bool comes_or_goes = seed >= few && seed < many;
    return comes_or_goes || has_child(seed, few, many);
}

std::optional<IntervalChange> interval_change(const PgView& before, const PgView& after) {
    if (before.acting.primary != after.acting.primary) return IntervalChange::acting_primary;
    if (before.acting.osds != after.acting.osds) return IntervalChange::acting;
    if (before.up.primary != after.up.primary) return IntervalChange::up_primary;
    if (before.up.osds != after.up.osds) return IntervalChange::up;
    if (restarted(before, after)) return IntervalChange::restarted;
    if (before.size != after.size) return IntervalChange::size;
    if (before.min_size != after.min_size) return IntervalChange::min_size;
    if (pg_num_touches(before.pg.seed, before.pg_num, after.pg_num) ||
        pg_num_touches(before.pg.seed, before.pg_num_pending, after.pg_num_pending))
        return IntervalChange::pg_num;
    if (before.flags != after.flags) return IntervalChange::flags;
    return std::nullopt;
}

PastInterval close_interval(const PgView& view, Epoch first, const OsdMap& last_map,
                            Epoch last_epoch_clean) {
    PastInterval past{.first = first,
                      .last = last_map.epoch,
                      .up = view.up,
                      .acting = view.acting,
                      .erasure = view.erasure};
    for (const PgMember& member : view.members) past.disks.emplace(member.osd, member.disk);
    const OsdInfo* primary = info_of(last_map, view.acting.primary);
    size_t count = view.acting_count();
    if (!primary || count == 0 || count < view.min_size) return past;
    bool told = primary->up_from <= first && primary->up_thru >= first;
    bool clean = first <= last_epoch_clean && last_epoch_clean <= past.last;
    past.maybe_went_rw = told || clean;
    return past;
}

bool needs_up_thru(const OsdMap& map, int32_t osd, Epoch same_interval_since) {
    const OsdInfo* info = info_of(map, osd);
    return !info || info->up_thru < same_interval_since;
}

void PastIntervals::add(PastInterval interval) {
    check(intervals_.empty() || intervals_.back().last < interval.first, "past intervals overlap");
    intervals_.push_back(std::move(interval));
}

void PastIntervals::forget_before(Epoch last_epoch_clean) {
    std::erase_if(intervals_, [&](const PastInterval& i) { return i.last < last_epoch_clean; });
    intervals_.shrink_to_fit(); // mostly nothing is left, and stays so
}

namespace {

enum class Member { present, lost, awaited };

Member state_of(const PastInterval& interval, int32_t osd, const OsdMap& map,
                const std::map<int32_t, Epoch>& damaged) {
    if (!map.exists(osd)) return Member::lost;
    auto at = static_cast<size_t>(osd);
    auto disk = interval.disks.find(osd);
    bool same = disk != interval.disks.end() && disk->second == map.osd_uuid[at];
    auto lost = damaged.find(osd);
    bool knows = lost == damaged.end() || interval.first > lost->second;
    if (map.is_up(osd) && same && knows) return Member::present;
    return map.osd_info[at].lost_at > interval.last ? Member::lost : Member::awaited;
}

/// One past interval's part in the prior set.
void weigh(const PastInterval& interval, const OsdMap& map, size_t least,
           const std::map<int32_t, Epoch>& damaged, PriorSet& prior) {
    std::set<int32_t> present, awaited;
    for (size_t i = 0; i < interval.acting.osds.size(); ++i) {
        int32_t osd = interval.acting.osds[i];
        if (!is_member(osd)) continue;
        Member state = state_of(interval, osd, map, damaged);
        if (state == Member::present) {
            present.insert(osd);
            prior.ask.insert(shard_at(interval.acting, i, interval.erasure));
        }
        if (state == Member::lost) prior.lost.insert(osd);
        if (state == Member::awaited) awaited.insert(osd);
    }
    if (!interval.maybe_went_rw || awaited.empty() || present.size() >= least) return;
    prior.down = true;
    for (int32_t osd : awaited)
        prior.blocked_by[osd] = map.osd_info[static_cast<size_t>(osd)].lost_at;
}

} // namespace

PriorSet PastIntervals::prior_set(const PgView& now, const OsdMap& map, Epoch last_epoch_started,
                                  size_t least, const std::map<int32_t, Epoch>& damaged) const {
    PriorSet prior;
    for (const OsdSet* set : {&now.up, &now.acting})
        for (size_t i = 0; i < set->osds.size(); ++i)
            if (map.is_up(set->osds[i])) prior.ask.insert(now.at(*set, i));
    for (const PastInterval& interval : intervals_)
        if (interval.last >= last_epoch_started) weigh(interval, map, least, damaged, prior);
    return prior;
}

} // namespace cloudlet::rados
