#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/rados/pg_log.h"
#include "pg/pg_wire.h"

namespace cloudlet::rados {

namespace {

/// What is wrong with a log's order, or "".
std::string disorder(LogVersion tail, const std::vector<LogEntry>& entries) {
    LogVersion last = tail;
    for (const LogEntry& entry : entries) {
        if (entry.version <= last || entry.version.counter <= last.counter)
            return fmt::format("entry {} follows {}", entry.version.to_string(), last.to_string());
        if (entry.prior_version >= entry.version)
            return fmt::format("entry {} changes version {}", entry.version.to_string(),
                               entry.prior_version.to_string());
        if (entry.rollback.possible > 1)
            return fmt::format("entry {} has a rollback flag of {}", entry.version.to_string(),
                               entry.rollback.possible);
        last = entry.version;
    }
    return {};
}

} // namespace

std::string encode_pg_log(const PgLog& log) {
    wire::WireWriter io;
    io.versioned({wire::log_version, wire::log_version, {}}, 0, {}, [&] {
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

Result<PgLog> decode_pg_log(std::string_view bytes, PgLogLimits limits) {
    wire::WireReader io(bytes);
    Envelope envelope;
    PgLog log(limits);
    std::vector<LogEntry> entries;
    io.versioned(envelope, wire::log_version, "a PG log", [&] {
        wire::transfer(io, log.tail_);
        for (size_t n = io.count("entries"); n > 0 && io.ok(); --n)
            wire::transfer(io, entries.emplace_back());
        for (size_t n = io.count("answers"); n > 0 && io.ok(); --n) {
            auto& [request, answer] = log.answered_.emplace_back();
            wire::transfer(io, request);
            wire::transfer(io, answer);
        }
    });
    if (io.ok() && io.left() > 0) io.fail(fmt::format("{} bytes follow the log", io.left()));
    if (!io.ok()) return fail(Code::invalid, "PG log: " + io.error());
    if (std::string wrong = disorder(log.tail_, entries); !wrong.empty())
        return fail(Code::invalid, "PG log: " + wrong);
    LogVersion last;
    for (const auto& [request, answer] : log.answered_) {
        if (answer.version <= last || answer.version > log.tail_)
            return fail(Code::invalid, fmt::format("PG log: an answer of {} follows {} and is not "
                                                   "newer, or is not behind the tail",
                                                   answer.version.to_string(), last.to_string()));
        last = answer.version;
    }
    log.entries_ = {std::make_move_iterator(entries.begin()),
                    std::make_move_iterator(entries.end())};
    log.index_all();
    log.forget_surplus();
    return log;
}

} // namespace cloudlet::rados
