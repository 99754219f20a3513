#pragma once
// The values of a placement group as bytes, for its record on disk; little-endian, each with a
// version in front. Decoders are safe for any bytes: Code::invalid naming the offset.

#include <string>
#include <string_view>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/pg_intervals.h"
#include "cloudlet/rados/pg_log.h"
#include "cloudlet/rados/pg_types.h"

namespace cloudlet::rados {

std::string encode_pg_info(const PgInfo& info);
Result<PgInfo> decode_pg_info(std::string_view bytes);

std::string encode_past_intervals(const PastIntervals& past);
/// Error: also for intervals that overlap.
Result<PastIntervals> decode_past_intervals(std::string_view bytes);

std::string encode_log_entry(const LogEntry& entry);
Result<LogEntry> decode_log_entry(std::string_view bytes);

/// An answer that outlived its log entry.
std::string encode_answered(const RequestId& request, const RequestAnswer& answer);
Result<std::pair<RequestId, RequestAnswer>> decode_answered(std::string_view bytes);

std::string encode_missing(const PgObject& object, const MissingSet::Item& item);
Result<std::pair<PgObject, MissingSet::Item>> decode_missing(std::string_view bytes);

/// What every object carries in its xattr "_".
struct ObjectInfo {
    LogVersion version = {};
    uint64_t user_version = 0;
    Timestamp modified = {};
    bool operator==(const ObjectInfo&) const = default;
};
std::string encode_object_info(const ObjectInfo& info);
Result<ObjectInfo> decode_object_info(std::string_view bytes);

} // namespace cloudlet::rados
