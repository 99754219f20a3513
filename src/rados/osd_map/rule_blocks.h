#pragma once
// What a CRUSH rule asks for, read off its steps: where it starts, how many places it wants there,
// and of what type. Enough to tell shares and mistakes; the walk itself is the mapper's.

#include <cstdint>
#include <utility>
#include <vector>

#include "cloudlet/rados/crush_map.h"

namespace cloudlet::rados {

/// One "take ... emit" of a rule.
struct RuleBlock {
    int32_t root = 0;
    int32_t wanted = 0;  // devices that it gives at most
    int32_t domain = 0;  // type of its first choose step: copies go to different ones
    int32_t domains = 0; // how many of them it wants
    bool has_choice = false;
};

/// The blocks of a rule for a pool of `size` copies; together they want `size` at most.
std::vector<RuleBlock> blocks_of(const CrushRule& rule, int32_t size);

/// Devices below an item that draws can reach (no weight 0 on the way), with their weights (16.16).
std::vector<std::pair<int32_t, uint32_t>> reachable_devices(const CrushMap& crush, int32_t root);

/// Buckets of a type at or below `root`; for type 0, devices.
std::vector<int32_t> items_of_type(const CrushMap& crush, int32_t root, int32_t type);

} // namespace cloudlet::rados
