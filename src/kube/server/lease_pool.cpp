#include "lease_pool.h"

namespace cloudlet::kube::server {

namespace {
constexpr Duration shared_for = std::chrono::minutes(1);
}

Result<int64_t> LeasePool::current() {
    std::lock_guard lock(mutex_);
    const MonotonicTime now = clock_.monotonic();
    if (lease_ == 0 || now - granted_ >= shared_for) {
        lease_ = TRY(store_.grant(ttl_ + shared_for));
        granted_ = now;
    }
    return lease_;
}

} // namespace cloudlet::kube::server
