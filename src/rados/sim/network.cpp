#include "sim/network.h"

namespace cloudlet::rados::sim {

using std::chrono::microseconds;

Network::Network(size_t nodes, Random random)
    : nodes_(nodes), random_(random), links_(nodes * nodes) {
    for (Link& link : links_)
        link.delay = random_span(random_, microseconds(200), microseconds(2000));
}

Network::Arrivals Network::route(NodeId from, NodeId to, MonotonicTime now) {
    ++sent_;
    const Link& way = link(from, to);
    Arrivals arrivals;
    if (way.cuts > 0 || random_.chance(weather_.lost)) {
        ++lost_;
        return arrivals;
    }
    arrivals.at[arrivals.count++] = now + delay(way);
    if (random_.chance(weather_.doubled)) {
        ++doubled_;
        arrivals.at[arrivals.count++] = now + delay(way);
    }
    return arrivals;
}

Duration Network::delay(const Link& link) {
    Duration total = link.delay + random_span(random_, Duration(0), microseconds(300));
    if (random_.chance(weather_.late)) total += random_span(random_, Duration(0), weather_.late_by);
    return total;
}

} // namespace cloudlet::rados::sim
