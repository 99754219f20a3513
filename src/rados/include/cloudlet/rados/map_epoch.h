#pragma once
// One epoch of the OSD map, ready for use: the map, and where it puts every PG. Immutable, so all
// who live in this epoch share it, from any thread. The next epoch costs what the step changes.

#include <map>
#include <memory>
#include <mutex>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/osd_map.h"
#include "cloudlet/rados/pg_intervals.h"
#include "cloudlet/rados/placement.h"

namespace cloudlet::rados {

class MapEpoch;
using MapEpochPtr = std::shared_ptr<const MapEpoch>;
using MapStep = std::shared_ptr<const OsdMapIncremental>;

class MapEpoch {
public:
    /// Error: as Placer::prepare().
    static Result<MapEpochPtr> first(std::shared_ptr<const OsdMap> map);
    /// Error: as apply_incremental().
    static Result<MapEpochPtr> next(const MapEpochPtr& before, const OsdMapIncremental& step);

    Epoch epoch() const { return map_->epoch; }
    const OsdMap& map() const { return *map_; }
    const std::shared_ptr<const OsdMap>& shared_map() const { return map_; }
    const std::map<PoolId, PoolPlacement>& placements() const { return placements_; }

    /// A PG of the pool's present pg_num; empty sets for others.
    PgView view(PgId pg) const;
    OsdSet up(PgId pg) const;
    OsdSet acting(PgId pg) const;
    /// True when the OSD is in the up or acting set.
    bool serves(PgId pg, int32_t osd) const;
    /// The object's PG; {-1, 0} when there is no such pool.
    PgId pg_of(PoolId pool, const ObjectName& object) const;

private:
    MapEpoch(std::shared_ptr<const OsdMap> map, Placer placer)
        : map_(std::move(map)), placer_(std::move(placer)) {}
    void place(const MapEpoch* before);
    const PoolPlacement* placement(PgId pg) const;

    std::shared_ptr<const OsdMap> map_;
    Placer placer_;
    std::map<PoolId, PoolPlacement> placements_;
};

/// Steps that were made already, so that the parts of one process do the work once. Thread-safe.
class MapCache {
public:
    /// As MapEpoch::first(); the same result for the same map, also for one that next()
    /// has made: who starts with a full map meets the others on their way.
    Result<MapEpochPtr> first(const std::shared_ptr<const OsdMap>& map);
    /// As MapEpoch::next(); the same result for the same step after the same map.
    Result<MapEpochPtr> next(const MapEpochPtr& before, const MapStep& step);

    /// Entries, those of what nobody holds any more included until they are swept.
    size_t size() const {
        std::lock_guard lock(mutex_);
        return kept_.size() + by_map_.size();
    }

private:
    using Key = std::pair<const MapEpoch*, const OsdMapIncremental*>;
    struct Kept {
        std::weak_ptr<const MapEpoch> before;
        std::weak_ptr<const OsdMapIncremental> step;
        std::weak_ptr<const MapEpoch> result;
    };
    static constexpr size_t least_sweep = 16;
    void forget_expired();

    mutable std::mutex mutex_;
    size_t sweep_at_ = least_sweep;
    std::map<Key, Kept> kept_;
    std::map<const OsdMap*, std::weak_ptr<const MapEpoch>> by_map_;
};

} // namespace cloudlet::rados
