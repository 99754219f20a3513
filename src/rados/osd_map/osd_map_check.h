#pragma once
// What a map may hold beyond what its format allows: a map or a step that breaks it is refused.

#include <map>

#include "cloudlet/rados/osd_map.h"

namespace cloudlet::rados {

/// Types that exist, and numbers of PGs that object hashes can be folded into.
Result<void> check_pools(const std::map<PoolId, Pool>& pools);

} // namespace cloudlet::rados
