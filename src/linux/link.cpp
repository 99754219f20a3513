#include "cloudlet/linux/link.h"

#include <net/if.h>
#include <netinet/in.h>

#include <cerrno>

#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

namespace cloudlet::linux {

namespace {

// net/if.h and linux/if.h cannot be included together; these are ABI (netdevice(7)).
constexpr uint32_t link_is_up = IFF_UP;
constexpr uint8_t address_generation_none = 1; // IN6_ADDR_GEN_MODE_NONE, linux/if_link.h

constexpr uint16_t create_exclusively = NLM_F_CREATE | NLM_F_EXCL;
constexpr uint16_t create_or_replace = NLM_F_CREATE | NLM_F_REPLACE;

std::string_view text_of(const MacAddress& mac) {
    return {reinterpret_cast<const char*>(mac.data()), mac.size()};
}

MacAddress read_mac(const NetlinkAttribute& attribute) {
    MacAddress mac{};
    if (attribute.payload.size() == mac.size())
        std::memcpy(mac.data(), attribute.payload.data(), mac.size());
    return mac;
}

Link parse_link(const NetlinkMessage& message) {
    auto header = message.header<ifinfomsg>();
    Link link;
    link.index = header.ifi_index;
    link.flags = header.ifi_flags;
    for_each_attribute(message.attributes<ifinfomsg>(), [&](const NetlinkAttribute& attribute) {
        if (attribute.type == IFLA_IFNAME) link.name = attribute.text();
        if (attribute.type == IFLA_IFALIAS) link.alias = attribute.text();
        if (attribute.type == IFLA_ADDRESS) link.mac = read_mac(attribute);
        if (attribute.type == IFLA_MTU) link.mtu = attribute.u32();
        if (attribute.type == IFLA_LINKINFO)
            for_each_attribute(attribute.payload, [&](const NetlinkAttribute& info) {
                if (info.type == IFLA_INFO_KIND) link.kind = info.text();
            });
    });
    return link;
}

std::string describe(const Route& route) {
    std::string text =
        route.destination.prefix == 0 ? "default route" : "route " + route.destination.to_string();
    if (route.gateway) text += " via " + route.gateway->to_string();
    return text;
}

void write_route(NetlinkWriter& writer, uint16_t type, uint16_t flags, const Route& route) {
    rtmsg header{};
    header.rtm_family = AF_INET;
    header.rtm_dst_len = static_cast<uint8_t>(route.destination.prefix);
    header.rtm_table = RT_TABLE_MAIN;
    header.rtm_protocol = route.protocol;
    header.rtm_scope = route.gateway || route.link_index == 0 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    header.rtm_type = route.link_index == 0 ? RTN_BLACKHOLE : RTN_UNICAST;
    if (route.gateway) header.rtm_flags = RTNH_F_ONLINK;
    writer.begin(type, flags, header);
    if (route.destination.prefix > 0) writer.put_address(RTA_DST, route.destination.base);
    if (route.link_index > 0) writer.put_u32(RTA_OIF, static_cast<uint32_t>(route.link_index));
    if (route.gateway) writer.put_address(RTA_GATEWAY, *route.gateway);
    if (route.source) writer.put_address(RTA_PREFSRC, *route.source);
}

void write_address(NetlinkWriter& writer, uint16_t type, uint16_t flags, const Address& address) {
    ifaddrmsg header{};
    header.ifa_family = AF_INET;
    header.ifa_prefixlen = static_cast<uint8_t>(address.prefix);
    header.ifa_scope = RT_SCOPE_UNIVERSE;
    header.ifa_index = static_cast<uint32_t>(address.link_index);
    writer.begin(type, flags, header);
    writer.put_address(IFA_LOCAL, address.address);
    writer.put_address(IFA_ADDRESS, address.address);
}

std::string describe(const Address& address) {
    return fmt::format("address {}/{}", address.address.to_string(), address.prefix);
}

} // namespace

std::string to_string(const MacAddress& mac) {
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", mac[0], mac[1], mac[2], mac[3],
                       mac[4], mac[5]);
}

bool Link::is_up() const { return flags & link_is_up; }

Result<RouteSocket> RouteSocket::open() {
    return RouteSocket(TRY(NetlinkSocket::open(NETLINK_ROUTE)));
}

Result<RouteSocket> RouteSocket::open_in(int netns_fd) {
    return RouteSocket(TRY(NetlinkSocket::open_in(NETLINK_ROUTE, netns_fd)));
}

