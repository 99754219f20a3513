#pragma once
// Which placements a shrinking hierarchy can touch. straw2 has the property that an item which
// loses weight, or leaves, only ever loses draws: an input that did not draw it draws what it drew
// before. So when all that two maps differ by is lost weight, a walk that never met a losing item
// stays.

#include <cstdint>
#include <optional>
#include <vector>

#include "cloudlet/rados/osd_map.h"

namespace cloudlet::rados {

/// By device: whether it lies below an item that lost weight from `before` to `after`. A complete
/// walk of the rule in which none of them appears is the same in both maps.
///
/// Nothing when a walk's result does not tell what it met: another rule or other tunables, any item
/// that gained weight, algorithms other than straw2 where weights changed, choose_args, more than
/// one choose step, or losing devices that are not fully in (they are drawn and turned down
/// unseen).
std::optional<std::vector<bool>> devices_that_lose(const OsdMap& before, const OsdMap& after,
                                                   int32_t rule, PoolId pool);

} // namespace cloudlet::rados
