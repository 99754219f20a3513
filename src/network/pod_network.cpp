#include "cloudlet/network/pod_network.h"

#include <net/if.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <mutex>

#include <linux/netlink.h>

#include "cloudlet/base/log.h"
#include "cloudlet/linux/conntrack.h"
#include "cloudlet/linux/link.h"
#include "cloudlet/network/address_pool.h"
#include "forward_policy.h"
#include "host_ports.h"
#include "kernel_settings.h"
#include "ruleset.h"

namespace cloudlet::network {

namespace nft = linux::nft;

namespace {

constexpr int loopback_index = 1; // in every network namespace
constexpr size_t id_limit = 200;
constexpr std::string_view alias_prefix = "cloudlet pod ";
constexpr uint32_t default_mtu = 1500;

Ipv4Block host_block(Ipv4 address) { return {address, 32}; }

linux::Route gateway_to_services(const NetworkOptions& options) {
    // Without a route a packet to a cluster IP would be refused before the rules can translate it.
    return {options.service_block, loopback_index, std::nullopt, options.gateway()};
}

linux::Address gateway_address(const NetworkOptions& options) {
    return {loopback_index, options.gateway(), 32};
}

// Locally administered: the second digit is 2, 6, a or e.
linux::MacAddress mac_for(uint8_t first, Ipv4 address) {
    return {first,
            0x0c,
            static_cast<uint8_t>(address.value >> 24),
            static_cast<uint8_t>(address.value >> 16),
            static_cast<uint8_t>(address.value >> 8),
            static_cast<uint8_t>(address.value)};
}

std::string link_name(const NetworkOptions& options, Ipv4 address) {
    return fmt::format("{}{:04x}", options.link_prefix(),
                       address.value - options.pod_block.base.value);
}

std::optional<Ipv4> address_of_link(const NetworkOptions& options, const std::string& name) {
    std::string prefix = options.link_prefix();
    if (!name.starts_with(prefix)) return std::nullopt;
    uint32_t offset = 0;
    auto parsed =
        std::from_chars(name.data() + prefix.size(), name.data() + name.size(), offset, 16);
    if (parsed.ec != std::errc{} || parsed.ptr != name.data() + name.size()) return std::nullopt;
    return Ipv4{options.pod_block.base.value + offset};
}

Result<uint32_t> choose_mtu(linux::RouteSocket& routes, const NetworkOptions& options) {
    if (options.mtu != 0) return options.mtu;
    int outward = 0;
    for (const linux::Route& route : TRY(routes.routes()))
        if (route.destination.prefix == 0 && outward == 0) outward = route.link_index;
    for (const linux::Link& link : TRY(routes.links()))
        if (link.index == outward && outward != 0) return link.mtu;
    return default_mtu;
}

// A fresh instance must not take what somebody else uses.
Result<> check_blocks_are_free(linux::RouteSocket& routes, const NetworkOptions& options) {
    const std::pair<const char*, Ipv4Block> ours[] = {{"pod", options.pod_block},
                                                      {"service", options.service_block}};
    for (const auto& [what, block] : ours) {
        for (const linux::Route& route : TRY(routes.routes()))
            if (route.destination.prefix >= block.prefix && block.contains(route.destination.base))
                return fail(
                    Code::conflict,
                    fmt::format(
                        "the {} network {} contains {}, to which this machine has a route (another "
                        "cloud?); choose another block",
                        what, block.to_string(), route.destination.to_string()));
        for (const linux::Address& address : TRY(routes.addresses()))
            if (block.contains(address.address))
                return fail(
                    Code::conflict,
                    fmt::format(
                        "the {} network {} contains the address {}, which this machine has; choose "
                        "another block",
                        what, block.to_string(), address.address.to_string()));
    }
    return {};
}

} // namespace

struct PodNetwork::Impl {
    NetworkOptions options;
    linux::RouteSocket routes;
    linux::NetlinkSocket rules;
    io::UniqueFd node_netns;
    AddressPool pool;
    uint32_t mtu = default_mtu;
    std::map<std::string, PodAttachment> attached; // by id
    mutable std::mutex mutex;

    Impl(NetworkOptions chosen, linux::RouteSocket route_socket, linux::NetlinkSocket rule_socket)
        : options(std::move(chosen)), routes(std::move(route_socket)),
          rules(std::move(rule_socket)), pool(options.pod_block) {}

