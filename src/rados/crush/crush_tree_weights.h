#pragma once
// The parts that every change to a map is made of. Each keeps ancestors and weight sets in step and
// leaves the shadow trees to rebuild_shadow_trees().

#include <cstdint>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/crush_map.h"

namespace cloudlet::rados {

/// What becomes of an item's entries in the weight sets of the bucket that weighs it anew.
enum class InSets { same, kept };

/// Weighs an item in one bucket, and that bucket wherever it stands, up to the roots. In the
/// weight sets the ancestors' entries stay; complete_weight_sets() is to follow.
Result<void> weigh_in(CrushMap& map, int32_t bucket, int32_t item, uint32_t weight, InSets in_sets);
/// Weighs an item in every bucket that holds it. Gives how many do.
Result<size_t> weigh_everywhere(CrushMap& map, int32_t item, uint32_t weight, InSets in_sets);

/// Appends an item of weight 0.
Result<void> attach(CrushMap& map, int32_t bucket, int32_t item);
/// Weighs an item 0 and takes it out. A uniform bucket has one weight for all its items, so that it
/// weighs 0 afterwards, as crushtool has it.
Result<void> detach(CrushMap& map, int32_t bucket, int32_t item);

/// Gives every bucket weight sets in each set of choose_args that has any, with as many positions;
/// what was missing is the buckets' own weights, and a bucket weighs what its weight set sums to.
/// crushtool does so with every change that weighs something.
void complete_weight_sets(CrushMap& map);
/// Weight sets for a bucket that was just made, also in choose_args that had none, as crushtool has
/// it.
void begin_weight_sets(CrushMap& map, int32_t id);

/// Forgets a bucket, its choose_args and its name. Whoever holds it must be dealt with before.
void drop_bucket(CrushMap& map, int32_t id);
/// Forgets the choose_args of buckets of other algorithms, which no mapping reads. crushtool does
/// so whenever it removes a bucket.
void keep_only_straw2_args(CrushMap& map);

} // namespace cloudlet::rados
