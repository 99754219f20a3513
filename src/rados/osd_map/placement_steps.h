#pragma once
// The single steps from a CRUSH walk to the sets of one PG, shared by the one-PG and the whole-pool
// ways. Each changes `osds` as Ceph's OSD map prescribes.

#include "cloudlet/rados/placement.h"

namespace cloudlet::rados::steps {

void drop_missing(const OsdMap& map, const Pool& pool, std::vector<int32_t>& osds);
void apply_upmap(const OsdMap& map, PgId pg, std::vector<int32_t>& osds);
void drop_down(const OsdMap& map, const Pool& pool, std::vector<int32_t>& osds);
/// Primary affinity; moves the chosen one to the front of a replicated pool's set.
int32_t choose_primary(const OsdMap& map, const Pool& pool, uint32_t seed,
                       std::vector<int32_t>& osds);
OsdSet acting_of(const OsdMap& map, const Pool& pool, PgId pg, const OsdSet& up);

/// All of them, for a folded PG and its placement seed.
PgSets derive(const OsdMap& map, const Pool& pool, PgId pg, uint32_t seed,
              std::span<const int32_t> walk);

} // namespace cloudlet::rados::steps
