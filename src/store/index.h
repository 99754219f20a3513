#pragma once
// The keys in memory: of each the latest version with its value, and the ids of the older versions
// that compaction has not removed. Pure: no I/O, no locks; the store's thread is its only writer.

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "version.h"

namespace cloudlet::store {

class Index {
public:
    /// The latest version, or null when the key is not there (or removed).
    const Version* find(std::string_view key) const;

    /// Calls back with each live key of the range in order, as long as `visit` returns true.
    template <typename Visit>
    void for_each(std::string_view first, std::string_view range_end, Visit&& visit) const;

    /// What a read at an old revision finds: versions in memory, and ids of rows to be fetched.
    struct Found {
        std::string key;
        Version version; // without a value when `fetch`
        bool fetch = false;
    };
    struct Snapshot {
        std::vector<Found> found;
        int64_t count = 0;
    };
    Snapshot at(const RangeRequest& request) const;

    /// The id of the version that the row with `id` of `key` replaced, if it is still kept.
    std::optional<int64_t> replaced_by(std::string_view key, int64_t id) const;

    /// Takes the next row of history.
    void apply(const Row& row);

    /// Ids of up to `limit` rows that no read at or above `revision` needs, oldest first.
    std::vector<int64_t> garbage(int64_t revision, size_t limit) const;
    /// Forgets the first `count` of them.
    void drop_garbage(size_t count);

    size_t live_keys() const { return live_; }

private:
    struct Older {
        int64_t id;
        bool removed;
    };
    struct Entry {
        Version latest;
        std::vector<Older> older; // by id
    };
    using Entries = std::map<std::string, Entry, std::less<>>;
    struct Garbage {
        int64_t since; // the revision from which on nobody reads it
        int64_t id;
        Entries::iterator entry;
    };

    Entries entries_;
    std::deque<Garbage> garbage_; // by `since`
    size_t live_ = 0;

    Entries::const_iterator past(std::string_view first, std::string_view range_end) const;
};

template <typename Visit>
void Index::for_each(std::string_view first, std::string_view range_end, Visit&& visit) const {
    auto end = past(first, range_end);
    for (auto it = range_end.empty() ? entries_.find(first) : entries_.lower_bound(first);
         it != end; ++it)
        if (!it->second.latest.removed() && !visit(it->first, it->second.latest)) return;
}

} // namespace cloudlet::store
