#pragma once
// The past of every PG since the first epoch that is known, by the maps alone: when it was created,
// since when it is as it is, and the intervals before. Each epoch is looked at once.

#include <map>
#include <vector>

#include "cloudlet/rados/map_epoch.h"
#include "cloudlet/rados/pg_intervals.h"
#include "cloudlet/rados/pg_types.h"

namespace cloudlet::rados {

struct PgPast {
    /// epoch_created (of the pool, or the first epoch that is known) and the same_..._since.
    PgHistory history = {};
    PgView view = {}; // of the present interval
    std::vector<PastInterval> intervals = {};
};

class PgPasts {
public:
    /// Where the walk begins.
    void begin(const MapEpoch& base);
    /// The next epoch. A PG that a split makes has the past of its parent: whoever served that may
    /// hold its objects.
    void advance(const MapEpoch& before, const MapEpoch& now);

    const std::map<PgId, PgPast>& all() const { return pasts_; }
    /// The past, or nullptr when there is no such PG.
    const PgPast* find(PgId pg) const;

private:
    void add_new(const MapEpoch& before, const MapEpoch& now);

    std::map<PgId, PgPast> pasts_;
};

} // namespace cloudlet::rados
