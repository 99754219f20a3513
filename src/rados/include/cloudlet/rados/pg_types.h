#pragma once
// The values that the copies of a placement group agree on: versions, log entries, what a copy says
// of itself, and which objects it lacks. Plain data without I/O; a value belongs to one thread
// while it changes.

#include <algorithm>
#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "cloudlet/base/clock.h"
#include "cloudlet/rados/boxed.h"
#include "cloudlet/rados/osd_map.h"

namespace cloudlet::rados {

/// The place of a change in a PG's order: the epoch of the interval's map, and a counter that never
/// falls. The zero value is before everything; as a prior version it means "was not there".
struct LogVersion {
    Epoch epoch = 0;
    uint64_t counter = 0;
    auto operator<=>(const LogVersion&) const = default;
    bool none() const { return *this == LogVersion{}; }
    std::string to_string() const; // "5'12"
};

/// One request of one client; a resent request keeps it.
struct RequestId {
    uint64_t client = 0;
    uint32_t incarnation = 0;
    uint64_t number = 0;
    auto operator<=>(const RequestId&) const = default;
    bool none() const { return *this == RequestId{}; }
    std::string to_string() const; // "client.4.1:17"
};

inline constexpr int8_t no_shard = -1;
/// A copy of a PG: the OSD, and its position where positions matter (erasure-coded pools).
struct PgShard {
    int32_t osd = no_osd;
    int8_t shard = no_shard;
    auto operator<=>(const PgShard&) const = default;
    std::string to_string() const; // "3" or "3(1)"
};

inline constexpr uint64_t snap_head = ~uint64_t{0} - 1; // the object itself, not a clone

/// An object inside a PG. Ordered by its hash, lowest bit first, then by name: so the objects of
/// every child that a split makes are one run, and backfill can walk them.
struct PgObject {
    uint32_t hash = 0;
    std::string name = {};
    Boxed<std::string> locator_key = {};
    Boxed<std::string> name_space = {};
    uint64_t snap = snap_head;
    bool operator==(const PgObject&) const = default;
    std::strong_ordering operator<=>(const PgObject& other) const;
};

/// The lowest bit becomes the highest: the order of PgObjects is that of their reversed hashes.
uint32_t reversed_bits(uint32_t bits);

/// How far backfill has come: objects up to the cursor are there, those beyond are not.
struct BackfillCursor {
    enum class Place : uint8_t { begin, at, end };
    Place place = Place::end;
    Boxed<PgObject> object = {}; // with Place::at: the last one that is there
    bool operator==(const BackfillCursor&) const = default;
    bool complete() const { return place == Place::end; }
    bool covers(const PgObject& other) const {
        return place == Place::end || (place == Place::at && other <= *object);
    }
};

/// How a copy can take an entry back by itself. Replicated pools cannot: they fetch the object.
struct Rollback {
    uint8_t possible = 0;
    Boxed<std::string> how = {}; // opaque; the object store's
    bool operator==(const Rollback&) const = default;
};

/// One change, or (error) the refusal of one: it changes nothing, but a resent request must get the
/// same refusal. Lost is what an operator gave up: the object is an earlier one again, or gone; the
/// prior version is the one that nobody had.
struct LogEntry {
    enum class Kind : uint8_t {
        modify = 1,
        remove = 2,
        error = 3,
        lost_revert = 4,
        lost_delete = 5,
    };
    Kind kind = Kind::modify;
    PgObject object = {};
    LogVersion version = {};
    LogVersion prior_version = {}; // of the object before; none when it did not exist
    RequestId request = {};
    uint64_t user_version = 0; // what the client was told
    int32_t result = 0;        // what the client was told; negative is an errno
    Rollback rollback = {};
    bool operator==(const LogEntry&) const = default;
    bool changes_object() const { return kind != Kind::error; }
    bool is_remove() const { return kind == Kind::remove || kind == Kind::lost_delete; }
};

/// What is known of a PG's past; copies tell each other, and the latest of each is true.
struct PgHistory {
    Epoch epoch_created = 0;
    Epoch last_epoch_started = 0, last_interval_started = 0; // all acting had activated
    Epoch last_epoch_clean = 0, last_interval_clean = 0;     // all copies were whole
    Epoch last_epoch_split = 0;
    uint64_t scrubs = 0;            // how often all copies were compared
    uint32_t scrub_errors = 0;      // that the last time left
    uint32_t deep_scrub_errors = 0; // that the last deep scrub left: a shallow one may not see them
    /// When they were compared last, by the clocks of the primaries of those times, which may be
    /// wrong: whoever knows more scrubs knows better.
    WallTime last_scrub_stamp = {}, last_deep_scrub_stamp = {};
    Epoch same_up_since = 0, same_interval_since = 0, same_primary_since = 0;
    bool operator==(const PgHistory&) const = default;
    /// Takes over what `other` knows better. The same_..._since are the reader's own.
    void learn(const PgHistory& other);
    uint32_t known_scrub_errors() const { return std::max(scrub_errors, deep_scrub_errors); }
};

/// What one copy says of itself.
struct PgInfo {
    PgId pg = {};
    LogVersion last_update = {};   // the newest entry of its log
    LogVersion last_complete = {}; // nothing is missing up to here
    LogVersion log_tail = {};      // its log holds what is newer than this
    uint64_t last_user_version = 0;
    Epoch last_epoch_started = 0, last_interval_started = 0; // this copy had activated
    BackfillCursor last_backfill = {};
    PgHistory history = {};
    Uuid disk = {}; // the OSD's uuid: an OSD made anew under the same number has another
    /// Its record could not be read: it says nothing of intervals that began up to this epoch.
    Epoch damaged_until = 0;
    bool operator==(const PgInfo&) const = default;
    bool empty() const { return last_update.none(); }
    bool complete() const { return last_backfill.complete(); }
};

/// Objects that a copy lacks in the version that its log demands.
class MissingSet {
public:
    struct Item {
        LogVersion need, have; // have: none when nothing is there
        bool operator==(const Item&) const = default;
    };

    bool empty() const { return items().empty(); }
    size_t size() const { return items().size(); }
    const std::map<PgObject, Item>& items() const { return content_->items; }
    /// The item, or nullptr when the object is not missing.
    const Item* find(const PgObject& object) const;
    /// The least version that is needed; none when nothing is missing.
    LogVersion oldest_need() const;

    void set(const PgObject& object, Item item);
    void erase(const PgObject& object);
    /// An entry came into the log without its data. A removal needs none: nothing is missing then.
    void note(const LogEntry& entry);
    /// The object arrived in `version`; an older one than is needed only changes what is had.
    void arrived(const PgObject& object, LogVersion version);
    bool operator==(const MissingSet& other) const { return items() == other.items(); }

private:
    struct Content {
        std::map<PgObject, Item> items;
        std::multiset<LogVersion> needs;
        bool operator==(const Content&) const = default;
    };
    Boxed<Content> content_;
};

} // namespace cloudlet::rados
