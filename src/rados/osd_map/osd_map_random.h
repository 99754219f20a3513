#pragma once
// Random OSD maps for tests: several pools of both types over a random hierarchy, OSDs in every
// state, every kind of exception. What osdmaptool can be asked about them, it can be asked about
// ours.

#include "cloudlet/base/random.h"
#include "cloudlet/rados/osd_map.h"

namespace cloudlet::rados {

OsdMap random_osd_map(Random& random);

/// A step to the next epoch that changes a few random things.
OsdMapIncremental random_step(Random& random, const OsdMap& map);

/// A pool with every field set, for the text and the encoding.
Pool random_pool(Random& random);

} // namespace cloudlet::rados
