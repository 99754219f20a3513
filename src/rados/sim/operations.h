#pragma once
// What the operator of a simulated cluster feels like doing: taking OSDs out and in, weighing them
// anew, adding and removing OSDs, asking for scrubs, and setting flags for a while, just when they
// matter. restore() ends it all, so that the cluster can become whole. One thread.

#include <cstdint>
#include <optional>
#include <vector>

#include "cloudlet/base/random.h"
#include "sim/cluster.h"

namespace cloudlet::rados::sim {

class Operations {
public:
    Operations(Cluster& cluster, Random random) : cluster_(cluster), random_(random) {}

    /// One more order, whatever the dice say.
    void operate();
    /// Sets one of the flags, does what it should hold back, and clears it after a while.
    void hold_flag();
    /// Event::operate came for this part of what hold_flag() or hold_work() began.
    void go_on(uint32_t number);
    /// Sets and clears the flag that holds what some PG is doing now.
    void hold_work();
    void hold_rebalancing(bool hold);
    void hold_scrubs();
    /// Takes the OSD out, and ends its process: it comes back as a former copy.
    void send_away(int32_t osd);
    /// Clears all flags, takes all OSDs in at full weight.
    void restore();
    /// Asks every primary to scrub all it has.
    void scrub_all(const message::ScrubCommand& how);

private:
    /// What is done when its time has come.
    struct Later {
        uint32_t clear = 0; // flags
        std::optional<size_t> start = {};
        std::optional<int32_t> take_in = {};
    };
    void later(Duration in, Later what);
    void hold(uint32_t flag, Duration span);
    /// Ends the process of an OSD, and gives its number.
    std::optional<size_t> stop_osd();
    void hold_down_to_out();
    void hold_boot_to_in();
    void hold_boot();
    void hold_reports();
    void hold_backfill();
    void hold_recovery();
    void reweigh();
    bool add_osd();
    void remove_osd();
    void scrub_something();
    void scrub(const message::ScrubCommand& what);
    int32_t any_osd() { return static_cast<int32_t>(random_.below(cluster_.plan().all_osds())); }

    Cluster& cluster_;
    Random random_;
    std::vector<Later> later_;
};

} // namespace cloudlet::rados::sim
