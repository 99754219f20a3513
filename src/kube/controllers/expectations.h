#pragma once
// What a controller did and its informer has not shown yet. Without it a controller that looks
// twice before the first creation is seen creates twice. As k8s.io/kubernetes pkg/controller's
// expectations.

#include <map>
#include <mutex>
#include <set>
#include <string>

#include "cloudlet/base/clock.h"

namespace cloudlet::kube::controllers {

/// Thread-safe; by the uid of the owner.
class Expectations {
public:
    /// Before the calls: so many creations, and the removals of these uids, are to be seen.
    void expect(const std::string& owner, size_t creations, std::set<std::string> removals,
                MonotonicTime now);
    void creation_seen(const std::string& owner);
    void removal_seen(const std::string& owner, const std::string& uid);

    /// All was seen, or so long ago (five minutes) that some event must have been missed.
    bool satisfied(const std::string& owner, MonotonicTime now) const;
    void forget(const std::string& owner);

private:
    struct Entry {
        size_t creations = 0;
        std::set<std::string> removals;
        MonotonicTime since;
    };
    mutable std::mutex mutex_;
    std::map<std::string, Entry> entries_;
};

} // namespace cloudlet::kube::controllers
