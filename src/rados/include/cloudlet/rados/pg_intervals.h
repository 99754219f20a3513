#pragma once
// Intervals: spans of epochs in which a PG had the same OSDs in the same roles. A new one means
// peering. From those that passed follows whom a primary must ask before it may serve, and when it
// must not: an interval that may have taken writes, of which nobody is left, cannot be skipped.
//
// Pure values and functions. A thread that changes a PastIntervals owns it.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "cloudlet/rados/osd_map.h"
#include "cloudlet/rados/pg_types.h"
#include "cloudlet/rados/placement.h"

namespace cloudlet::rados {

/// A member of an up or acting set.
struct PgMember {
    int32_t osd = no_osd;
    Epoch up_from = 0;
    Uuid disk = {};
    bool operator==(const PgMember&) const = default;
};

/// What one OSD map says of one PG, as far as it decides about intervals.
struct PgView {
    PgId pg = {};
    Epoch epoch = 0;
    OsdSet up = {}, acting = {};
    uint8_t size = 0, min_size = 0;
    bool erasure = false;
    uint32_t pg_num = 0, pg_num_pending = 0;
    uint32_t flags = 0;                 // MapFlag bits that matter: see interval_flags
    std::vector<PgMember> members = {}; // of up and acting, ascending

    /// Members of acting that are there; a hole of an erasure-coded pool is not.
    size_t acting_count() const;
    /// "3" or "3(1)": the member at a position of up or acting.
    PgShard at(const OsdSet& set, size_t position) const;
};

/// Flags that change the order of objects, or how a removal is replayed.
inline constexpr uint32_t interval_flags = map_sortbitwise | map_recovery_deletes;

/// The view of a PG by a map. A pool that does not exist gives an empty view.
PgView view_pg(const Placer& placer, CrushWorkspace& work, PgId pg);
/// The same with sets that are known already.
PgView view_pg(const OsdMap& map, PgId pg, OsdSet up, OsdSet acting);

/// Why a new interval begins.
enum class IntervalChange : uint8_t {
    acting_primary,
    acting,
    up_primary,
    up,
    restarted, // a member went down and came up between the two maps
    size,
    min_size,
    pg_num, // this very PG splits, or is the source or target of a merge
    flags,
};
std::string_view name_of(IntervalChange change);

/// The first reason for a new interval between two maps, the newer one second; none when the
/// interval goes on. The maps need not be adjacent.
std::optional<IntervalChange> interval_change(const PgView& before, const PgView& after);

/// True when going from `from` to `to` PGs (or back) splits or merges the PG of this seed.
bool pg_num_touches(uint32_t seed, uint32_t from, uint32_t to);

/// An interval that passed.
struct PastInterval {
    Epoch first = 0, last = 0;
    OsdSet up = {}, acting = {};
    std::map<int32_t, Uuid> disks = {};
    bool erasure = false;
    bool maybe_went_rw = false;
    bool operator==(const PastInterval&) const = default;
};

/// Closes the interval that began in `first` with `view`; `last_map` is the map of its last epoch.
/// It may have gone read-write when enough of it was there (min_size), and its primary had told the
/// monitors so (up_thru) or the PG was clean in it.
PastInterval close_interval(const PgView& view, Epoch first, const OsdMap& last_map,
                            Epoch last_epoch_clean);

/// Whether the primary must have the monitors record that it is alive in this interval (up_thru)
/// before it may activate; else nobody could tell later whether it had.
bool needs_up_thru(const OsdMap& map, int32_t osd, Epoch same_interval_since);

/// Whom to ask, and whether that is enough.
struct PriorSet {
    std::set<PgShard> ask;               // up now: present members and those of past intervals
    std::set<int32_t> lost;              // members that are gone for good
    std::map<int32_t, Epoch> blocked_by; // members that must come back: by their lost_at
    bool down = false;                   // the PG must wait for one of blocked_by
};

class PastIntervals {
public:
    const std::vector<PastInterval>& intervals() const { return intervals_; } // oldest first
    bool empty() const { return intervals_.empty(); }
    /// The interval must begin behind the last one.
    void add(PastInterval interval);
    /// Once all copies are whole, what was before does not matter.
    void forget_before(Epoch last_epoch_clean);

    /// Asks back to the last activation that is known of (history.last_epoch_started; nothing older
    /// can have a write that a later one lacks). A member of the past counts when it is up and
    /// still has the disk it had; one that does not is waited for, unless the operator declared it
    /// lost after the interval, or removed it from the map. `least`: how many members can read what
    /// an interval wrote; data chunks, or 1. `damaged`: members that have lost what they knew of
    /// intervals that began up to an epoch, which is as if they were down.
    PriorSet prior_set(const PgView& now, const OsdMap& map, Epoch last_epoch_started,
                       size_t least = 1, const std::map<int32_t, Epoch>& damaged = {}) const;

private:
    std::vector<PastInterval> intervals_;
};

} // namespace cloudlet::rados
