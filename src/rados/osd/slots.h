#pragma once
// Reservations: how many placement groups an OSD recovers or fills at once, and in how many it is
// filled. First come, first served.

#include <deque>
#include <optional>
#include <set>
#include <utility>

#include "cloudlet/rados/osd_map.h"

namespace cloudlet::rados {

class Slots {
public:
    /// A PG, and the OSD for whom it asks.
    using Asker = std::pair<PgId, int32_t>;

    explicit Slots(size_t count) : count_(count) {}

    /// True when it is granted at once, or held already; else it waits its turn.
    bool ask(const Asker& asker);
    /// Gives back, or stops waiting. The next one that is granted, if there is one.
    std::optional<Asker> give_back(const Asker& asker);

    bool holds(const Asker& asker) const { return held_.contains(asker); }
    size_t held() const { return held_.size(); }
    size_t waiting() const { return waiting_.size(); }

private:
    size_t count_;
    std::set<Asker> held_;
    std::deque<Asker> waiting_;
};

} // namespace cloudlet::rados
