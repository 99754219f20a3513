#include "cloudlet/linux/conntrack.h"

#include <netinet/in.h>

#include <cerrno>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

namespace cloudlet::linux {

namespace {

constexpr uint16_t message_type(int type) {
    return static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
}

nfgenmsg family_header() {
    nfgenmsg header{};
    header.nfgen_family = AF_INET;
    header.version = NFNETLINK_V0;
    return header;
}

ConnectionTuple parse_tuple(std::span<const std::byte> payload, uint8_t& protocol) {
    ConnectionTuple tuple;
    for_each_attribute(payload, [&](const NetlinkAttribute& part) {
        for_each_attribute(part.payload, [&](const NetlinkAttribute& value) {
            if (part.type == CTA_TUPLE_IP && value.type == CTA_IP_V4_SRC)
                tuple.source = value.address();
            if (part.type == CTA_TUPLE_IP && value.type == CTA_IP_V4_DST)
                tuple.destination = value.address();
            if (part.type != CTA_TUPLE_PROTO) return;
            if (value.type == CTA_PROTO_NUM) protocol = value.u8();
            if (value.type == CTA_PROTO_SRC_PORT) tuple.source_port = value.be16();
            if (value.type == CTA_PROTO_DST_PORT) tuple.destination_port = value.be16();
        });
    });
    return tuple;
}

Connection parse_connection(const NetlinkMessage& message) {
    Connection connection;
    for_each_attribute(message.attributes<nfgenmsg>(), [&](const NetlinkAttribute& attribute) {
        if (attribute.type == CTA_TUPLE_ORIG)
            connection.original = parse_tuple(attribute.payload, connection.protocol);
        if (attribute.type == CTA_TUPLE_REPLY)
            connection.reply = parse_tuple(attribute.payload, connection.protocol);
        if (attribute.type == CTA_STATUS) connection.status = attribute.be32();
        if (attribute.type == CTA_ZONE) connection.zone = attribute.be16();
    });
    return connection;
}

void write_tuple(NetlinkWriter& writer, const Connection& connection) {
    size_t tuple = writer.begin_nest(CTA_TUPLE_ORIG);
    size_t address = writer.begin_nest(CTA_TUPLE_IP);
    writer.put_address(CTA_IP_V4_SRC, connection.original.source);
    writer.put_address(CTA_IP_V4_DST, connection.original.destination);
    writer.end_nest(address);
    size_t protocol = writer.begin_nest(CTA_TUPLE_PROTO);
    writer.put_u8(CTA_PROTO_NUM, connection.protocol);
    writer.put_be16(CTA_PROTO_SRC_PORT, connection.original.source_port);
    writer.put_be16(CTA_PROTO_DST_PORT, connection.original.destination_port);
    writer.end_nest(protocol);
    writer.end_nest(tuple);
}

} // namespace

bool Connection::destination_changed() const { return status & IPS_DST_NAT; }

Result<ConntrackSocket> ConntrackSocket::open() {
    return ConntrackSocket(TRY(NetlinkSocket::open(NETLINK_NETFILTER)));
}

Result<std::vector<Connection>> ConntrackSocket::list(uint8_t protocol) {
    NetlinkWriter writer;
    writer.begin(message_type(IPCTNL_MSG_CT_GET), NLM_F_DUMP, family_header());
    std::vector<Connection> found;
    TRY(socket_.dump(
        writer, "connection table", [&] { found.clear(); },
        [&](const NetlinkMessage& message) {
            Connection connection = parse_connection(message);
            if (connection.protocol == protocol) found.push_back(connection);
        }));
    return found;
}

Result<> ConntrackSocket::forget(const Connection& connection) {
    NetlinkWriter writer;
    writer.begin(message_type(IPCTNL_MSG_CT_DELETE), 0, family_header());
    write_tuple(writer, connection);
    if (connection.zone != 0) writer.put_be16(CTA_ZONE, connection.zone);
    return socket_.request_tolerating(
        writer,
        fmt::format("forget connection {}:{} -> {}:{}", connection.original.source.to_string(),
                    connection.original.source_port, connection.original.destination.to_string(),
                    connection.original.destination_port),
        {ENOENT});
}

} // namespace cloudlet::linux
