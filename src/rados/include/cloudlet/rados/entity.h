#pragma once
// Who takes part in a storage cluster, as an address of messages.

#include <compare>
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

} // namespace cloudlet::rados
