#pragma once
// Who takes part in a storage cluster, as an address of messages, and the networks between them.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>

namespace cloudlet::rados {

struct Entity {
    enum class Kind : uint8_t { monitor, osd, client };
    Kind kind = Kind::client;
    int32_t number = 0;
    auto operator<=>(const Entity&) const = default;
    std::string to_string() const; // "osd.3"
    bool is_osd() const { return kind == Kind::osd; }
    bool is_monitor() const { return kind == Kind::monitor; }
    bool is_client() const { return kind == Kind::client; }

    static Entity monitor(int32_t number) { return {Kind::monitor, number}; }
    static Entity osd(int32_t number) { return {Kind::osd, number}; }
    static Entity client(int32_t number) { return {Kind::client, number}; }
};

/// The networks of a host: clients and monitors are on the public one; OSDs speak to each other on
/// the cluster network. Where there is no such network of its own, both names mean the public one.
enum class Wire : uint8_t { public_network, cluster_network };
inline constexpr size_t wires = 2;

} // namespace cloudlet::rados
