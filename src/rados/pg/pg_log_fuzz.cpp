// Any bytes that are accepted as logs read back the same, and two of them can be brought in line,
// trimmed and asked; a copy's missing set then names what the log says and nothing else.
// Input: the length of the first log (16 bits), the first log, the second one.
#include <cstdint>
#include <string_view>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/pg_log.h"

using namespace cloudlet::rados;
using cloudlet::check;

namespace {

void walk(const PgLog& log) {
    std::string bytes = encode_pg_log(log);
    auto again = decode_pg_log(bytes);
    check(again && *again == log, "an encoded log does not read back the same");
    for (const LogEntry& entry : log.entries()) {
        const LogEntry* newest = log.newest(entry.object);
        check(!entry.changes_object() || (newest && newest->version >= entry.version),
              "the newest entry of an object is not found");
        check(log.holds(entry.version), "a log does not hold its own entry");
        check(entry.request.none() || log.answer(entry.request).has_value(),
              "a request in the log has no answer");
    }
    if (log.entries().empty()) return;
    PgLog shorter = log;
    LogVersion middle = log.entries()[log.entries().size() / 2].version;
    shorter.trim(middle);
    check(shorter.tail() == middle && shorter.head() == log.head(), "a trim changes the wrong end");
    shorter = log;
    shorter.rewind(middle);
    check(shorter.head() == middle && shorter.tail() == log.tail(),
          "a rewind changes the wrong end");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);
    size_t first = data[0] + size_t{256} * data[1];
    if (first > input.size()) return 0;
    PgLogLimits limits{.entries = 8, .answered = 4};
    auto one = decode_pg_log(input.substr(0, first), limits);
    auto other = decode_pg_log(input.substr(first));
    if (one) walk(*one);
    if (other) walk(*other);
    if (!one || !other) return 0;
    PgRecord record;
    record.log = *one;
    auto actions = record.adopt(*other);
    check(actions.has_value() == logs_meet(*one, *other), "two rules for logs that meet");
    if (!actions) record.start_backfill(*other);
    check(record.log.entries() == other->entries() && record.log.tail() == other->tail(),
          "an adopted log differs from the authority's");
    check(record.info.last_update == other->head(), "last_update is not the head");
    check(record.log.answered().size() <= limits.answered, "too many answers are remembered");
    return 0;
}
