#pragma once
// What peering decides once every copy that matters has told what it has: whose log is right, who
// serves, who is filled by backfill; and how a PG's state is called. Pure functions of values.

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/pg_intervals.h"
#include "cloudlet/rados/pg_types.h"

namespace cloudlet::rados {

/// What each copy that was asked said of itself.
using PgInfos = std::map<PgShard, PgInfo>;

/// The epoch of the latest activation that any copy knows of: the log must come from a copy that
/// took part in it, or in a later one. A copy in the middle of backfill speaks by its history only.
Epoch last_epoch_started(const PgInfos& infos);

/// The copy whose log all others follow: of those that activated last and hold all objects, the one
/// with the newest entry; of equals the one with the longest log, then `primary` (the present one).
/// Erasure-coded pools take the oldest head instead: a write that not all shards got can be rolled
/// back, but not be completed. None when no such copy was heard of: the PG is incomplete.
std::optional<PgShard> choose_authoritative(const PgInfos& infos, PgShard primary,
                                            bool erasure = false);

struct ActingLimits {
    /// With more entries than this behind, the up primary leaves its place until it caught up.
    uint64_t primary_behind = 100;
    /// Erasure-coded pools: as many shards as it takes to read.
    size_t least_to_read = 1;
};

/// Who should serve.
struct ActingChoice {
    bool incomplete = false; // nobody can serve; the rest is empty then
    PgShard authority = {};  // whose log it is
    PgShard primary = {};
    std::vector<int32_t> acting = {}; // wanted; holes where positions matter
    std::set<PgShard> backfill = {};  // of up, to be filled from nothing or from their cursor
    /// What to ask of the monitors: a pg_temp, or with no OSDs in it the end of one. None when
    /// acting is already as wanted.
    std::optional<std::vector<int32_t>> pg_temp = {};

    bool operator==(const ActingChoice&) const = default;
};

/// A copy serves when it holds all objects and its log overlaps that of the authority; it then
/// lacks at most what the log lists. Up copies that do not are backfilled, and meanwhile others,
/// present or past, take their places. `now`: the present view.
ActingChoice choose_acting(const PgInfos& infos, const PgView& now,
                           const ActingLimits& limits = {});

/// The state of a PG: a set of flags with Ceph's names.
enum class PgFlag : uint8_t { // in the order in which they are printed
    stale,
    creating,
    active,
    activating,
    clean,
    recovery_wait,
    recovery_toofull,
    recovering,
    forced_recovery,
    down,
    recovery_unfound,
    backfill_unfound,
    undersized,
    degraded,
    remapped,
    premerge,
    scrubbing,
    deep,
    inconsistent,
    peering,
    repair,
    backfill_wait,
    backfilling,
    forced_backfill,
    backfill_toofull,
    incomplete,
    peered,
    snaptrim,
    snaptrim_wait,
    snaptrim_error,
    failed_repair,
    laggy,
    wait,
};

class PgState {
public:
    constexpr PgState() = default;
    constexpr PgState(std::initializer_list<PgFlag> flags) {
        for (PgFlag flag : flags) set(flag);
    }
    constexpr bool has(PgFlag flag) const { return bits_ >> static_cast<int>(flag) & 1; }
    constexpr void set(PgFlag flag) { bits_ |= uint64_t{1} << static_cast<int>(flag); }
    constexpr void clear(PgFlag flag) { bits_ &= ~(uint64_t{1} << static_cast<int>(flag)); }
    constexpr bool operator==(const PgState&) const = default;
    constexpr uint64_t bits() const { return bits_; } // bit n: the PgFlag of number n
    /// Error: Code::invalid when a bit is no flag's.
    static Result<PgState> from_bits(uint64_t bits);
    /// "active+undersized+degraded"; "unknown" when nothing is set.
    std::string to_string() const;
    /// Error: Code::invalid naming the word that is no state.
    static Result<PgState> parse(std::string_view text);

private:
    uint64_t bits_ = 0; // ours; Ceph numbers them otherwise
};

/// What of the state follows from who is there once peering is over: active or peered (below
/// min_size), undersized, degraded, remapped, clean.
/// `objects_missing`: some serving copy lacks objects.
PgState state_after_peering(const PgView& now, const ActingChoice& choice, bool objects_missing);

} // namespace cloudlet::rados
