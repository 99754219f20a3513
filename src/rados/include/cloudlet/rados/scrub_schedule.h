#pragma once
// When a placement group is scrubbed without being asked to. A pure function of its history, so
// nothing has to be kept in mind, and a new primary goes on where the former one was.
//
// Each primary stamps by its own clock, and clocks jump. A stamp of the future says nothing but
// that some clock was wrong: the PG is due at once, and the next scrub puts a good stamp in its
// place.

#include <optional>

#include "cloudlet/base/clock.h"
#include "cloudlet/rados/pg_types.h"

namespace cloudlet::rados {

/// Ceph's defaults: osd_scrub_min_interval, osd_scrub_max_interval, osd_deep_scrub_interval,
/// osd_scrub_interval_randomize_ratio, osd_deep_scrub_randomize_ratio.
struct ScrubIntervals {
    Duration least = std::chrono::hours(24);
    Duration most = std::chrono::hours(7 * 24); // later than this is late
    Duration deep = std::chrono::hours(7 * 24);
    /// A scrub comes up to this share of the least interval later, so that PGs that were made
    /// together are not scrubbed together for ever.
    double spread = 0.5;
    double become_deep = 0.15; // this share of all shallow scrubs
};

/// What an operator holds: by the flags noscrub and nodeep-scrub.
struct ScrubHolds {
    bool shallow = false, deep = false;
};

struct DueScrub {
    bool deep = false;
    WallTime since = {};
    bool operator==(const DueScrub&) const = default;
};

/// What is due by `now`, if anything is. Where errors are known nothing but a deep scrub is due: a
/// shallow one might not see them, and call the PG consistent.
std::optional<DueScrub> due_scrub(PgId pg, const PgHistory& history,
                                  const ScrubIntervals& intervals, ScrubHolds holds, WallTime now);

} // namespace cloudlet::rados
