#include "leases.h"

namespace cloudlet::store {

namespace {
MonotonicTime end_of(MonotonicTime now, Duration ttl) {
    return now + std::chrono::duration_cast<MonotonicTime::duration>(ttl);
}
} // namespace

void LeaseTable::add(int64_t lease, Duration ttl, MonotonicTime now) {
    Lease& entry = leases_[lease];
    entry.ttl = ttl;
    entry.end = end_of(now, ttl);
    ends_.emplace(entry.end, lease);
}

void LeaseTable::remove(int64_t lease) {
    auto it = leases_.find(lease);
    if (it == leases_.end()) return;
    ends_.erase({it->second.end, lease});
    leases_.erase(it);
}

bool LeaseTable::keep_alive(int64_t lease, MonotonicTime now) {
    auto it = leases_.find(lease);
    if (it == leases_.end() || it->second.end <= now) return false; // its removal may be under way
    ends_.erase({it->second.end, lease});
    it->second.end = end_of(now, it->second.ttl);
    ends_.emplace(it->second.end, lease);
    return true;
}

void LeaseTable::attach(int64_t lease, const std::string& key) {
    if (auto it = leases_.find(lease); it != leases_.end()) it->second.keys.insert(key);
}

void LeaseTable::detach(int64_t lease, const std::string& key) {
    if (auto it = leases_.find(lease); it != leases_.end()) it->second.keys.erase(key);
}

const std::set<std::string>& LeaseTable::keys_of(int64_t lease) const {
    static const std::set<std::string> none;
    auto it = leases_.find(lease);
    return it == leases_.end() ? none : it->second.keys;
}

std::vector<int64_t> LeaseTable::ended_by(MonotonicTime now) const {
    std::vector<int64_t> ended;
    for (const auto& [end, lease] : ends_) {
        if (end > now) break;
        ended.push_back(lease);
    }
    return ended;
}

std::optional<MonotonicTime> LeaseTable::next_end() const {
    if (ends_.empty()) return std::nullopt;
    return ends_.begin()->first;
}

} // namespace cloudlet::store
