#pragma once
// One group of transactions on its way to the disk: evaluated one after the other against the index
// and against the changes of those before it in the group. Pure; nothing is visible to readers
// until the group is committed and its changes are applied to the index.

#include <map>
#include <string>
#include <vector>

#include "cloudlet/store/store.h"
#include "index.h"
#include "leases.h"

namespace cloudlet::store {

class Group {
public:
    Group(const Index& index, const LeaseTable& leases, int64_t revision);

    /// Evaluates one transaction; an error leaves the group as it was. See Store::commit.
    Result<TransactionResult> add(const Transaction& transaction);

    void grant(int64_t lease, Duration ttl);
    /// Removes the lease and its keys under one revision. Error: Code::not_found.
    Result<> revoke(int64_t lease);

    struct Grant {
        int64_t lease;
        Duration ttl;
    };
    const std::vector<Change>& changes() const { return changes_; }
    const std::vector<Grant>& granted() const { return granted_; }
    const std::vector<int64_t>& revoked() const { return revoked_; }
    int64_t revision() const { return revision_; }
    bool writes() const { return !changes_.empty() || !granted_.empty() || !revoked_.empty(); }

private:
    const Index& index_;
    const LeaseTable& leases_;
    int64_t revision_;
    std::map<std::string, Version, std::less<>>
        pending_; // the latest of keys changed by this group
    std::vector<Change> changes_;
    std::vector<Grant> granted_;
    std::vector<int64_t> revoked_;

    const Version* find(std::string_view key) const;
    bool holds(const Compare& compare) const;
    bool lease_exists(int64_t lease) const;
    Result<std::vector<Change>> plan(const std::vector<Operation>& operations) const;
    Result<> plan_put(const Put& put, std::vector<Change>& out) const;
    Result<> plan_delete(const Delete& removal, std::vector<Change>& out) const;
    void plan_removal(const std::string& key, const Version& current,
                      std::vector<Change>& out) const;
    void take(std::vector<Change> changes);
};

} // namespace cloudlet::store