Result<> RouteSocket::create_veth(const VethPair& pair) {
    if (pair.name.size() >= IFNAMSIZ || pair.peer_name.size() >= IFNAMSIZ)
        return fail(Code::invalid, fmt::format("link name {} or {} is longer than 15 characters",
                                               pair.name, pair.peer_name));
    NetlinkWriter writer;
    writer.begin(RTM_NEWLINK, create_exclusively, ifinfomsg{});
    writer.put_string(IFLA_IFNAME, pair.name);
    writer.put_bytes(IFLA_ADDRESS, text_of(pair.mac));
    writer.put_u32(IFLA_MTU, pair.mtu);
    size_t info = writer.begin_nest(IFLA_LINKINFO);
    writer.put_string(IFLA_INFO_KIND, "veth");
    size_t data = writer.begin_nest(IFLA_INFO_DATA);
    size_t peer = writer.begin_nest(VETH_INFO_PEER);
    ifinfomsg peer_header{};
    writer.put_raw(std::as_bytes(std::span(&peer_header, 1)));
    writer.put_string(IFLA_IFNAME, pair.peer_name);
    writer.put_bytes(IFLA_ADDRESS, text_of(pair.peer_mac));
    writer.put_u32(IFLA_MTU, pair.mtu);
    if (pair.peer_netns_fd >= 0)
        writer.put_u32(IFLA_NET_NS_FD, static_cast<uint32_t>(pair.peer_netns_fd));
    writer.end_nest(peer);
    writer.end_nest(data);
    writer.end_nest(info);
    return socket_.request(writer, fmt::format("veth pair {} - {}", pair.name, pair.peer_name));
}

Result<> RouteSocket::create_bridge(const std::string& name) {
    NetlinkWriter writer;
    writer.begin(RTM_NEWLINK, create_exclusively, ifinfomsg{});
    writer.put_string(IFLA_IFNAME, name);
    size_t info = writer.begin_nest(IFLA_LINKINFO);
    writer.put_string(IFLA_INFO_KIND, "bridge");
    writer.end_nest(info);
    return socket_.request(writer, "bridge " + name);
}

Result<> RouteSocket::set_alias(int link_index, const std::string& alias) {
    NetlinkWriter writer;
    ifinfomsg header{};
    header.ifi_index = link_index;
    writer.begin(RTM_SETLINK, 0, header);
    writer.put_bytes(IFLA_IFALIAS, alias);
    return socket_.request(writer, fmt::format("alias of link {}", link_index));
}

Result<> RouteSocket::set_up(int link_index, const LinkSettings& settings) {
    ifinfomsg header{};
    header.ifi_index = link_index;
    if (settings.no_ipv6_address) {
        NetlinkWriter quiet;
        quiet.begin(RTM_SETLINK, 0, header);
        size_t families = quiet.begin_nest(IFLA_AF_SPEC);
        size_t inet6 = quiet.begin_nest(AF_INET6);
        quiet.put_u8(IFLA_INET6_ADDR_GEN_MODE, address_generation_none);
        quiet.end_nest(inet6);
        quiet.end_nest(families);
        // A kernel without IPv6 refuses, and then there is nothing to silence.
        TRY(socket_.request_tolerating(quiet, fmt::format("IPv6 of link {}", link_index),
                                       {EAFNOSUPPORT, EOPNOTSUPP, EINVAL}));
    }
    NetlinkWriter writer;
    header.ifi_flags = link_is_up;
    header.ifi_change = link_is_up;
    writer.begin(RTM_SETLINK, 0, header);
    if (settings.forwards || settings.strict_source || settings.route_localnet) {
        size_t families = writer.begin_nest(IFLA_AF_SPEC);
        size_t inet = writer.begin_nest(AF_INET);
        size_t values = writer.begin_nest(IFLA_INET_CONF);
        if (settings.forwards) writer.put_u32(IPV4_DEVCONF_FORWARDING, 1);
        if (settings.strict_source) writer.put_u32(IPV4_DEVCONF_RP_FILTER, 1);
        if (settings.route_localnet) writer.put_u32(IPV4_DEVCONF_ROUTE_LOCALNET, 1);
        writer.end_nest(values);
        writer.end_nest(inet);
        writer.end_nest(families);
    }
    return socket_.request(writer, fmt::format("set link {} up", link_index));
}

Result<> RouteSocket::set_down(int link_index) {
    NetlinkWriter writer;
    ifinfomsg header{};
    header.ifi_index = link_index;
    header.ifi_change = link_is_up;
    writer.begin(RTM_SETLINK, 0, header);
    return socket_.request(writer, fmt::format("set link {} down", link_index));
}

Result<> RouteSocket::delete_link(const std::string& name) {
    NetlinkWriter writer;
    writer.begin(RTM_DELLINK, 0, ifinfomsg{});
    writer.put_string(IFLA_IFNAME, name);
    return socket_.request_tolerating(writer, "delete link " + name, {ENODEV});
}

Result<Link> RouteSocket::find_link(const std::string& name) {
    NetlinkWriter writer;
    writer.begin(RTM_GETLINK, 0, ifinfomsg{});
    writer.put_string(IFLA_IFNAME, name);
    Link found;
    auto result = socket_.query(writer, "link " + name, [&](const NetlinkMessage& message) {
        found = parse_link(message);
    });
    if (!result && result.error().os_errno == ENODEV) result.error().code = Code::not_found;
    TRY(std::move(result));
    return found;
}

Result<std::vector<Link>> RouteSocket::links() {
    NetlinkWriter writer;
    writer.begin(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{});
    std::vector<Link> found;
    TRY(socket_.dump(
        writer, "links", [&] { found.clear(); },
        [&](const NetlinkMessage& message) { found.push_back(parse_link(message)); }));
    return found;
}

