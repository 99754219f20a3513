#include "sim/network.h"

namespace cloudlet::rados::sim {

using std::chrono::microseconds;

Network::Network(size_t nodes, bool two_networks, Random random)
    : nodes_(nodes), random_(random),
      links_(two_networks ? wires : 1, std::vector<Link>(nodes * nodes)) {
    for (auto& links : links_)
        for (Link& link : links)
            link.delay = random_span(random_, microseconds(200), microseconds(2000));
}

Network::Arrivals Network::route(NodeId from, NodeId to, Wire wire, MonotonicTime now) {
    ++sent_;
    const Link& way = link(from, to, wire);
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
