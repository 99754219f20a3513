#pragma once
// What --test-map-pgs and its kin print: where the PGs of pools are, and how evenly.

#include <optional>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/placement.h"
#include "tools/tool_output.h"

namespace cloudlet::rados {

enum class PgLines { none, acting, all }; // a line for each PG: no, its acting set, all its sets

/// One pool, or all. Gives the placements, for what else is said of them.
std::vector<PoolPlacement> report_pgs(const Placer& placer, std::optional<PoolId> pool,
                                      PgLines lines, ToolOutput& out);

} // namespace cloudlet::rados
