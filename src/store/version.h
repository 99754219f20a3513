#pragma once
// Versions of keys and the ids that order them on disk.
//
// Every change is one row whose id is its revision and its place within that revision, so the table
// is its own log: rows are only appended, and the order of ids is the order of history.

#include <cstdint>
#include <string>

#include "cloudlet/base/bytes.h"
#include "cloudlet/store/store.h"

namespace cloudlet::store {

inline constexpr int kPlaceBits = 20;
inline constexpr size_t kMaxChanges = size_t{1} << kPlaceBits; // of one revision

inline int64_t first_id_of(int64_t revision) { return revision << kPlaceBits; }
inline int64_t revision_of(int64_t id) { return id >> kPlaceBits; }

/// One version of a key, without the key. A removal has no value.
struct Version {
    int64_t id = 0;
    int64_t create_revision = 0;
    int64_t version = 0;
    int64_t lease = 0;
    SharedBytes value;

    bool removed() const { return !value; }
    int64_t revision() const { return revision_of(id); }
};

/// A version with its key: what one row of the table holds.
struct Row {
    std::string key;
    Version version;
};

inline KeyValue to_key_value(const std::string& key, const Version& version) {
    return {
        key,          version.value, version.create_revision, version.revision(), version.version,
        version.lease};
}

/// A row together with what it replaced, if that was alive.
struct Change {
    Row row;
    std::optional<Version> previous;
};

inline Event to_event(const Change& change) {
    Event event;
    event.type = change.row.version.removed() ? Event::Type::removed : Event::Type::put;
    event.current = to_key_value(change.row.key, change.row.version);
    if (change.previous) event.previous = to_key_value(change.row.key, *change.previous);
    return event;
}

/// Whether `key` lies in what Delete and RangeRequest name.
inline bool in_range(std::string_view key, std::string_view first, std::string_view range_end) {
    if (range_end.empty()) return key == first;
    return key >= first && (range_end == to_the_end || key < range_end);
}

} // namespace cloudlet::store
