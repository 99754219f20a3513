#pragma once
// Exceptions from CRUSH that even out how many PGs each OSD has: found here, stored in the map as
// pg_upmap_items. CRUSH alone leaves OSDs some percent apart; a few exceptions, each of which moves
// one PG between two OSDs without breaking the rule, bring them to within a PG of their share.
// Pure, thread-safe.

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/osd_map.h"

namespace cloudlet::rados {

/// What to change in a map's exceptions.
struct UpmapChanges {
    std::set<PgId> old_upmap, old_items;
    PgItems new_items;

    bool empty() const { return old_upmap.empty() && old_items.empty() && new_items.empty(); }
    size_t size() const { return old_upmap.size() + old_items.size() + new_items.size(); }
    /// The operator's commands, one a line: "ceph osd pg-upmap-items 1.7 3 5".
    std::string commands() const;
};

void apply_upmap_changes(OsdMap& map, const UpmapChanges& changes);

/// Entries that say nothing any more: of PGs that are gone, that break the pool's rule, lead to an
/// OSD that is out or off the rule's tree, or no longer change anything.
Result<UpmapChanges> stale_upmaps(const OsdMap& map);

struct BalanceOptions {
    size_t max_changes = 10;
    /// PGs that an OSD may be away from its share, by weight.
    uint32_t max_deviation = 5;
};

/// New entries for one pool, the most useful first; none when all OSDs are near their share or
/// nothing more can be moved.
Result<UpmapChanges> balance_pool(const OsdMap& map, PoolId pool, const BalanceOptions& options);

} // namespace cloudlet::rados
