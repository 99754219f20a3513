#pragma once
// The one nft table of an instance: names, keys, and the fixed part that never changes while the
// instance runs. PodNetwork fills the host port map, ServiceProxy everything about services.

#include <string>

#include "cloudlet/linux/nftables.h"
#include "cloudlet/network/options.h"

namespace cloudlet::network {

// Arrays, not pointers: each has one address in the whole program, so a map may be told by it.
namespace names {
inline constexpr char services[] = "services";     // {ip . protocol . port : goto chain}
inline constexpr char node_ports[] = "node_ports"; // {protocol . port : goto chain}
inline constexpr char endpoints[] = "endpoints";   // {ip . protocol . port . number : ip . port}
inline constexpr char node_endpoints[] = "node_endpoints"; // {protocol . port . number : ip . port}
inline constexpr char hairpins[] = "hairpins";             // {ip . ip} of local endpoints
inline constexpr char host_ports[] = "host_ports";         // {ip . protocol . port : ip . port}
inline constexpr char host_ports_any[] =
    "host_ports_any"; // {protocol . port : ip . port}, on every address
inline constexpr char host_port_hairpins[] = "host_port_hairpins";
} // namespace names

inline constexpr linux::nft::Family table_family = linux::nft::Family::ip;

/// {address, protocol, port} that is translated. The address 0.0.0.0 stands for every address of
/// the node; its elements are in maps of their own, whose keys have no address.
struct Front {
    Ipv4 address;
    Protocol protocol = Protocol::tcp;
    uint16_t port = 0;
    auto operator<=>(const Front&) const = default;
    bool of_node() const { return address.is_unspecified(); }
};

/// Keys and values as the kernel holds them.
std::string front_key(const Front& front);
std::string endpoint_key(const Front& front, uint32_t number);
std::string target_value(Ipv4 address, uint16_t port);
std::string hairpin_key(Ipv4 address);

struct Target {
    Ipv4 address;
    uint16_t port = 0;
    auto operator<=>(const Target&) const = default;
};
/// Reads a target_value(); nothing when it is malformed.
std::optional<Target> read_target(std::string_view value);

/// Reads front_key() or endpoint_key(); `of_node` says from which kind of map the key is.
std::optional<Front> read_front(std::string_view key, bool of_node);

/// True when the instance's table is in the kernel.
Result<bool> has_table(linux::NetlinkSocket& socket, const NetworkOptions& options);

/// Makes the table with its maps and fixed chains in one transaction. A table that is there is
/// adopted; one of another version gets new fixed chains, and its maps stay. Error: conflict when
/// the table was made for other address blocks.
Result<> ensure_ruleset(linux::NetlinkSocket& socket, const NetworkOptions& options);

/// Deletes the table; done when it is not there.
Result<> delete_ruleset(linux::NetlinkSocket& socket, const NetworkOptions& options);

} // namespace cloudlet::network
