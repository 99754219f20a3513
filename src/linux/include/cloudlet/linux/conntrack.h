#pragma once
// The connection table (nf_conntrack over ctnetlink): read it, and forget single connections. A
// service whose endpoint is gone must forget that endpoint's UDP connections, else clients that
// keep their source port are sent to nobody for as long as they talk.

#include <functional>
#include <vector>

#include "cloudlet/linux/netlink.h"

namespace cloudlet::linux {

struct ConnectionTuple {
    Ipv4 source;
    Ipv4 destination;
    uint16_t source_port = 0;
    uint16_t destination_port = 0;
    auto operator<=>(const ConnectionTuple&) const = default;
};

struct Connection {
    uint8_t protocol = 0;     // IPPROTO_*
    ConnectionTuple original; // as the client sent it
    ConnectionTuple reply;    // as the answer comes: reply.source is the real server
    uint32_t status = 0;      // IPS_*
    uint16_t zone = 0;
    bool destination_changed() const; // DNAT happened (IPS_DST_NAT)
};

class ConntrackSocket {
public:
    static Result<ConntrackSocket> open();

    /// IPv4 connections of one protocol (IPPROTO_UDP, IPPROTO_TCP, ...).
    Result<std::vector<Connection>> list(uint8_t protocol);
    /// Forgetting what is gone is done.
    Result<> forget(const Connection& connection);

private:
    explicit ConntrackSocket(NetlinkSocket socket) : socket_(std::move(socket)) {}
    NetlinkSocket socket_;
};

} // namespace cloudlet::linux
