#pragma once
// What the operator of a simulated cluster feels like doing: taking OSDs out and in, weighing them
// anew, setting and clearing flags, adding and removing OSDs, asking for scrubs. restore() ends it
// all, so that the cluster can become whole. One thread.

#include <cstdint>
#include <optional>

#include "cloudlet/base/random.h"
#include "sim/cluster.h"

namespace cloudlet::rados::sim {

class Operations {
public:
    Operations(Cluster& cluster, Random random) : cluster_(cluster), random_(random) {}

    /// One more order, whatever the dice say.
    void operate();
    /// Sets and clears the flag that holds what some PG is doing now.
    void hold_work();
    void hold_rebalancing(bool hold);
    /// Takes the OSD out, and ends its process: it comes back as a former copy.
    void send_away(int32_t osd);
    /// Clears all flags, takes all OSDs in at full weight.
    void restore();
    /// Asks every primary to scrub all it has.
    void scrub_all(const message::ScrubCommand& how);

private:
    void set_flag();
    void reweigh();
    void add_osd();
    void remove_osd();
    void scrub_something();
    void scrub(const message::ScrubCommand& what);
    int32_t any_osd() { return static_cast<int32_t>(random_.below(cluster_.plan().all_osds())); }

    Cluster& cluster_;
    Random random_;
};

} // namespace cloudlet::rados::sim
