#pragma once
// The bodies of messages on the wire, each field listed once for both directions (osd_map_wire.h
// tells how).

#include <limits>
#include <memory>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/message.h"
#include "cloudlet/rados/osd_map_codec.h"
#include "message/op_wire.h"

namespace cloudlet::rados::wire {

template <typename Io, Is<Duration> V>
void transfer(Io& io, V& value) {
    int64_t nanoseconds = value.count();
    transfer(io, nanoseconds);
    if constexpr (Io::reads) value = Duration(nanoseconds);
}
template <typename Io, Is<MonotonicTime> V>
void transfer(Io& io, V& value) {
    Duration since_start = value.time_since_epoch();
    transfer(io, since_start);
    if constexpr (Io::reads) value = MonotonicTime(since_start);
}

inline void transfer(WireReader& io, PgState& state) {
    uint64_t bits = 0;
    io.number(bits);
    auto known = PgState::from_bits(bits);
    if (!known) return io.fail(known.error().message);
    state = *known;
}
inline void transfer(WireWriter& io, const PgState& state) { io.number(state.bits()); }

// What has an encoding of its own travels as its bytes, behind their number.

inline std::string encode(const OsdMap& map) { return encode_osd_map(map); }
inline std::string encode(const OsdMapIncremental& step) {
    return encode_osd_map_incremental(step);
}
inline std::string encode(const PgLog& log) { return encode_pg_log(log); }
inline std::string encode(const Transaction& transaction) {
    return encode_transaction(transaction);
}

/// Reads what `decode` accepts.
template <typename T, typename Decode>
void whole(WireReader& io, std::shared_ptr<const T>& value, std::string_view what, Decode decode) {
    std::string_view bytes = io.take(io.count(what), what);
    if (!io.ok()) return;
    auto decoded = decode(bytes);
    if (!decoded) return io.fail(fmt::format("{}: {}", what, decoded.error().to_string()));
    value = std::make_shared<const T>(std::move(*decoded));
}
template <typename T, typename Decode>
void whole(WireWriter& io, const std::shared_ptr<const T>& value, std::string_view /*what*/,
           Decode /*decode*/) {
    check(value != nullptr, "a message lacks its log, or a step of the map");
    std::string bytes = encode(*value);
    // With room for what follows: else the next field would copy all of it.
    io.bytes().reserve(io.bytes().size() + bytes.size() + 256);
    transfer(io, bytes);
}

/// A flag whether it is there, then what `body` moves.
template <typename Io, typename V, typename Body>
void optional(Io& io, V& pointer, Body body) {
    bool there = pointer != nullptr;
    transfer(io, there);
    if (there) body();
}

template <typename Io, Is<std::shared_ptr<const OsdMap>> V>
void transfer(Io& io, V& value) {
    optional(io, value, [&] { whole(io, value, "an OSD map", decode_osd_map); });
}
template <typename Io, Is<MapStep> V>
void transfer(Io& io, V& value) {
    whole(io, value, "a step of the OSD map", decode_osd_map_incremental);
}
/// All answers that the sender remembers: the receiver's own limits count for its own log.
template <typename Io, Is<std::shared_ptr<const PgLog>> V>
void transfer(Io& io, V& value) {
    whole(io, value, "a PG log", [](std::string_view bytes) {
        return decode_pg_log(bytes, {.answered = std::numeric_limits<size_t>::max()});
    });
}
template <typename Io, Is<std::shared_ptr<const Transaction>> V>
void transfer(Io& io, V& value) {
    optional(io, value, [&] { whole(io, value, "a transaction", decode_transaction); });
}

inline void transfer(WireReader& io, std::shared_ptr<const change::Replace>& value) {
    optional(io, value, [&] {
        auto content = std::make_shared<change::Replace>();
        all(io, content->data, content->xattrs, content->omap);
        if (auto fits = check_content(*content); !fits) return io.fail(fits.error().message);
        value = std::move(content);
    });
}
inline void transfer(WireWriter& io, const std::shared_ptr<const change::Replace>& value) {
    optional(io, value, [&] { all(io, value->data, value->xattrs, value->omap); });
}

template <typename Io, Is<PgReport> V>
void transfer(Io& io, V& value) {
    all(io, value.pg, value.state, value.since, value.history, value.last_update, value.up,
        value.acting, value.objects, value.degraded, value.misplaced, value.unfound,
        value.scrub_errors);
}

template <typename Io, Is<command::SetFlags> V>
void transfer(Io& io, V& value) {
    all(io, value.set, value.clear);
}

template <typename Io, Is<command::In> V>
void transfer(Io& io, V& value) {
    transfer(io, value.osd);
}

template <typename Io, Is<command::Out> V>
void transfer(Io& io, V& value) {
    transfer(io, value.osd);
}

template <typename Io, Is<command::Down> V>
void transfer(Io& io, V& value) {
    transfer(io, value.osd);
}

template <typename Io, Is<command::Lost> V>
void transfer(Io& io, V& value) {
    transfer(io, value.osd);
}

template <typename Io, Is<command::Reweight> V>
void transfer(Io& io, V& value) {
    all(io, value.osd, value.weight);
}

template <typename Io, Is<command::CrushReweight> V>
void transfer(Io& io, V& value) {
    all(io, value.osd, value.weight);
}

template <typename Io, Is<command::AddOsd> V>
void transfer(Io& io, V& value) {
    all(io, value.osd, value.host, value.weight);
}

template <typename Io, Is<command::RemoveOsd> V>
void transfer(Io& io, V& value) {
    transfer(io, value.osd);
}

// To a monitor.

template <typename Io, Is<message::Boot> V>
void transfer(Io& io, V& value) {
    all(io, value.disk, value.address, value.cluster_address, value.lived);
}

template <typename Io, Is<message::Failure> V>
void transfer(Io& io, V& value) {
    all(io, value.target, value.silent, value.withdrawn, value.gone);
}

template <typename Io, Is<message::Beacon> V>
void transfer(Io& io, V& value) {
    all(io, value.used, value.capacity);
}

template <typename Io, Is<message::Alive> V>
void transfer(Io& io, V& value) {
    transfer(io, value.up_thru);
}

template <typename Io, Is<message::WantTemp> V>
void transfer(Io& io, V& value) {
    transfer(io, value.wanted);
}

template <typename Io, Is<message::Reports> V>
void transfer(Io& io, V& value) {
    transfer(io, value.reports);
}

template <typename Io, Is<message::GetMaps> V>
void transfer(Io& io, V& value) {
    all(io, value.have, value.full, value.next);
}

template <typename Io, Is<message::DoCommand> V>
void transfer(Io& io, V& value) {
    all(io, value.number, value.command);
}

// From a monitor.

template <typename Io, Is<message::Maps> V>
void transfer(Io& io, V& value) {
    all(io, value.full, value.steps);
}

template <typename Io, Is<message::AskOther> V>
void transfer(Io& io, V& value) {
    transfer(io, value.leader);
}

template <typename Io, Is<message::CommandDone> V>
void transfer(Io& io, V& value) {
    all(io, value.number, value.result, value.text);
}

template <typename Io, Is<message::CreatePg> V>
void transfer(Io& io, V& value) {
    all(io, value.pg, value.history, value.past);
}

// Between a client and an OSD.

template <typename Io, Is<message::ClientOp> V>
void transfer(Io& io, V& value) {
    all(io, value.request, value.pg, value.object, value.ops, value.modified, value.flags,
        value.attempt);
}

template <typename Io, Is<message::ClientReply> V>
void transfer(Io& io, V& value) {
    all(io, value.request, value.result, value.version, value.user_version, value.results,
        value.attempt);
}

template <typename Io, Is<message::ScrubCommand> V>
void transfer(Io& io, V& value) {
    all(io, value.pg, value.deep, value.repair);
}

template <typename Io, Is<message::MarkUnfoundLost> V>
void transfer(Io& io, V& value) {
    all(io, value.pg, value.revert, value.number);
}

// Between OSDs.

template <typename Io, Is<message::Ping> V>
void transfer(Io& io, V& value) {
    all(io, value.stamp, value.answer);
    checked_enum(io, value.wire, Wire::cluster_network, "a ping's network");
}

template <typename Io, Is<message::Query> V>
void transfer(Io& io, V& value) {
    all(io, value.pg, value.record);
}

template <typename Io, Is<message::Notify> V>
void transfer(Io& io, V& value) {
    all(io, value.info, value.past, value.reads_left);
}

template <typename Io, Is<message::FullRecord> V>
void transfer(Io& io, V& value) {
    all(io, value.info, value.log, value.missing);
}

template <typename Io, Is<message::Activate> V>
void transfer(Io& io, V& value) {
    all(io, value.info, value.log, value.past, value.backfill, value.from_nothing);
}

template <typename Io, Is<message::Activated> V>
void transfer(Io& io, V& value) {
    all(io, value.pg, value.refused);
}

template <typename Io, Is<message::Learn> V>
void transfer(Io& io, V& value) {
    all(io, value.pg, value.history);
}

template <typename Io, Is<message::Drop> V>
void transfer(Io& io, V& value) {
    transfer(io, value.pg);
}

template <typename Io, Is<message::Replicate> V>
void transfer(Io& io, V& value) {
    all(io, value.pg, value.entry, value.change, value.trim_to);
}

template <typename Io, Is<message::Replicated> V>
void transfer(Io& io, V& value) {
    all(io, value.pg, value.version, value.lacks_object);
}

template <typename Io, Is<message::Pull> V>
void transfer(Io& io, V& value) {
    all(io, value.pg, value.object, value.version);
}

template <typename Io, Is<message::Push> V>
void transfer(Io& io, V& value) {
    all(io, value.pg, value.object, value.version, value.content, value.result, value.answer);
}

template <typename Io, Is<message::Pushed> V>
void transfer(Io& io, V& value) {
    all(io, value.pg, value.object, value.version, value.result);
}

template <typename Io, Is<message::Scan> V>
void transfer(Io& io, V& value) {
    all(io, value.pg, value.from, value.to, value.limit, value.number);
}

template <typename Io, Is<message::Scanned> V>
void transfer(Io& io, V& value) {
    all(io, value.pg, value.from, value.to, value.objects, value.number);
}

template <typename Io, Is<message::BackfillProgress> V>
void transfer(Io& io, V& value) {
    all(io, value.pg, value.cursor);
}

template <typename Io, Is<message::Reserve> V>
void transfer(Io& io, V& value) {
    transfer(io, value.pg);
    checked_enum(io, value.step, message::Reserve::Step::preempted, "a reservation's step");
    all(io, value.backfill, value.round, value.priority);
}

template <typename Io, Is<message::ScrubReserve> V>
void transfer(Io& io, V& value) {
    transfer(io, value.pg);
    checked_enum(io, value.step, message::ScrubReserve::Step::release, "a reservation's step");
}

template <typename Io, Is<message::ScrubAsk> V>
void transfer(Io& io, V& value) {
    all(io, value.pg, value.number, value.from, value.to, value.deep);
}

template <typename Io, Is<message::ScrubbedObject> V>
void transfer(Io& io, V& value) {
    all(io, value.version, value.size, value.data_crc, value.attributes_crc, value.damaged);
}

template <typename Io, Is<message::ScrubAnswer> V>
void transfer(Io& io, V& value) {
    all(io, value.pg, value.number, value.objects);
}

} // namespace cloudlet::rados::wire
