#pragma once
// The fields of a placement group's values on disk and on the wire, each listed once for both
// directions (osd_map_wire.h tells how). One value has one form: what a reader accepts, it would
// write in the same bytes, so an unknown version is refused and not skipped.

#include <fmt/format.h>

#include "cloudlet/rados/pg_codec.h"
#include "osd_map/osd_map_fields.h"

namespace cloudlet::rados::wire {

inline constexpr uint8_t log_version = 1;

/// Writes what `body` writes behind version and length.
template <typename Body>
void exactly(WireWriter& io, uint8_t version, std::string_view what, Body body) {
    io.versioned({version, version, {}}, version, what, body);
}
/// Reads it; another version, or bytes that the body leaves, are errors.
template <typename Body>
void exactly(WireReader& io, uint8_t version, std::string_view what, Body body) {
    Envelope envelope;
    io.versioned(envelope, version, what, [&] {
        if (envelope.version != version || envelope.compat != version)
            return io.fail(fmt::format("{} of version {} for readers of {}, not {}", what,
                                       envelope.version, envelope.compat, version));
        body();
        if (io.ok() && io.left() > 0)
            io.fail(fmt::format("{} unknown bytes inside {}", io.left(), what));
    });
}

/// An enum as its number, of which `last` is the greatest.
template <typename Enum>
void checked_enum(WireReader& io, Enum& value, Enum last, std::string_view what) {
    uint8_t number = 0;
    io.number(number);
    if (number > static_cast<uint8_t>(last)) io.fail(fmt::format("{} of {}", what, number));
    value = io.ok() ? static_cast<Enum>(number) : Enum{};
}
template <typename Enum>
void checked_enum(WireWriter& io, const Enum& value, Enum /*last*/, std::string_view /*what*/) {
    io.number(static_cast<uint8_t>(value));
}

template <typename T>
void transfer(WireReader& io, Boxed<T>& value) {
    T content;
    transfer(io, content);
    value = std::move(content);
}
template <typename T>
void transfer(WireWriter& io, const Boxed<T>& value) {
    transfer(io, *value);
}

template <typename Io, Is<LogVersion> V>
void transfer(Io& io, V& value) {
    all(io, value.epoch, value.counter);
}

template <typename Io, Is<RequestId> V>
void transfer(Io& io, V& value) {
    all(io, value.client, value.incarnation, value.number);
}

template <typename Io, Is<PgShard> V>
void transfer(Io& io, V& value) {
    all(io, value.osd, value.shard);
}

template <typename Io, Is<PgObject> V>
void transfer(Io& io, V& value) {
    all(io, value.hash, value.name, value.locator_key, value.name_space, value.snap);
}

/// The object travels only where it means something.
template <typename Io, Is<BackfillCursor> V>
void transfer(Io& io, V& value) {
    checked_enum(io, value.place, BackfillCursor::Place::end, "a backfill cursor's place");
    if (value.place == BackfillCursor::Place::at) transfer(io, value.object);
}

template <typename Io, Is<RequestAnswer> V>
void transfer(Io& io, V& value) {
    transfer(io, value.version);
    all(io, value.user_version, value.result);
}

inline void transfer(WireReader& io, LogEntry::Kind& kind) {
    uint8_t number = 0;
    io.number(number);
    if (io.ok() && (number < 1 || number > 5)) io.fail(fmt::format("an entry of kind {}", number));
    kind = static_cast<LogEntry::Kind>(number);
}
inline void transfer(WireWriter& io, const LogEntry::Kind& kind) {
    io.number(static_cast<uint8_t>(kind));
}

template <typename Io, Is<LogEntry> V>
void transfer(Io& io, V& value) {
    transfer(io, value.kind);
    transfer(io, value.object);
    transfer(io, value.version);
    transfer(io, value.prior_version);
    transfer(io, value.request);
    all(io, value.user_version, value.result, value.rollback.possible, value.rollback.how);
    if constexpr (Io::reads) {
        if (!io.ok()) return;
        if (value.prior_version >= value.version)
            io.fail(fmt::format("entry {} changes version {}", value.version.to_string(),
                                value.prior_version.to_string()));
        if (value.rollback.possible > 1)
            io.fail(fmt::format("entry {} has a rollback flag of {}", value.version.to_string(),
                                value.rollback.possible));
    }
}

template <typename Io, Is<WallTime> V>
void transfer(Io& io, V& value) {
    int64_t nanoseconds = value.time_since_epoch().count();
    transfer(io, nanoseconds);
    if constexpr (Io::reads) value = WallTime(Duration(nanoseconds));
}

template <typename Io, Is<PgHistory> V>
void transfer(Io& io, V& value) {
    all(io, value.epoch_created, value.last_epoch_started, value.last_interval_started,
        value.last_epoch_clean, value.last_interval_clean, value.last_epoch_split, value.scrubs,
        value.scrub_errors, value.deep_scrub_errors, value.last_scrub_stamp,
        value.last_deep_scrub_stamp, value.same_up_since, value.same_interval_since,
        value.same_primary_since);
}

template <typename Io, Is<PgInfo> V>
void transfer(Io& io, V& value) {
    all(io, value.pg, value.last_update, value.last_complete, value.log_tail,
        value.last_user_version, value.last_epoch_started, value.last_interval_started,
        value.last_backfill, value.history, value.disk, value.damaged_until);
}

template <typename Io, Is<MissingSet::Item> V>
void transfer(Io& io, V& value) {
    all(io, value.need, value.have);
}

inline void transfer(WireReader& io, MissingSet& missing) {
    missing = {};
    for (size_t n = io.count("missing objects"); n > 0 && io.ok(); --n) {
        PgObject object;
        MissingSet::Item item;
        all(io, object, item);
        if (!missing.empty() && missing.items().rbegin()->first >= object)
            return io.fail("missing objects do not ascend");
        if (io.ok()) missing.set(object, item);
    }
}
inline void transfer(WireWriter& io, const MissingSet& missing) { transfer(io, missing.items()); }

template <typename Io, Is<OsdSet> V>
void transfer(Io& io, V& value) {
    all(io, value.osds, value.primary);
}

template <typename Io, Is<PastInterval> V>
void transfer(Io& io, V& value) {
    all(io, value.first, value.last, value.up, value.acting, value.disks, value.erasure,
        value.maybe_went_rw);
}

/// Oldest first, each behind the one before: PastIntervals takes no others.
inline void transfer(WireReader& io, std::vector<PastInterval>& past) {
    past.clear();
    for (size_t n = io.count("past intervals"); n > 0 && io.ok(); --n) {
        PastInterval interval;
        transfer(io, interval);
        if (interval.last < interval.first)
            return io.fail(
                fmt::format("a past interval from {} to {}", interval.first, interval.last));
        if (!past.empty() && interval.first <= past.back().last)
            return io.fail(fmt::format("a past interval from {} on overlaps one up to {}",
                                       interval.first, past.back().last));
        past.push_back(std::move(interval));
    }
}

template <typename Io, Is<ObjectInfo> V>
void transfer(Io& io, V& value) {
    all(io, value.version, value.user_version, value.modified);
}

} // namespace cloudlet::rados::wire
