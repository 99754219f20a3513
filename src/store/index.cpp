#include "index.h"

#include <algorithm>

#include "cloudlet/base/check.h"

namespace cloudlet::store {

const Version* Index::find(std::string_view key) const {
    auto it = entries_.find(key);
    if (it == entries_.end() || it->second.latest.removed()) return nullptr;
    return &it->second.latest;
}

Index::Entries::const_iterator Index::past(std::string_view first,
                                           std::string_view range_end) const {
    if (range_end.empty()) {
        auto it = entries_.find(first);
        return it == entries_.end() ? it : std::next(it);
    }
    if (range_end == to_the_end) return entries_.end();
    if (range_end <= first) return entries_.lower_bound(first);
    return entries_.lower_bound(range_end);
}

Index::Snapshot Index::at(const RangeRequest& request) const {
    Snapshot snapshot;
    const int64_t past_id = first_id_of(request.revision + 1);
    const auto end = past(request.key, request.range_end);
    auto it =
        request.range_end.empty() ? entries_.find(request.key) : entries_.lower_bound(request.key);
    for (; it != end; ++it) {
        const Entry& entry = it->second;
        Found found;
        if (entry.latest.id < past_id) {
            if (entry.latest.removed()) continue;
            found.version = entry.latest;
        } else {
            auto later =
                std::upper_bound(entry.older.begin(), entry.older.end(), past_id - 1,
                                 [](int64_t id, const Older& older) { return id < older.id; });
            if (later == entry.older.begin() || std::prev(later)->removed) continue;
            found.version.id = std::prev(later)->id;
            found.fetch = true;
        }
        snapshot.count++;
        if (request.count_only) continue;
        if (request.limit > 0 && snapshot.found.size() >= static_cast<size_t>(request.limit))
            continue;
        found.key = it->first;
        snapshot.found.push_back(std::move(found));
    }
    return snapshot;
}

std::optional<int64_t> Index::replaced_by(std::string_view key, int64_t id) const {
    auto it = entries_.find(key);
    if (it == entries_.end()) return std::nullopt;
    const auto& older = it->second.older;
    auto self = std::lower_bound(older.begin(), older.end(), id,
                                 [](const Older& one, int64_t wanted) { return one.id < wanted; });
    if (self == older.begin() || std::prev(self)->removed) return std::nullopt;
    return std::prev(self)->id;
}

void Index::apply(const Row& row) {
    auto [it, fresh] = entries_.try_emplace(row.key);
    Entry& entry = it->second;
    const bool removed = row.version.removed();
    if (!fresh) {
        check(entry.latest.id < row.version.id, "store: history is applied in order");
        const bool was_removed = entry.latest.removed();
        entry.older.push_back({entry.latest.id, was_removed});
        // A removal became garbage at its own revision, when it was applied.
        if (!was_removed) {
            garbage_.push_back({row.version.revision(), entry.latest.id, it});
            live_--;
        }
    }
    entry.latest = row.version;
    if (removed)
        garbage_.push_back({row.version.revision(), row.version.id, it});
    else
        live_++;
}

std::vector<int64_t> Index::garbage(int64_t revision, size_t limit) const {
    std::vector<int64_t> ids;
    for (const Garbage& one : garbage_) {
        if (one.since > revision || ids.size() >= limit) break;
        ids.push_back(one.id);
    }
    return ids;
}

void Index::drop_garbage(size_t count) {
    for (; count > 0; --count) {
        Garbage one = garbage_.front();
        garbage_.pop_front();
        Entry& entry = one.entry->second;
        if (entry.latest.id == one.id) {
            entries_.erase(one.entry);
            continue;
        }
        check(!entry.older.empty() && entry.older.front().id == one.id,
              "store: garbage is dropped in order");
        entry.older.erase(entry.older.begin());
        if (entry.older.empty()) entry.older.shrink_to_fit();
    }
}

} // namespace cloudlet::store
