#include "cloudlet/rados/pg_codec.h"

#include <fmt/format.h>

#include "pg/pg_wire.h"

namespace cloudlet::rados {

namespace {

using wire::WireReader;
using wire::WireWriter;

constexpr uint8_t version = 1;
constexpr std::string_view info_name = "a PG's info", past_name = "past intervals",
                           entry_name = "a log entry", answered_name = "an answered request",
                           missing_name = "a missing object", object_name = "an object's info";

/// `size`: about how many bytes it will be, so that they are allocated once.
template <typename... T>
std::string encode(std::string_view what, size_t size, const T&... values) {
    WireWriter io;
    io.bytes().reserve(size);
    wire::exactly(io, version, what, [&] { wire::all(io, values...); });
    return std::move(io.bytes());
}

template <typename... T>
Result<void> decode(std::string_view what, std::string_view bytes, T&... values) {
    WireReader io(bytes);
    wire::exactly(io, version, what, [&] { wire::all(io, values...); });
    if (io.ok() && io.left() > 0) io.fail(fmt::format("{} bytes behind {}", io.left(), what));
    if (!io.ok()) return fail(Code::invalid, io.error());
    return {};
}

size_t size_of(const PgObject& object) {
    return 24 + object.name.size() + object.locator_key->size() + object.name_space->size();
}

} // namespace

std::string encode_pg_info(const PgInfo& info) {
    return encode(info_name, 160 + size_of(*info.last_backfill.object), info);
}
Result<PgInfo> decode_pg_info(std::string_view bytes) {
    PgInfo info;
    TRY(decode(info_name, bytes, info));
    return info;
}

std::string encode_past_intervals(const PastIntervals& past) {
    return encode(past_name, 64 + 256 * past.intervals().size(), past.intervals());
}
Result<PastIntervals> decode_past_intervals(std::string_view bytes) {
    std::vector<PastInterval> intervals;
    TRY(decode(past_name, bytes, intervals));
    PastIntervals past;
    for (PastInterval& interval : intervals) past.add(std::move(interval));
    return past;
}

std::string encode_log_entry(const LogEntry& entry) {
    return encode(entry_name, 80 + size_of(entry.object) + entry.rollback.how->size(), entry);
}
Result<LogEntry> decode_log_entry(std::string_view bytes) {
    LogEntry entry;
    TRY(decode(entry_name, bytes, entry));
    return entry;
}

std::string encode_answered(const RequestId& request, const RequestAnswer& answer) {
    return encode(answered_name, 64, request, answer);
}
Result<std::pair<RequestId, RequestAnswer>> decode_answered(std::string_view bytes) {
    std::pair<RequestId, RequestAnswer> answered;
    TRY(decode(answered_name, bytes, answered));
    return answered;
}

std::string encode_missing(const PgObject& object, const MissingSet::Item& item) {
    return encode(missing_name, 40 + size_of(object), object, item);
}
Result<std::pair<PgObject, MissingSet::Item>> decode_missing(std::string_view bytes) {
    std::pair<PgObject, MissingSet::Item> missing;
    TRY(decode(missing_name, bytes, missing));
    return missing;
}

std::string encode_object_info(const ObjectInfo& info) { return encode(object_name, 34, info); }
Result<ObjectInfo> decode_object_info(std::string_view bytes) {
    ObjectInfo info;
    TRY(decode(object_name, bytes, info));
    return info;
}

} // namespace cloudlet::rados