Result<> RouteSocket::add_address(const Address& address) {
    NetlinkWriter writer;
    write_address(writer, RTM_NEWADDR, create_exclusively, address);
    return socket_.request_tolerating(writer, describe(address), {EEXIST});
}

Result<> RouteSocket::delete_address(const Address& address) {
    NetlinkWriter writer;
    write_address(writer, RTM_DELADDR, 0, address);
    return socket_.request_tolerating(writer, "delete " + describe(address),
                                      {EADDRNOTAVAIL, ENODEV});
}

Result<std::vector<Address>> RouteSocket::addresses() {
    NetlinkWriter writer;
    ifaddrmsg header{};
    header.ifa_family = AF_INET;
    writer.begin(RTM_GETADDR, NLM_F_DUMP, header);
    std::vector<Address> found;
    TRY(socket_.dump(
        writer, "addresses", [&] { found.clear(); },
        [&](const NetlinkMessage& message) {
            auto fixed = message.header<ifaddrmsg>();
            Address address{static_cast<int>(fixed.ifa_index), {}, fixed.ifa_prefixlen};
            for_each_attribute(message.attributes<ifaddrmsg>(),
                               [&](const NetlinkAttribute& attribute) {
                                   if (attribute.type == IFA_LOCAL)
                                       address.address = attribute.address();
                               });
            found.push_back(address);
        }));
    return found;
}

Result<> RouteSocket::set_route(const Route& route) {
    NetlinkWriter writer;
    write_route(writer, RTM_NEWROUTE, create_or_replace, route);
    return socket_.request(writer, describe(route));
}

Result<> RouteSocket::add_route(const Route& route) {
    NetlinkWriter writer;
    write_route(writer, RTM_NEWROUTE, create_exclusively, route);
    return socket_.request(writer, describe(route));
}

Result<> RouteSocket::delete_route(const Route& route) {
    NetlinkWriter writer;
    write_route(writer, RTM_DELROUTE, 0, route);
    return socket_.request_tolerating(writer, "delete " + describe(route), {ESRCH, ENODEV});
}

Result<std::vector<Route>> RouteSocket::routes() {
    NetlinkWriter writer;
    rtmsg header{};
    header.rtm_family = AF_INET;
    header.rtm_table = RT_TABLE_MAIN;
    writer.begin(RTM_GETROUTE, NLM_F_DUMP, header);
    std::vector<Route> found;
    TRY(socket_.dump(
        writer, "routes", [&] { found.clear(); },
        [&](const NetlinkMessage& message) {
            auto fixed = message.header<rtmsg>();
            if (fixed.rtm_table != RT_TABLE_MAIN || (fixed.rtm_flags & RTM_F_CLONED)) return;
            Route route;
            route.protocol = fixed.rtm_protocol;
            route.destination.prefix = fixed.rtm_dst_len;
            for_each_attribute(message.attributes<rtmsg>(), [&](const NetlinkAttribute& attribute) {
                if (attribute.type == RTA_DST) route.destination.base = attribute.address();
                if (attribute.type == RTA_OIF) route.link_index = static_cast<int>(attribute.u32());
                if (attribute.type == RTA_GATEWAY) route.gateway = attribute.address();
                if (attribute.type == RTA_PREFSRC) route.source = attribute.address();
            });
            found.push_back(route);
        }));
    return found;
}

Result<> RouteSocket::set_neighbour(const Neighbour& neighbour) {
    NetlinkWriter writer;
    ndmsg header{};
    header.ndm_family = AF_INET;
    header.ndm_ifindex = neighbour.link_index;
    header.ndm_state = NUD_PERMANENT;
    writer.begin(RTM_NEWNEIGH, create_or_replace, header);
    writer.put_address(NDA_DST, neighbour.address);
    writer.put_bytes(NDA_LLADDR, text_of(neighbour.mac));
    return socket_.request(writer, "neighbour " + neighbour.address.to_string());
}

Result<std::vector<Neighbour>> RouteSocket::permanent_neighbours() {
    NetlinkWriter writer;
    ndmsg header{};
    header.ndm_family = AF_INET;
    writer.begin(RTM_GETNEIGH, NLM_F_DUMP, header);
    std::vector<Neighbour> found;
    TRY(socket_.dump(
        writer, "neighbours", [&] { found.clear(); },
        [&](const NetlinkMessage& message) {
            auto fixed = message.header<ndmsg>();
            if (!(fixed.ndm_state & NUD_PERMANENT)) return;
            Neighbour neighbour{fixed.ndm_ifindex, {}, {}};
            for_each_attribute(message.attributes<ndmsg>(), [&](const NetlinkAttribute& attribute) {
                if (attribute.type == NDA_DST) neighbour.address = attribute.address();
                if (attribute.type == NDA_LLADDR) neighbour.mac = read_mac(attribute);
            });
            found.push_back(neighbour);
        }));
    return found;
}

} // namespace cloudlet::linux