    Result<> prepare_node();
    Result<> adopt();
    Result<PodAttachment> attach(const AttachRequest& request);
    Result<> connect(const PodAttachment& pod, int netns_fd);
    Result<> configure_pod_side(const PodAttachment& pod, int netns_fd);
    Result<> configure_node_side(const PodAttachment& pod);
    Result<> forget(const std::string& id);
    Result<> detach(const std::string& id);
    Result<> repair_rules();
    bool still_there(const PodAttachment& pod);
};

// After somebody's `nft flush ruleset`: the fixed chains and the host ports again.
Result<> PodNetwork::Impl::repair_rules() {
    if (TRY(has_table(rules, options))) return {};
    TRY(ensure_ruleset(rules, options));
    for (const auto& [id, pod] : attached)
        if (!pod.host_ports.empty()) TRY(add_host_ports(rules, options, pod));
    return {};
}

PodNetwork::PodNetwork(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PodNetwork::~PodNetwork() = default;

Result<std::unique_ptr<PodNetwork>> PodNetwork::open(const NetworkOptions& options) {
    TRY(validate(options));
    auto impl = std::make_unique<Impl>(options, TRY(linux::RouteSocket::open()),
                                       TRY(linux::NetlinkSocket::open(NETLINK_NETFILTER)));
    impl->node_netns = TRY(linux::open_netns("/proc/thread-self/ns/net"));
    TRY(with_context(impl->prepare_node(), "prepare this machine for pods"));
    TRY(with_context(impl->adopt(), "adopt the pods' links"));
    return std::unique_ptr<PodNetwork>(new PodNetwork(std::move(impl)));
}

Result<> PodNetwork::Impl::prepare_node() {
    if (!TRY(has_table(rules, options))) TRY(check_blocks_are_free(routes, options));
    // The table comes first and goes last: as long as it is there, the rest is known to be ours.
    TRY(ensure_ruleset(rules, options));
    TRY(routes.add_address(gateway_address(options)));
    TRY(routes.set_route(gateway_to_services(options)));
    TRY(enable_forwarding(options.run_dir));
    mtu = TRY(choose_mtu(routes, options));
    return {};
}

Result<> PodNetwork::Impl::adopt() {
    for (const linux::Link& link : TRY(routes.links())) {
        auto address = address_of_link(options, link.name);
        if (!address) continue;
        bool complete = link.alias.starts_with(alias_prefix); // the alias is written last
        std::string id = complete ? link.alias.substr(alias_prefix.size()) : "";
        if (!complete || attached.contains(id) || !pool.take(*address)) {
            TRY(routes.delete_link(link.name));
            continue;
        }
        attached[id] = {id, *address, options.gateway(), link.name, link.mtu, {}};
    }
    return adopt_host_ports(rules, options, attached);
}

bool PodNetwork::Impl::still_there(const PodAttachment& pod) {
    return routes.find_link(pod.link).has_value();
}

Result<PodAttachment> PodNetwork::Impl::attach(const AttachRequest& request) {
    if (request.id.empty() || request.id.size() > id_limit)
        return fail(Code::invalid,
                    fmt::format("pod id \"{}\" is not 1 to {} bytes", request.id, id_limit));
    if (auto known = attached.find(request.id); known != attached.end()) {
        if (still_there(known->second)) return known->second;
        TRY(forget(request.id)); // its namespace was destroyed and took the link along
        pool.release(known->second.address);
        attached.erase(known);
    }
    auto netns = TRY(linux::open_netns(request.netns_path));
    TRY(check_host_ports_are_free(attached, request));
    PodAttachment pod{request.id, TRY(pool.allocate()), options.gateway(), {},
                      mtu,        request.host_ports};
    pod.link = link_name(options, pod.address);
    if (auto connected = connect(pod, netns.get()); !connected) {
        if (!routes.delete_link(pod.link) || !remove_host_ports(rules, options, pod))
            log_warning("network", "half-made link {} stays until the next start", pod.link);
        pool.release(pod.address);
        return tl::unexpected(connected.error());
    }
    attached[pod.id] = pod;
    return pod;
}

Result<> PodNetwork::Impl::connect(const PodAttachment& pod, int netns_fd) {
    TRY(routes.create_veth(
        {pod.link, mac_for(0x0e, pod.address), "eth0", mac_for(0x0a, pod.address), netns_fd, mtu}));
    TRY(with_context(configure_pod_side(pod, netns_fd), "inside the pod"));
    TRY(configure_node_side(pod));
    if (!pod.host_ports.empty()) TRY(add_host_ports(rules, options, pod));
    int index = TRY(routes.find_link(pod.link)).index;
    return routes.set_alias(index, std::string(alias_prefix) + pod.id);
}

Result<> PodNetwork::Impl::configure_pod_side(const PodAttachment& pod, int netns_fd) {
    auto inside = TRY(linux::RouteSocket::open_in(netns_fd));
    int eth0 = TRY(inside.find_link("eth0")).index;
    TRY(inside.set_up(loopback_index));
    TRY(inside.set_up(eth0, {.no_ipv6_address = true}));
    TRY(inside.add_address({eth0, pod.address, 32}));
    TRY(inside.set_neighbour({eth0, pod.gateway, mac_for(0x0e, pod.address)}));
    TRY(inside.set_route({host_block(pod.gateway), eth0, std::nullopt, std::nullopt}));
    return inside.set_route({Ipv4Block{{}, 0}, eth0, pod.gateway, std::nullopt});
}

Result<> PodNetwork::Impl::configure_node_side(const PodAttachment& pod) {
    int index = TRY(routes.find_link(pod.link)).index;
    TRY(routes.set_up(index, {.forwards = true,
                              .strict_source = true,
                              .route_localnet = true,
                              .no_ipv6_address = true}));
    TRY(routes.set_neighbour({index, pod.address, mac_for(0x0a, pod.address)}));
    return routes.set_route({host_block(pod.address), index, std::nullopt, options.gateway()});
}

// What a pod has besides its link.
Result<> PodNetwork::Impl::forget(const std::string& id) {
    const PodAttachment& pod = attached.at(id);
    return pod.host_ports.empty() ? Result<>{} : remove_host_ports(rules, options, pod);
}

// The kernel takes its time over a link (an RCU grace period): that is not waited for under the
// lock.
Result<> PodNetwork::Impl::detach(const std::string& id) {
    PodAttachment pod;
    {
        std::lock_guard lock(mutex);
        auto found = attached.find(id);
        if (found == attached.end()) return {};
        TRY(forget(id));
        pod = found->second;
        pod.host_ports.clear();
        attached.erase(found);
    }
    auto deleter = linux::RouteSocket::open_in(node_netns.get());
    Result<> deleted = deleter ? deleter->delete_link(pod.link) : tl::unexpected(deleter.error());
    std::lock_guard lock(mutex);
    if (deleted)
        pool.release(pod.address);
    else
        attached.try_emplace(id, pod); // still ours; the caller may try again
    return deleted;
}

Result<PodAttachment> PodNetwork::attach(const AttachRequest& request) {
    std::lock_guard lock(impl_->mutex);
    return with_context(impl_->attach(request), "connect pod " + request.id);
}

Result<> PodNetwork::detach(const std::string& id) {
    return with_context(impl_->detach(id), "disconnect pod " + id);
}

Result<std::vector<std::string>> PodNetwork::reconcile(const std::set<std::string>& live) {
    std::vector<std::string> gone;
    {
        std::lock_guard lock(impl_->mutex);
        for (const auto& [id, pod] : impl_->attached)
            if (!live.contains(id)) gone.push_back(id);
        TRY(impl_->repair_rules());
    }
    for (const std::string& id : gone) TRY(impl_->detach(id));
    return gone;
}

std::vector<PodAttachment> PodNetwork::attachments() const {
    std::lock_guard lock(impl_->mutex);
    std::vector<PodAttachment> all;
    for (const auto& [id, pod] : impl_->attached) all.push_back(pod);
    return all;
}

std::vector<std::string> PodNetwork::warnings() const {
    std::lock_guard lock(impl_->mutex);
    return forward_obstacles(impl_->rules, impl_->options);
}

Result<> PodNetwork::teardown() {
    std::lock_guard lock(impl_->mutex);
    TRY(teardown(impl_->options));
    impl_->attached.clear();
    impl_->pool = AddressPool(impl_->options.pod_block);
    return {};
}

Result<> PodNetwork::teardown(const NetworkOptions& options) {
    TRY(validate(options));
    auto routes = TRY(linux::RouteSocket::open());
    auto rules = TRY(linux::NetlinkSocket::open(NETLINK_NETFILTER));
    for (const linux::Link& link : TRY(routes.links()))
        if (address_of_link(options, link.name)) TRY(routes.delete_link(link.name));
    if (TRY(has_table(rules, options))) {
        TRY(routes.delete_route(gateway_to_services(options)));
        TRY(routes.delete_address(gateway_address(options)));
        TRY(delete_ruleset(rules, options));
    }
    for (const nft::Table& table : TRY(nft::list_tables(rules)))
        if (table.name.starts_with("cloudlet-")) return {}; // another instance still forwards
    return restore_settings(options.run_dir);
}

} // namespace cloudlet::network
