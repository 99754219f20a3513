#include "group.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>

namespace cloudlet::store {

namespace {

int64_t value_of(const Version* version, Compare::Target target) {
    if (!version) return 0;
    switch (target) {
    case Compare::Target::create_revision: return version->create_revision;
    case Compare::Target::mod_revision: return version->revision();
    case Compare::Target::version: return version->version;
    case Compare::Target::exists: return 1;
    }
    return 0;
}

/// Two changes of one key under one revision would have no order for readers.
Result<> refuse_repeats(const std::vector<Change>& changes) {
    if (changes.size() < 2) return {};
    std::unordered_set<std::string_view> seen;
    for (const Change& change : changes)
        if (!seen.insert(change.row.key).second)
            return fail(Code::invalid,
                        fmt::format("transaction changes key \"{}\" twice; change it once",
                                    change.row.key));
    return {};
}

} // namespace

Group::Group(const Index& index, const LeaseTable& leases, int64_t revision)
    : index_(index), leases_(leases), revision_(revision) {}

const Version* Group::find(std::string_view key) const {
    auto it = pending_.find(key);
    if (it == pending_.end()) return index_.find(key);
    return it->second.removed() ? nullptr : &it->second;
}

bool Group::holds(const Compare& compare) const {
    const int64_t value = value_of(find(compare.key), compare.target);
    switch (compare.op) {
    case Compare::Op::equal: return value == compare.value;
    case Compare::Op::not_equal: return value != compare.value;
    case Compare::Op::greater: return value > compare.value;
    case Compare::Op::less: return value < compare.value;
    }
    return false;
}

bool Group::lease_exists(int64_t lease) const {
    auto same = [&](const Grant& grant) { return grant.lease == lease; };
    const bool made =
        leases_.contains(lease) || std::any_of(granted_.begin(), granted_.end(), same);
    return made && std::find(revoked_.begin(), revoked_.end(), lease) == revoked_.end();
}

Result<TransactionResult> Group::add(const Transaction& transaction) {
    auto holds_one = [this](const Compare& compare) { return holds(compare); };
    const bool succeeded =
        std::all_of(transaction.compares.begin(), transaction.compares.end(), holds_one);
    take(TRY(plan(succeeded ? transaction.then : transaction.otherwise)));
    return TransactionResult{succeeded, revision_};
}

Result<std::vector<Change>> Group::plan(const std::vector<Operation>& operations) const {
    std::vector<Change> changes;
    changes.reserve(operations.size());
    for (const Operation& operation : operations) {
        if (const auto* put = std::get_if<Put>(&operation))
            TRY(plan_put(*put, changes));
        else
            TRY(plan_delete(std::get<Delete>(operation), changes));
    }
    TRY(refuse_repeats(changes));
    if (changes.size() > kMaxChanges)
        return fail(Code::too_large,
                    fmt::format("transaction changes {} keys; at most {} are allowed: split it",
                                changes.size(), kMaxChanges));
    return changes;
}

Result<> Group::plan_put(const Put& put, std::vector<Change>& out) const {
    if (put.key.empty()) return fail(Code::invalid, "a put names no key; give it one");
    if (put.lease != 0 && !lease_exists(put.lease))
        return fail(Code::not_found,
                    fmt::format("lease {} of key \"{}\" does not exist (it may have expired): "
                                "grant a new one",
                                put.lease, put.key));
    const Version* current = find(put.key);
    Change change;
    change.row.key = put.key;
    Version& version = change.row.version;
    version.value = put.value ? put.value : share("");
    version.lease = put.lease;
    version.create_revision = current ? current->create_revision : revision_ + 1;
    version.version = current ? current->version + 1 : 1;
    if (current) change.previous = *current;
    out.push_back(std::move(change));
    return {};
}

void Group::plan_removal(const std::string& key, const Version& current,
                         std::vector<Change>& out) const {
    Change change;
    change.row.key = key;
    change.previous = current;
    out.push_back(std::move(change));
}

Result<> Group::plan_delete(const Delete& removal, std::vector<Change>& out) const {
    if (removal.key.empty() && removal.range_end.empty())
        return fail(Code::invalid, "a delete names no key; give it one");
    if (removal.range_end.empty()) {
        if (const Version* current = find(removal.key)) plan_removal(removal.key, *current, out);
        return {};
    }
    const size_t begin = out.size();
    index_.for_each(removal.key, removal.range_end,
                    [&](const std::string& key, const Version& version) {
                        if (!pending_.contains(key)) plan_removal(key, version, out);
                        return true;
                    });
    for (auto it = pending_.lower_bound(removal.key); it != pending_.end(); ++it) {
        if (!in_range(it->first, removal.key, removal.range_end)) break;
        if (!it->second.removed()) plan_removal(it->first, it->second, out);
    }
    std::sort(out.begin() + static_cast<ptrdiff_t>(begin), out.end(),
              [](const Change& a, const Change& b) { return a.row.key < b.row.key; });
    return {};
}

void Group::take(std::vector<Change> changes) {
    if (changes.empty()) return;
    revision_++;
    int64_t id = first_id_of(revision_);
    for (Change& change : changes) {
        change.row.version.id = id++;
        pending_[change.row.key] = change.row.version;
        changes_.push_back(std::move(change));
    }
}

void Group::grant(int64_t lease, Duration ttl) { granted_.push_back({lease, ttl}); }

Result<> Group::revoke(int64_t lease) {
    if (!lease_exists(lease))
        return fail(Code::not_found,
                    fmt::format("lease {} does not exist (it may have expired)", lease));
    std::vector<Change> changes;
    for (const std::string& key : leases_.keys_of(lease))
        if (!pending_.contains(key))
            if (const Version* current = index_.find(key)) plan_removal(key, *current, changes);
    for (const auto& [key, version] : pending_)
        if (!version.removed() && version.lease == lease) plan_removal(key, version, changes);
    take(std::move(changes));
    revoked_.push_back(lease);
    return {};
}

} // namespace cloudlet::store
