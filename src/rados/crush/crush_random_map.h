#pragma once
// Random maps for tests: what an operator might draw, and what only a test would.

#include <cstdint>
#include <vector>

#include "cloudlet/base/random.h"
#include "cloudlet/rados/crush_map.h"
#include "test_seeds.h" // every user of a random map has a seed

namespace cloudlet::rados {

/// A map of one root: one to four levels, any of the five algorithms, weights from 0.00001 up and
/// sometimes 0, rules of all steps, any tunables, device classes with shadow trees, choose_args.
CrushMap random_crush_map(Random& random);

/// Reweights, one for each device: most are in, some out, some between.
std::vector<uint32_t> random_reweights(Random& random, const CrushMap& map);

} // namespace cloudlet::rados
