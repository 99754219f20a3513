#pragma once
// The mistakes that nearly everybody makes once with a storage map, found before data is lost over
// them: weights that are all 0, a rule that wants more hosts than there are, old tunables in a
// small hierarchy. Each finding says what is wrong with what, and the command that puts it right.
// Pure, thread-safe.

#include <span>
#include <string>
#include <vector>

#include "cloudlet/rados/placement.h"

namespace cloudlet::rados {

struct Finding {
    std::string cause;  // "pool 'rbd': every device below 'default' has CRUSH weight 0, so ..."
    std::string remedy; // "ceph osd crush reweight osd.0 1.0, and so on ..."
    bool operator==(const Finding&) const = default;
};

/// What stands out in a map, pool by pool, most basic cause first. Places all PGs to see whether
/// the rules find enough devices; a map whose hierarchy cannot be walked is one finding.
std::vector<Finding> diagnose(const OsdMap& map);

/// The same from placements that the caller has, one for each pool.
std::vector<Finding> diagnose(const OsdMap& map, std::span<const PoolPlacement* const> placements);

} // namespace cloudlet::rados
