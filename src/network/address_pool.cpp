#include "cloudlet/network/address_pool.h"

namespace cloudlet::network {

AddressPool::AddressPool(linux::Ipv4Block block, uint32_t reserved)
    : block_(block), first_(reserved), last_(static_cast<uint32_t>(block.size()) - 2),
      next_(reserved) {}

size_t AddressPool::capacity() const { return last_ < first_ ? 0 : last_ - first_ + 1; }

Result<linux::Ipv4> AddressPool::allocate() {
    if (taken_.size() >= capacity())
        return fail(
            Code::exhausted,
            fmt::format("all {} pod addresses of {} are taken; give the node a larger block",
                        capacity(), block_.to_string()));
    while (taken_.contains(next_)) next_ = next_ == last_ ? first_ : next_ + 1;
    uint32_t offset = next_;
    taken_.insert(offset);
    next_ = offset == last_ ? first_ : offset + 1;
    return linux::Ipv4{block_.base.value + offset};
}

Result<> AddressPool::take(linux::Ipv4 address) {
    uint32_t offset = address.value - block_.base.value;
    if (!block_.contains(address) || offset < first_ || offset > last_)
        return fail(Code::invalid, fmt::format("{} is no pod address of {}", address.to_string(),
                                               block_.to_string()));
    if (!taken_.insert(offset).second)
        return fail(Code::already_exists,
                    fmt::format("pod address {} is taken", address.to_string()));
    if (offset >= next_) next_ = offset == last_ ? first_ : offset + 1;
    return {};
}

void AddressPool::release(linux::Ipv4 address) { taken_.erase(address.value - block_.base.value); }

} // namespace cloudlet::network
