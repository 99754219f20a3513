#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/rados/pg_log.h"
#include "pg/pg_wire.h"

namespace cloudlet::rados {

namespace {

constexpr std::string_view log_name = "a PG log";

/// What is wrong with a log's order, or "".
std::string disorder(LogVersion tail, const std::vector<LogEntry>& entries) {
    LogVersion last = tail;
    for (const LogEntry& entry : entries) {
        if (entry.version <= last || entry.version.counter <= last.counter)
            return fmt::format("entry {} follows {}", entry.version.to_string(), last.to_string());
        last = entry.version;
    }
    return {};
}

} // namespace

std::string encode_pg_log(const PgLog& log) {
    wire::WireWriter io;
    wire::exactly(io, wire::log_version, log_name, [&] {
        const LogVersion tail = log.tail();
        wire::transfer(io, tail);
        io.number(static_cast<uint32_t>(log.entries().size()));
        for (const LogEntry& entry : log.entries()) wire::transfer(io, entry);
        io.number(static_cast<uint32_t>(log.answered().size()));
        for (const auto& [request, answer] : log.answered()) {
            wire::transfer(io, request);
            wire::transfer(io, answer);
        }
    });
    return std::move(io.bytes());
}

Result<PgLog> make_pg_log(PgLogImage image, PgLogLimits limits) {
    if (std::string wrong = disorder(image.tail, image.entries); !wrong.empty())
        return fail(Code::invalid, "PG log: " + wrong);
    LogVersion last;
    for (const auto& [request, answer] : image.answered) {
        if (answer.version <= last || answer.version > image.tail)
            return fail(Code::invalid, fmt::format("PG log: an answer of {} follows {} and is not "
                                                   "newer, or is not behind the tail",
                                                   answer.version.to_string(), last.to_string()));
        last = answer.version;
    }
    PgLog log(limits);
    log.tail_ = image.tail;
    log.entries_.reserve(image.entries.size());
    for (LogEntry& entry : image.entries) log.entries_.push_back(std::move(entry));
    log.answered_.reserve(image.answered.size());
    for (const auto& known : image.answered) log.answered_.push_back(known);
    log.index_all();
    log.forget_surplus();
    return log;
}

Result<PgLog> decode_pg_log(std::string_view bytes, PgLogLimits limits) {
    wire::WireReader io(bytes);
    PgLogImage image;
    wire::exactly(io, wire::log_version, log_name, [&] {
        wire::transfer(io, image.tail);
        for (size_t n = io.count("entries"); n > 0 && io.ok(); --n)
            wire::transfer(io, image.entries.emplace_back());
        for (size_t n = io.count("answers"); n > 0 && io.ok(); --n) {
            auto& [request, answer] = image.answered.emplace_back();
            wire::transfer(io, request);
            wire::transfer(io, answer);
        }
    });
    if (io.ok() && io.left() > 0) io.fail(fmt::format("{} bytes follow the log", io.left()));
    if (!io.ok()) return fail(Code::invalid, "PG log: " + io.error());
    return make_pg_log(std::move(image), limits);
}

} // namespace cloudlet::rados
