#pragma once
// Leases in memory: which keys hang on which lease, and when it ends. Pure; time is an argument.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cloudlet/base/clock.h"

namespace cloudlet::store {

class LeaseTable {
public:
    void add(int64_t lease, Duration ttl, MonotonicTime now);
    void remove(int64_t lease);
    bool contains(int64_t lease) const { return leases_.contains(lease); }
    /// Starts the lease's time anew; false when there is no such lease or it has ended.
    bool keep_alive(int64_t lease, MonotonicTime now);

    void attach(int64_t lease, const std::string& key);
    void detach(int64_t lease, const std::string& key);
    const std::set<std::string>& keys_of(int64_t lease) const;

    std::vector<int64_t> ended_by(MonotonicTime now) const;
    std::optional<MonotonicTime> next_end() const;

private:
    struct Lease {
        Duration ttl{};
        MonotonicTime end;
        std::set<std::string> keys;
    };
    std::map<int64_t, Lease> leases_;
    std::set<std::pair<MonotonicTime, int64_t>> ends_;
};

} // namespace cloudlet::store
