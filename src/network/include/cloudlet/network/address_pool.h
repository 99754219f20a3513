#pragma once
// Which addresses of a block are taken. A pure value: the pod network fills it from the links that
// the kernel has, so nothing can leak. Addresses are handed out in rising order and come round
// again only at the end of the block, so that a late packet for a pod that is gone meets nobody
// new. Not thread-safe.

#include <set>

#include "cloudlet/linux/ipv4.h"

namespace cloudlet::network {

class AddressPool {
public:
    /// Never hands out the first `reserved` addresses nor the last one (broadcast) of the block.
    explicit AddressPool(linux::Ipv4Block block, uint32_t reserved = 2);

    /// Error: exhausted, naming the block.
    Result<linux::Ipv4> allocate();
    /// Marks one address as taken. Error: invalid outside the block, already_exists.
    Result<> take(linux::Ipv4 address);
    void release(linux::Ipv4 address);
    size_t taken() const { return taken_.size(); }
    size_t capacity() const;

private:
    linux::Ipv4Block block_;
    uint32_t first_;
    uint32_t last_;
    uint32_t next_;
    std::set<uint32_t> taken_; // offsets into the block
};

} // namespace cloudlet::network
