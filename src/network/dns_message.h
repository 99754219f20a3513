#pragma once
// DNS messages in wire format (RFC 1035 section 4, EDNS0 by RFC 6891). Pure functions; every input
// is hostile. Names are lower-case text without the final dot; a byte that is no letter, digit, '-'
// or '_' is written \DDD, so that text and wire name correspond one to one.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/linux/ipv4.h"

namespace cloudlet::network::dns {

enum Type : uint16_t {
    a = 1,
    ns = 2,
    cname = 5,
    soa = 6,
    ptr = 12,
    txt = 16,
    aaaa = 28,
    srv = 33,
    opt = 41,
    any = 255,
};
enum Rcode : uint16_t {
    no_error = 0,
    format_error = 1,
    server_failure = 2,
    name_error = 3, // NXDOMAIN
    not_implemented = 4,
    refused = 5,
    bad_version = 16,
};

inline constexpr size_t header_size = 12;
inline constexpr size_t plain_udp_limit = 512; // RFC 1035 section 4.2.1
inline constexpr size_t edns_udp_limit =
    1232; // fits every path without fragments (DNS flag day 2020)
inline constexpr size_t tcp_limit = 65535;

struct Query {
    uint16_t id = 0;
    uint8_t opcode = 0;
    bool recursion_desired = false;
    std::string name;
    uint16_t type = 0;
    uint16_t klass = 0;
    std::string question; // as received: name, type, class
    bool has_edns = false;
    uint8_t edns_version = 0;
    uint16_t udp_size = plain_udp_limit;
    Rcode problem = no_error; // not no_error: answer with this and nothing else

    size_t udp_limit() const;
};

/// Nothing when the message deserves no answer at all (too short, or itself an answer).
std::optional<Query> parse_query(std::string_view message);

/// True when `reply` is an answer to `query` (both whole messages): same id, same question.
bool is_reply_to(std::string_view reply, std::string_view query);

uint16_t id_of(std::string_view message);
void set_id(std::string& message, uint16_t id);
Rcode rcode_of(std::string_view message);

struct Record {
    std::string name;
    uint16_t type = 0;
    uint32_t ttl = 0;
    std::string data;
};

/// The answer records of one type (of types whose data holds no name: A, AAAA), whoever owns them.
std::vector<Record> answers_of_type(std::string_view message, uint16_t type);

/// A query of ours for a name, with recursion desired and EDNS0.
std::string encode_query(uint16_t id, std::string_view name, uint16_t type);

struct Reply {
    Rcode rcode = no_error;
    bool authoritative = false;
    std::vector<Record> answers, authority, additional;
};

/// The reply as bytes. One that is longer than `limit` loses its additional records, and if that is
/// not enough all records, and says so (TC).
std::string encode_reply(const Query& query, const Reply& reply, size_t limit);

/// "web.default.svc" -> wire labels, ended by the root. Labels over 63 bytes are cut.
std::string encode_name(std::string_view name);

std::string data_a(linux::Ipv4 address);
std::string data_srv(uint16_t port, std::string_view target);
std::string data_soa(std::string_view server, std::string_view mailbox, uint32_t serial,
                     uint32_t minimum);
std::string data_txt(std::string_view text);

} // namespace cloudlet::network::dns
