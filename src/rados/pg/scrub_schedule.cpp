#include "cloudlet/rados/scrub_schedule.h"

#include <algorithm>

#include "cloudlet/rados/crush_hash.h"

namespace cloudlet::rados {

namespace {

/// In [0, 1); the same for everybody until the PG is scrubbed again.
double lot(PgId pg, const PgHistory& history, uint32_t which) {
    const uint32_t drawn = crush_hash32(static_cast<uint32_t>(pg.pool), pg.seed,
                                        static_cast<uint32_t>(history.scrubs), which);
    return static_cast<double>(drawn) / 0x1p32;
}

WallTime due_at(WallTime stamp, Duration interval, WallTime now) {
    return stamp > now ? WallTime{} : stamp + interval;
}

} // namespace

std::optional<DueScrub> due_scrub(PgId pg, const PgHistory& history,
                                  const ScrubIntervals& intervals, ScrubHolds holds, WallTime now) {
    const auto later = Duration(static_cast<Duration::rep>(
        static_cast<double>(intervals.least.count()) * intervals.spread * lot(pg, history, 0)));
    const Duration interval = std::min(intervals.least + later, intervals.most);
    const WallTime shallow = due_at(history.last_scrub_stamp, interval, now);
    const WallTime deep = due_at(history.last_deep_scrub_stamp, intervals.deep, now);
    const bool is_shallow_due = shallow <= now, is_deep_due = deep <= now;
    const bool is_damaged = history.known_scrub_errors() > 0;
    if (!holds.deep && is_deep_due) return DueScrub{true, std::min(shallow, deep)};
    if (!is_shallow_due) return std::nullopt;
    if (is_damaged) return holds.deep ? std::nullopt : std::optional(DueScrub{true, shallow});
    if (holds.shallow) return std::nullopt;
    const bool becomes_deep = !holds.deep && lot(pg, history, 1) < intervals.become_deep;
    return DueScrub{becomes_deep, shallow};
}

} // namespace cloudlet::rados
