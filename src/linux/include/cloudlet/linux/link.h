#pragma once
// Links, addresses, routes and neighbours of one network namespace, in typed calls over rtnetlink
// (rtnetlink(7)). A RouteSocket belongs to the namespace it was opened in. Not thread-safe.

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "cloudlet/linux/netlink.h"

namespace cloudlet::linux {

using MacAddress = std::array<uint8_t, 6>;
std::string to_string(const MacAddress& mac);

struct Link {
    int index = 0;
    std::string name;
    std::string kind;  // "veth", "bridge", ...; empty for hardware and loopback
    std::string alias; // free text, at most 255 bytes; it lives and dies with the link
    MacAddress mac{};
    uint32_t mtu = 0;
    uint32_t flags = 0; // IFF_*
    bool is_up() const;
};

struct Address {
    int link_index = 0;
    Ipv4 address;
    unsigned prefix = 32;
    auto operator<=>(const Address&) const = default;
};

/// rtm_protocol of every route we make, so that ours are told from others' (rtnetlink(7): 192-254
/// are free for users).
inline constexpr uint8_t route_protocol = 193;

struct Route {
    Ipv4Block destination;       // 0.0.0.0/0 is the default route
    int link_index = 0;          // 0: none (a blackhole)
    std::optional<Ipv4> gateway; // reached directly on the link ("onlink")
    std::optional<Ipv4> source;  // preferred source of local traffic
    uint8_t protocol = route_protocol;
    auto operator<=>(const Route&) const = default;
};

struct Neighbour {
    int link_index = 0;
    Ipv4 address;
    MacAddress mac{};
};

/// A veth pair in one request: `name` here, `peer_name` inside another network namespace.
struct VethPair {
    std::string name; // at most 15 characters
    MacAddress mac{};
    std::string peer_name;
    MacAddress peer_mac{};
    int peer_netns_fd = -1; // -1: the same namespace
    uint32_t mtu = 1500;
};

/// Settings of a link that go up together with it.
struct LinkSettings {
    bool forwards = false;       // net.ipv4.conf.<link>.forwarding
    bool strict_source = false;  // rp_filter 1: a sender may only use addresses routed to this link
    bool route_localnet = false; // 127/8 may be routed through this link
    bool no_ipv6_address = false; // no automatic link-local address
};

class RouteSocket {
public:
    static Result<RouteSocket> open();
    static Result<RouteSocket> open_in(int netns_fd);

    /// Error: already_exists when either name is taken.
    Result<> create_veth(const VethPair& pair);
    Result<> create_bridge(const std::string& name);
    Result<> set_alias(int link_index, const std::string& alias);
    Result<> set_up(int link_index, const LinkSettings& settings = {});
    Result<> set_down(int link_index);
    /// Deleting what is not there is done.
    Result<> delete_link(const std::string& name);
    /// Error: not_found.
    Result<Link> find_link(const std::string& name);
    Result<std::vector<Link>> links();

    Result<> add_address(const Address& address); // there already: done
    Result<> delete_address(const Address& address);
    Result<std::vector<Address>> addresses();

    /// Adds or replaces the route to this destination.
    Result<> set_route(const Route& route);
    /// Error: already_exists when anybody has a route to this destination.
    Result<> add_route(const Route& route);
    Result<> delete_route(const Route& route);
    /// The main table's IPv4 routes.
    Result<std::vector<Route>> routes();

    /// A permanent entry: the kernel never has to ask who has the address.
    Result<> set_neighbour(const Neighbour& neighbour);
    Result<std::vector<Neighbour>> permanent_neighbours();

    NetlinkSocket& socket() { return socket_; }

private:
    explicit RouteSocket(NetlinkSocket socket) : socket_(std::move(socket)) {}
    NetlinkSocket socket_;
};

} // namespace cloudlet::linux
