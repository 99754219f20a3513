#pragma once
// What is wrong with a cluster, as a list of checks that failed. Codes and wording are Ceph's
// (docs.ceph.com, "Health checks"); each comes with a sentence that says what to do. A pure
// function of the map, of what the PGs' primaries report and of how full the disks are.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/rados/map_epoch.h"
#include "cloudlet/rados/message.h"
#include "cloudlet/rados/scrub_schedule.h"

namespace cloudlet::rados {

struct OsdSpace {
    uint64_t used = 0, capacity = 0; // bytes
    bool operator==(const OsdSpace&) const = default;
};
using OsdSpaces = std::map<int32_t, OsdSpace>;

/// Which shares of an OSD's capacity count as nearly full and so on: a map's, or where it has none
/// 0.85, 0.90 and 0.95.
struct FullRatios {
    double nearfull = 0.85, backfillfull = 0.90, full = 0.95;
};
FullRatios full_ratios(const OsdMap& map);

enum class HealthSeverity : uint8_t { warn, err };

struct HealthCheck {
    std::string code = {}; // "OSD_DOWN"
    HealthSeverity severity = HealthSeverity::warn;
    std::string summary = {}; // "1 osds down"
    std::string remedy = {};
    std::vector<std::string> details = {};
    bool operator==(const HealthCheck&) const = default;
};

/// By which times scrubs are late: PGs by half of the longest interval, deep ones by three quarters
/// of theirs (mon_warn_pg_not_scrubbed_ratio, mon_warn_pg_not_deep_scrubbed_ratio).
struct ScrubTimes {
    WallTime now = {};
    ScrubIntervals intervals = {};
};

/// For how long each PG that serves nothing has been so.
using InactiveTimes = std::map<PgId, Duration>;

/// The checks that failed, OSDs first, then pools and PGs. A PG of the map without a report is
/// "unknown", and inactive. A PG counts as peering too long once it has been inactive for
/// `patience`.
std::vector<HealthCheck> check_health(const MapEpoch& now, const std::map<PgId, PgReport>& reports,
                                      const OsdSpaces& spaces, const InactiveTimes& inactive,
                                      Duration patience = std::chrono::seconds(60),
                                      const ScrubTimes& scrubs = {});

/// "HEALTH_OK", "HEALTH_WARN" or "HEALTH_ERR": the worst of them.
std::string_view health_status(const std::vector<HealthCheck>& checks);

} // namespace cloudlet::rados
