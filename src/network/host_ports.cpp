#include "host_ports.h"

#include <netinet/in.h>

#include "cloudlet/base/log.h"
#include "cloudlet/linux/conntrack.h"
#include "ruleset.h"

namespace cloudlet::network {

namespace nft = linux::nft;

namespace {

// The two maps, and whether their keys are without an address.
constexpr std::pair<const char*, bool> maps[] = {{names::host_ports, false},
                                                 {names::host_ports_any, true}};

Front front_of(const HostPort& port) {
    return {port.host_address.value_or(Ipv4{}), port.protocol, port.host_port};
}

const char* map_of(const HostPort& port) {
    return port.host_address ? names::host_ports : names::host_ports_any;
}

// "any address" meets every address of the same port.
bool collide(const HostPort& a, const HostPort& b) {
    bool same_address = !a.host_address || !b.host_address || a.host_address == b.host_address;
    return a.protocol == b.protocol && a.host_port == b.host_port && same_address;
}

const PodAttachment* find_by_address(const Attachments& attached, Ipv4 address) {
    for (const auto& [id, pod] : attached)
        if (pod.address == address) return &pod;
    return nullptr;
}

void forget_udp_clients(Ipv4 pod) {
    auto connections = linux::ConntrackSocket::open();
    if (!connections) return;
    auto known = connections->list(IPPROTO_UDP);
    if (!known) return;
    for (const linux::Connection& connection : *known)
        if (connection.destination_changed() && connection.reply.source == pod)
            if (auto gone = connections->forget(connection); !gone)
                log_warning("network", "{}", gone.error().to_string());
}

} // namespace

Result<> check_host_ports_are_free(const Attachments& attached, const AttachRequest& request) {
    for (const HostPort& wanted : request.host_ports)
        for (const auto& [id, pod] : attached)
            for (const HostPort& taken : pod.host_ports)
                if (id != request.id && collide(wanted, taken))
                    return fail(Code::conflict, fmt::format("host port {} is used by pod {}",
                                                            wanted.host_port, id));
    return {};
}

Result<> add_host_ports(linux::NetlinkSocket& socket, const NetworkOptions& options,
                        const PodAttachment& pod) {
    nft::Batch batch(table_family, options.table());
    for (const HostPort& port : pod.host_ports)
        batch.add_element(
            map_of(port),
            {front_key(front_of(port)), target_value(pod.address, port.pod_port), {}});
    batch.add_element(names::host_port_hairpins, {hairpin_key(pod.address), {}, {}});
    return with_context(batch.commit(socket), "host ports of pod " + pod.id);
}

Result<> remove_host_ports(linux::NetlinkSocket& socket, const NetworkOptions& options,
                           const PodAttachment& pod) {
    nft::Batch batch(table_family, options.table());
    for (const auto& [map, of_node] : maps)
        for (const nft::Element& element :
             TRY(nft::list_elements(socket, table_family, options.table(), map)))
            if (auto target = read_target(element.value); target && target->address == pod.address)
                batch.delete_element(map, element.key);
    for (const nft::Element& element :
         TRY(nft::list_elements(socket, table_family, options.table(), names::host_port_hairpins)))
        if (element.key == hairpin_key(pod.address))
            batch.delete_element(names::host_port_hairpins, element.key);
    TRY(batch.commit(socket));
    forget_udp_clients(pod.address);
    return {};
}

Result<> adopt_host_ports(linux::NetlinkSocket& socket, const NetworkOptions& options,
                          Attachments& attached) {
    nft::Batch orphans(table_family, options.table());
    for (const auto& [map, of_node] : maps)
        for (const nft::Element& element :
             TRY(nft::list_elements(socket, table_family, options.table(), map))) {
            auto target = read_target(element.value);
            auto front = read_front(element.key, of_node);
            if (!target || !front) continue;
            const PodAttachment* pod = find_by_address(attached, target->address);
            if (!pod) {
                orphans.delete_element(map, element.key);
                continue;
            }
            std::optional<Ipv4> host_address;
            if (!of_node) host_address = front->address;
            attached[pod->id].host_ports.push_back(
                {host_address, front->port, target->port, front->protocol});
        }
    for (const nft::Element& element : TRY(nft::list_elements(socket, table_family, options.table(),
                                                              names::host_port_hairpins))) {
        auto twice = read_target(element.key); // the key begins like a target
        if (twice && !find_by_address(attached, twice->address))
            orphans.delete_element(names::host_port_hairpins, element.key);
    }
    return orphans.commit(socket);
}

} // namespace cloudlet::network
