#include "expectations.h"

namespace cloudlet::kube::controllers {

namespace {
constexpr std::chrono::minutes kForgottenAfter{5};
}

void Expectations::expect(const std::string& owner, size_t creations,
                          std::set<std::string> removals, MonotonicTime now) {
    std::lock_guard lock(mutex_);
    entries_[owner] = {creations, std::move(removals), now};
}

void Expectations::creation_seen(const std::string& owner) {
    std::lock_guard lock(mutex_);
    auto it = entries_.find(owner);
    if (it != entries_.end() && it->second.creations > 0) it->second.creations--;
}

void Expectations::removal_seen(const std::string& owner, const std::string& uid) {
    std::lock_guard lock(mutex_);
    if (auto it = entries_.find(owner); it != entries_.end()) it->second.removals.erase(uid);
}

bool Expectations::satisfied(const std::string& owner, MonotonicTime now) const {
    std::lock_guard lock(mutex_);
    auto it = entries_.find(owner);
    if (it == entries_.end()) return true;
    return (it->second.creations == 0 && it->second.removals.empty()) ||
           now - it->second.since > kForgottenAfter;
}

void Expectations::forget(const std::string& owner) {
    std::lock_guard lock(mutex_);
    entries_.erase(owner);
}

} // namespace cloudlet::kube::controllers
