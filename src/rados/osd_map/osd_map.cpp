#include "cloudlet/rados/osd_map.h"

#include <arpa/inet.h>
#include <charconv>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cloudlet/base/bytes.h"

namespace cloudlet::rados {
namespace {

/// "10.0.0.1:6800", "[fe80::1]:6800".
std::string host_and_port(const std::string& socket_address) {
    sockaddr_in6 six{};
    std::memcpy(&six, socket_address.data(), std::min(socket_address.size(), sizeof six));
    char text[INET6_ADDRSTRLEN] = "";
    if (six.sin6_family == AF_INET) {
        sockaddr_in four{};
        std::memcpy(&four, &six, sizeof four);
        inet_ntop(AF_INET, &four.sin_addr, text, sizeof text);
        return fmt::format("{}:{}", text, ntohs(four.sin_port));
    }
    if (six.sin6_family == AF_INET6) {
        inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof text);
        return fmt::format("[{}]:{}", text, ntohs(six.sin6_port));
    }
    return fmt::format("(unrecognized address family {})", six.sin6_family);
}

const char* kind_prefix(Address::Kind kind) {
    switch (kind) {
    case Address::Kind::legacy: return "v1:";
    case Address::Kind::msgr2: return "v2:";
    case Address::Kind::any: return "";
    case Address::Kind::cidr: return "cidr:";
    default: return "???:";
    }
}

} // namespace

std::string Uuid::to_string() const {
    std::string hex =
        to_hex(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    for (size_t dash : {8, 13, 18, 23}) hex.insert(dash, 1, '-');
    return hex;
}

std::string PgId::to_string() const { return fmt::format("{}.{:x}", pool, seed); }

Result<PgId> PgId::parse(std::string_view text) {
    PgId pg;
    const char* end = text.data() + text.size();
    auto [dot, pool_error] = std::from_chars(text.data(), end, pg.pool);
    if (pool_error == std::errc{} && dot != end && *dot == '.') {
        auto [rest, seed_error] = std::from_chars(dot + 1, end, pg.seed, 16);
        if (seed_error == std::errc{} && rest == end && pg.pool >= 0) return pg;
    }
    return fail(Code::invalid,
                fmt::format("\"{}\" is no placement group; write POOL.SEED, such as 1.2f", text));
}

std::string Address::host_port() const { return host_and_port(socket_address); }

std::string Address::to_string() const {
    if (kind == Kind::none) return "-";
    return fmt::format("{}{}/{}", kind_prefix(kind), host_port(), nonce);
}

bool Address::blank() const {
    return socket_address.size() < 2 || (socket_address[0] == 0 && socket_address[1] == 0);
}

std::string AddressVector::to_string() const {
    if (addresses.empty()) return "";
    if (addresses.size() == 1) return addresses[0].to_string();
    std::vector<std::string> texts;
    for (const Address& address : addresses) texts.push_back(address.to_string());
    return fmt::format("[{}]", fmt::join(texts, ","));
}

std::string AddressVector::legacy_string() const {
    if (addresses.empty()) return "(unrecognized address family 0)/0";
    for (const Address& address : addresses)
        if (address.kind == Address::Kind::legacy || address.kind == Address::Kind::any)
            return fmt::format("{}/{}", address.host_port(), address.nonce);
    return fmt::format("{}/{}", addresses[0].host_port(), addresses[0].nonce);
}

void Pool::set_pg_num(uint32_t pgs, uint32_t pgs_for_placement) {
    pg_num = pg_num_target = pg_num_pending = pgs;
    pgp_num = pgp_num_target = pgs_for_placement;
}

void OsdMap::resize_osds(int32_t count) {
    auto size = static_cast<size_t>(count);
    osd_state.resize(size);
    osd_weight.resize(size); // out
    if (!primary_affinity.empty()) primary_affinity.resize(size, full_affinity);
    client_addresses.resize(size);
    cluster_addresses.resize(size);
    heartbeat_front_addresses.resize(size);
    heartbeat_back_addresses.resize(size);
    osd_info.resize(size);
    osd_extra.resize(size);
    osd_uuid.resize(size);
}

void OsdMap::set_affinity(int32_t osd, uint32_t affinity) {
    if (primary_affinity.empty()) primary_affinity.assign(osd_state.size(), full_affinity);
    primary_affinity[index(osd)] = affinity;
}

void OsdMap::set_crush(CrushMap map) {
    crush = std::make_shared<CrushMap>(std::move(map));
    crush_bytes = nullptr;
}

const Pool* OsdMap::pool(PoolId id) const {
    auto found = pools.find(id);
    return found == pools.end() ? nullptr : &found->second;
}

std::string_view OsdMap::pool_name(PoolId id) const {
    auto found = pool_names.find(id);
    return found == pool_names.end() ? "<unknown>" : std::string_view(found->second);
}

uint32_t OsdMap::effective_flags() const {
    constexpr uint8_t luminous = 12, nautilus = 14;
    uint32_t effective = flags;
    if (require_osd_release >= nautilus) effective |= map_pglog_hardlimit;
    if (require_osd_release >= luminous) {
        effective &= ~(map_require_jewel | map_require_kraken | map_require_luminous);
        effective |= map_recovery_deletes;
    }
    return effective;
}

} // namespace cloudlet::rados
