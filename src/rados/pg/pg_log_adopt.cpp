// Bringing a copy's log in line with the authoritative one.

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/pg_log.h"

namespace cloudlet::rados {

namespace {

/// Versions name changes for the whole PG: an interval has one primary and an epoch of its own. So
/// logs that share a version share all before it, and the newest shared one is the fork.
std::optional<LogVersion> common_version(const PgLog& log, const PgLog& authority) {
    for (auto at = log.entries().rbegin(); at != log.entries().rend(); ++at)
        if (authority.holds(at->version)) return at->version;
    if (authority.holds(log.tail())) return log.tail();
    return std::nullopt;
}

} // namespace

/// One run of PgRecord::adopt() over a record whose logs meet at `common`.
class Adoption {
public:
    Adoption(PgRecord& record, LogVersion common) : record_(record) { actions_.common = common; }

    AdoptActions run(const PgLog& authority) {
        actions_.divergent = record_.log.rewind(actions_.common);
        std::map<PgObject, std::vector<const LogEntry*>> by_object; // newest first
        for (const LogEntry& entry : actions_.divergent)
            if (entry.changes_object() && record_.info.last_backfill.covers(entry.object))
                by_object[entry.object].push_back(&entry);
        for (const auto& [object, entries] : by_object) undo(object, entries);
        for (const LogEntry& entry : authority.entries())
            if (entry.version > actions_.common) take(entry);
        std::sort(actions_.roll_back.begin(), actions_.roll_back.end(),
                  [](const auto& a, const auto& b) { return a.version > b.version; });
        record_.log.follow(authority);
        return std::move(actions_);
    }

private:
    /// Back to what the object was before its first divergent entry.
    void undo(const PgObject& object, const std::vector<const LogEntry*>& entries) {
        LogVersion prior = entries.back()->prior_version;
        const MissingSet::Item* item = record_.missing.find(object);
        LogVersion have = item ? item->have : entries.front()->version;
        bool there = item ? !have.none() : !entries.front()->is_remove();
        if (item && have <= actions_.common) return settle(object, prior, have, there);
        bool can = !item && std::all_of(entries.begin(), entries.end(),
                                        [](const LogEntry* e) { return e->rollback.possible; });
        if (can) {
            for (const LogEntry* entry : entries) actions_.roll_back.push_back(*entry);
            return;
        }
        if (there) actions_.remove.push_back(object);
        settle(object, prior, {}, false);
    }

    /// The object should be in version `need`, and is in version `have`.
    void settle(const PgObject& object, LogVersion need, LogVersion have, bool there) {
        record_.missing.erase(object);
        if (need == have) return;
        if (!need.none()) return record_.missing.set(object, {need, have});
        if (there) actions_.remove.push_back(object);
    }

    /// An entry that only the authority has.
    void take(const LogEntry& entry) {
        if (!entry.changes_object() || !record_.info.last_backfill.covers(entry.object)) return;
        if (entry.is_remove()) {
            const MissingSet::Item* item = record_.missing.find(entry.object);
            bool there = item ? !item->have.none() : !entry.prior_version.none();
            if (there) actions_.remove.push_back(entry.object);
        }
        record_.missing.note(entry);
    }

    PgRecord& record_;
    AdoptActions actions_;
};

bool logs_meet(const PgLog& log, const PgLog& authority) {
    return common_version(log, authority).has_value();
}

Result<AdoptActions> PgRecord::adopt(const PgLog& authority) {
    auto common = common_version(log, authority);
    if (!common)
        return fail(Code::conflict,
                    fmt::format("the log ({}, {}] shares no version with the authority's ({}, {}]; "
                                "backfill this copy",
                                log.tail().to_string(), log.head().to_string(),
                                authority.tail().to_string(), authority.head().to_string()));
    AdoptActions actions = Adoption(*this, *common).run(authority);
    refresh_info();
    return actions;
}

void PgRecord::start_backfill(const PgLog& authority) {
    log.reset(authority.tail());
    log.follow(authority);
    missing = {};
    info.last_backfill = {BackfillCursor::Place::begin, {}};
    info.damaged_until = 0;
    refresh_info();
}

bool PgRecord::takes_change_of(const LogEntry& entry) const {
    if (!entry.changes_object() || !info.last_backfill.covers(entry.object)) return false;
    return entry.is_remove() || !missing.find(entry.object);
}

void PgRecord::append(LogEntry entry) {
    if (missing.find(entry.object)) missing.note(entry);
    log.append(std::move(entry));
    refresh_info();
}

void PgRecord::trim(LogVersion version) {
    log.trim(version);
    refresh_info();
}

void PgRecord::recovered(const PgObject& object, LogVersion version) {
    missing.arrived(object, version);
    refresh_info();
}

void PgRecord::refresh_info() {
    info.last_update = log.head();
    info.log_tail = log.tail();
    info.last_complete = log.head();
    if (!log.entries().empty())
        info.last_user_version =
            std::max(info.last_user_version, log.entries().back().user_version);
    if (missing.empty()) return;
    auto needed = std::lower_bound(
        log.entries().begin(), log.entries().end(), missing.oldest_need(),
        [](const LogEntry& entry, LogVersion version) { return entry.version < version; });
    // What is needed may be older than the log: then nothing is known to be complete.
    bool before_log = missing.oldest_need() <= log.tail();
    if (before_log)
        info.last_complete = {};
    else if (needed == log.entries().begin())
        info.last_complete = log.tail();
    else
        info.last_complete = std::prev(needed)->version;
}

Result<MissingSet> missing_of_peer(PgRecord peer, const PgLog& authority) {
    auto actions = peer.adopt(authority);
    if (!actions) return tl::unexpected<Error>(std::move(actions.error()));
    return std::move(peer.missing);
}

} // namespace cloudlet::rados
