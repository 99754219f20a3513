#pragma once
// Capability sets as values (capabilities(7)): named, intersected, compared. What a container asks
// for is always intersected with what this process may give, because root is not always full root.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/result.h"

namespace cloudlet::linux {

/// A set of capabilities, one bit for each number of linux/capability.h. A value type.
class CapabilitySet {
public:
    constexpr CapabilitySet() = default;
    constexpr explicit CapabilitySet(uint64_t bits) : bits_(bits) {}

    /// From names such as "CAP_NET_ADMIN" (any case, the prefix may be missing).
    /// Error: Code::invalid names the unknown capability.
    static Result<CapabilitySet> from_names(const std::vector<std::string>& names);
    /// Every capability number that this program knows.
    static CapabilitySet all();

    constexpr uint64_t bits() const { return bits_; }
    constexpr bool empty() const { return bits_ == 0; }
    bool contains(std::string_view name) const;
    bool contains(int number) const { return (bits_ >> number & 1) != 0; }
    std::vector<std::string> names() const; // "CAP_...", in number order

    constexpr CapabilitySet operator&(CapabilitySet other) const {
        return CapabilitySet(bits_ & other.bits_);
    }
    constexpr CapabilitySet operator|(CapabilitySet other) const {
        return CapabilitySet(bits_ | other.bits_);
    }
    constexpr CapabilitySet without(CapabilitySet other) const {
        return CapabilitySet(bits_ & ~other.bits_);
    }
    constexpr bool operator==(const CapabilitySet&) const = default;

private:
    uint64_t bits_ = 0;
};

/// The sets of the calling thread, from capget(2) and the bounding set.
struct HeldCapabilities {
    CapabilitySet effective;
    CapabilitySet permitted;
    CapabilitySet bounding;
};
Result<HeldCapabilities> held_capabilities();

/// The 14 capabilities that Docker gives to a container by default.
CapabilitySet default_container_capabilities();

/// The number of a capability ("CAP_SYS_ADMIN" or "sys_admin"); -1 when unknown.
int capability_number(std::string_view name);

} // namespace cloudlet::linux
