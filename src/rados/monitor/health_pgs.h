#pragma once
// The part of health that follows from what PGs report.

#include <vector>

#include "cloudlet/rados/health.h"

namespace cloudlet::rados {

/// PG_AVAILABILITY, PG_DAMAGED, OBJECT_UNFOUND, PG_DEGRADED, PG_RECOVERY_FULL, PG_BACKFILL_FULL,
/// OBJECT_MISPLACED and OSD_SCRUB_ERRORS, as check_health() gives them.
std::vector<HealthCheck> check_pgs(const MapEpoch& now, const std::map<PgId, PgReport>& reports,
                                   const InactiveTimes& inactive, Duration patience);

/// Adds PG_NOT_SCRUBBED and PG_NOT_DEEP_SCRUBBED. A stamp of the future is not late.
void check_scrubs(const OsdMap& map, const std::map<PgId, PgReport>& reports,
                  const ScrubTimes& scrubs, std::vector<HealthCheck>& checks);

} // namespace cloudlet::rados
