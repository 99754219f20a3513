#pragma once
// Leases of the store for objects that expire (Events). One lease serves all objects of a minute,
// so that an object costs no lease of its own; it lives up to that minute longer than asked.

#include <mutex>

#include "cloudlet/base/clock.h"
#include "cloudlet/store/store.h"

namespace cloudlet::kube::server {

/// Thread-safe. current() blocks for one commit once a minute.
class LeasePool {
public:
    LeasePool(store::Store& store, const Clock& clock, Duration ttl)
        : store_(store), clock_(clock), ttl_(ttl) {}
    Result<int64_t> current();

private:
    store::Store& store_;
    const Clock& clock_;
    const Duration ttl_;
    std::mutex mutex_;
    int64_t lease_ = 0;
    MonotonicTime granted_{};
};

} // namespace cloudlet::kube::server
