#pragma once
// What a seed's cluster looks like before anything happens: how many of what, where they stand, the
// pools, the objects that clients will quarrel about, and the limits of the PGs' logs, which are so
// small in most seeds that a copy that was away has to be backfilled.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cloudlet/base/random.h"
#include "cloudlet/rados/osd_map.h"
#include "cloudlet/rados/pg_log.h"
#include "cloudlet/rados/scrub_schedule.h"
#include "sim/event_queue.h"

namespace cloudlet::rados::sim {

struct ClusterPlan {
    size_t monitors = 1, clients = 1;
    size_t osds = 3;               // in the base map; they exist and are down
    size_t spare = 0;              // numbers behind those, for OSDs that an operator adds
    std::vector<int> host_of = {}; // of OSDs, the spare ones included
    bool cluster_network = false;  // OSDs speak to each other by a network of their own
    std::shared_ptr<const OsdMap> base = {};
    std::vector<std::string> objects = {};
    PgLogLimits log = {};
    size_t batch = 16;                         // objects at once, of backfill, recovery and scrub
    std::optional<ScrubIntervals> scrubs = {}; // so short that PGs are scrubbed all the time
    Duration down_out_interval = std::chrono::seconds(600); // short in some seeds
    Duration working_time = {};                             // how long clients and faults go on
    size_t operations = 0;                                  // of all clients, at least
    size_t faults = 0;                                      // at least

    size_t all_osds() const { return osds + spare; }
    size_t hosts() const;
    static std::string host_name(int host) { return "host" + std::to_string(host); }
};

ClusterPlan plan_cluster(Random random);
/// One monitor, one client, each OSD in a host of its own, and a pool of one PG with three copies.
ClusterPlan plain_cluster(size_t osds, size_t spare);

/// The uuid of the disk that OSD `osd` has as its `generation`-th.
Uuid disk_uuid(int32_t osd, uint32_t generation);

} // namespace cloudlet::rados::sim
