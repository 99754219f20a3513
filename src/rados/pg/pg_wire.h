#pragma once
// The fields of a placement group's values on disk and on the wire, each listed once for both
// directions (osd_map_wire.h tells how).

#include <concepts>
#include <type_traits>

#include <fmt/format.h>

#include "cloudlet/rados/pg_log.h"
#include "osd_map/osd_map_wire.h"

namespace cloudlet::rados::wire {

inline constexpr uint8_t log_version = 1;

/// V is T, const when it is written.
template <typename V, typename T>
concept Fields = std::same_as<std::remove_const_t<V>, T>;

template <typename Io, Fields<LogVersion> V>
void transfer(Io& io, V& value) {
    all(io, value.epoch, value.counter);
}

template <typename Io, Fields<RequestId> V>
void transfer(Io& io, V& value) {
    all(io, value.client, value.incarnation, value.number);
}

template <typename Io, Fields<PgObject> V>
void transfer(Io& io, V& value) {
    all(io, value.hash, value.name, value.locator_key, value.name_space, value.snap);
}

template <typename Io, Fields<RequestAnswer> V>
void transfer(Io& io, V& value) {
    transfer(io, value.version);
    all(io, value.user_version, value.result);
}

inline void transfer(WireReader& io, LogEntry::Kind& kind) {
    uint8_t number = 0;
    io.number(number);
    if (io.ok() && (number < 1 || number > 3)) io.fail(fmt::format("an entry of kind {}", number));
    kind = static_cast<LogEntry::Kind>(number);
}
inline void transfer(WireWriter& io, const LogEntry::Kind& kind) {
    io.number(static_cast<uint8_t>(kind));
}

template <typename Io, Fields<LogEntry> V>
void transfer(Io& io, V& value) {
    transfer(io, value.kind);
    transfer(io, value.object);
    transfer(io, value.version);
    transfer(io, value.prior_version);
    transfer(io, value.request);
    all(io, value.user_version, value.result, value.rollback.possible, value.rollback.how);
}

} // namespace cloudlet::rados::wire
