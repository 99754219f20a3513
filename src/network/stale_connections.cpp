#include "stale_connections.h"

#include <netinet/in.h>

#include <algorithm>
#include <map>

#include "cloudlet/linux/conntrack.h"
#include "cloudlet/linux/link.h"

namespace cloudlet::network {

namespace {

using FrontMap = std::map<Front, const std::set<Target>*>;

std::set<Target> targets_of(const ServicePort* service) {
    std::set<Target> targets;
    if (service)
        for (const Endpoint& endpoint : ready_endpoints(*service))
            targets.insert({endpoint.address, endpoint.port});
    return targets;
}

// Where a connection that goes through this front may end; null when the front is not in question.
const std::set<Target>* allowed(const FrontMap& fronts, const linux::Connection& connection,
                                const std::set<Ipv4>& node_addresses) {
    Ipv4 destination = connection.original.destination;
    uint16_t port = connection.original.destination_port;
    if (auto direct = fronts.find({destination, Protocol::udp, port}); direct != fronts.end())
        return direct->second;
    bool local = destination.is_loopback() || node_addresses.contains(destination);
    auto node = fronts.find({Ipv4{}, Protocol::udp, port});
    return local && node != fronts.end() ? node->second : nullptr;
}

Result<> forget_udp(const FrontMap& fronts) {
    auto connections = TRY(linux::ConntrackSocket::open());
    auto routes = TRY(linux::RouteSocket::open());
    std::set<Ipv4> node_addresses;
    for (const linux::Address& address : TRY(routes.addresses()))
        node_addresses.insert(address.address);
    for (const linux::Connection& connection : TRY(connections.list(IPPROTO_UDP))) {
        const std::set<Target>* endpoints = allowed(fronts, connection, node_addresses);
        Target server{connection.reply.source, connection.reply.source_port};
        if (endpoints && !endpoints->contains(server)) TRY(connections.forget(connection));
    }
    return {};
}

} // namespace

void add_stale_fronts(std::vector<StaleFront>& stale, const ServicePort* before,
                      const ServicePort* after) {
    if ((before ? before : after)->protocol != Protocol::udp) return;
    std::set<Target> old_targets = targets_of(before), new_targets = targets_of(after);
    bool lost = !std::ranges::includes(new_targets, old_targets);
    bool appeared = old_targets.empty() && !new_targets.empty();
    std::vector<Front> old_fronts = before ? fronts_of(*before) : std::vector<Front>{};
    std::vector<Front> new_fronts = after ? fronts_of(*after) : std::vector<Front>{};
    for (const Front& front : old_fronts)
        if (std::ranges::find(new_fronts, front) == new_fronts.end()) stale.push_back({front, {}});
    for (const Front& front : new_fronts) {
        bool is_new = std::ranges::find(old_fronts, front) == old_fronts.end();
        if (lost || appeared || is_new) stale.push_back({front, new_targets});
    }
}

Result<> forget_stale(const std::vector<StaleFront>& stale) {
    FrontMap fronts;
    for (const StaleFront& one : stale)
        if (one.front.protocol == Protocol::udp) fronts[one.front] = &one.endpoints;
    if (fronts.empty()) return {};
    return with_context(forget_udp(fronts), "forget UDP connections of removed endpoints");
}

} // namespace cloudlet::network
