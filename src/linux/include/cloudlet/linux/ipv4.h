#pragma once
// IPv4 addresses and blocks as values: what links, routes, rules and records are written in.

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "cloudlet/base/result.h"

namespace cloudlet::linux {

/// One address. `value` is in host byte order, so that arithmetic and order are the natural ones.
struct Ipv4 {
    uint32_t value = 0;

    auto operator<=>(const Ipv4&) const = default;
    bool is_unspecified() const { return value == 0; }
    bool is_loopback() const { return value >> 24 == 127; }
    /// "10.244.0.5".
    std::string to_string() const;
};

/// Dotted decimal, four parts, no leading zeros. Error: Code::invalid.
Result<Ipv4> parse_ipv4(std::string_view text);

/// An address block, "10.244.0.0/24". `base` has no bit set below the prefix.
struct Ipv4Block {
    Ipv4 base;
    unsigned prefix = 32; // 0..32

    auto operator<=>(const Ipv4Block&) const = default;
    uint32_t mask() const { return prefix == 0 ? 0 : ~uint32_t{0} << (32 - prefix); }
    uint64_t size() const { return uint64_t{1} << (32 - prefix); }
    bool contains(Ipv4 address) const { return (address.value & mask()) == base.value; }
    bool overlaps(const Ipv4Block& other) const {
        return contains(other.base) || other.contains(base);
    }
    std::string to_string() const;
};

/// "a.b.c.d/n"; host bits must be zero. Error: Code::invalid, the message names the right spelling.
Result<Ipv4Block> parse_ipv4_block(std::string_view text);

} // namespace cloudlet::linux

template <>
struct std::hash<cloudlet::linux::Ipv4> {
    size_t operator()(cloudlet::linux::Ipv4 address) const noexcept {
        return std::hash<uint32_t>{}(address.value);
    }
};
