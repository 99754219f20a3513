#pragma once
// Reservations: how many placement groups an OSD recovers or fills at once, and in how many it is
// filled. The highest priority is served first, of equals who asked first. A higher one takes the
// slot of a lower one that has it already, as Ceph's AsyncReserver does: who lost it has to stop,
// and asks again.

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "cloudlet/rados/osd_map.h"

namespace cloudlet::rados {

class Slots {
public:
    /// A PG, and the OSD for whom it asks.
    using Asker = std::pair<PgId, int32_t>;
    struct Outcome {
        bool granted = false;                // at once, or held already; else it waits its turn
        std::optional<Asker> preempted = {}; // who lost its slot by that
        explicit operator bool() const { return granted; }
    };

    explicit Slots(size_t count) : count_(count) {}

    Outcome ask(const Asker& asker, uint8_t priority = 0);
    /// Gives back, or stops waiting. The next one that is granted, if there is one.
    std::optional<Asker> give_back(const Asker& asker);

    bool holds(const Asker& asker) const { return has(held_, asker); }
    bool waits(const Asker& asker) const { return has(waiting_, asker); }
    size_t held() const { return held_.size(); }
    size_t waiting() const { return waiting_.size(); }

private:
    struct Claim {
        Asker asker;
        uint8_t priority;
    };
    using Claims = std::vector<Claim>;
    static bool has(const Claims& claims, const Asker& asker);

    size_t count_;
    Claims held_;    // in the order of granting
    Claims waiting_; // the next one first
};

} // namespace cloudlet::rados
