#pragma once
// The log of a placement group: which changes were made, in one order for all copies. It finds the
// objects that a copy lacks after a crash without reading the others, and answers a request that is
// sent again with what it got the first time.
//
// PgLog is the bounded log with its indexes. PgRecord is what a copy keeps beside its objects
// (info, log, missing set); adopt() brings it in line with the authoritative log. No I/O: what must
// happen to objects is returned. One thread at a time.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/compact_queue.h"
#include "cloudlet/rados/log_index.h"
#include "cloudlet/rados/pg_types.h"

namespace cloudlet::rados {

/// What a request got; `version` is its place in the log.
struct RequestAnswer {
    LogVersion version;
    uint64_t user_version = 0;
    int32_t result = 0;
    bool operator==(const RequestAnswer&) const = default;
};

/// What an entry takes of memory: SPECIFICATION.md.
struct PgLogLimits {
    size_t entries = 10000; // trim_target() leaves this many, and a few more
    size_t answered = 3000; // requests remembered after their entries went
};

using LogEntries = CompactQueue<LogEntry>;
using LogAnswers = CompactQueue<std::pair<RequestId, RequestAnswer>>;

/// The content of a log, without its indexes.
struct PgLogImage {
    LogVersion tail = {};
    std::vector<LogEntry> entries = {};                             // ascending
    std::vector<std::pair<RequestId, RequestAnswer>> answered = {}; // oldest first
};

class PgLog {
public:
    PgLog() = default;
    explicit PgLog(PgLogLimits limits) : limits_(limits) {}

    LogVersion head() const { return entries_.empty() ? tail_ : entries_.back().version; }
    /// Everything up to the tail is known to have happened, but not listed.
    LogVersion tail() const { return tail_; }
    const LogEntries& entries() const { return entries_; } // ascending
    /// Requests whose entries were trimmed, oldest first.
    const LogAnswers& answered() const { return answered_; }
    const PgLogLimits& limits() const { return limits_; }
    bool operator==(const PgLog& other) const {
        return tail_ == other.tail_ && entries_ == other.entries_ && answered_ == other.answered_;
    }

    /// True when the log reaches back to `version` and holds it: as an entry or as its tail.
    bool holds(LogVersion version) const;
    /// The entry of this version, or nullptr. Valid until the log changes.
    const LogEntry* entry(LogVersion version) const;
    /// The newest entry that changed the object, or nullptr. Valid until the log changes.
    const LogEntry* newest(const PgObject& object) const;
    /// The first answer to a request, while it is remembered. Errors are answers, too.
    std::optional<RequestAnswer> answer(const RequestId& request) const;

    /// The entry must be newer than head() in version and in counter.
    void append(LogEntry entry);
    /// Where to trim so that `limits().entries` stay, but nothing that is newer than `committed`
    /// (what all acting copies have on disk: a copy that lacks an entry still needs it listed).
    /// Many at once where the limit is large: a hundredth of it, at most 100.
    LogVersion trim_target(LogVersion committed) const;
    /// Forgets the entries up to `version`, which must not be newer than head(). Their requests
    /// stay answerable for as many requests as the limit says.
    void trim(LogVersion version);
    /// Takes away the entries that are newer than `version`, a held one; newest first.
    std::vector<LogEntry> rewind(LogVersion version);
    /// Becomes a copy of the authority's log, and keeps older answers that it alone remembers.
    void follow(const PgLog& authority);
    /// Starts anew behind `tail`: for a copy that is filled from nothing.
    void reset(LogVersion tail);

private:
    friend Result<PgLog> make_pg_log(PgLogImage image, PgLogLimits limits);

    const LogEntry& numbered(uint32_t number) const { return entries_[number - first_number_]; }
    void index(uint32_t number);
    void index_all();
    void remember(const RequestId& request, RequestAnswer answer);
    void index_answered(uint32_t number);
    void forget_surplus();

    PgLogLimits limits_;
    LogVersion tail_;
    LogEntries entries_;
    LogAnswers answered_;
    // Numbers of the first ones, for the indexes; they go on as long as 32 bits last.
    uint32_t first_number_ = 1, first_answered_ = 1;
    LogIndex by_object_, by_request_, answered_by_request_;
};

/// Error: Code::invalid naming the entry, when versions do not ascend.
Result<PgLog> make_pg_log(PgLogImage image, PgLogLimits limits = {});

/// What a copy's object store has to do so that its objects fit its log and its missing set.
struct AdoptActions {
    LogVersion common;               // the newest version that both logs share
    std::vector<LogEntry> divergent; // entries that never happened, newest first
    std::vector<LogEntry> roll_back; // of those, to be taken back by their rollback, in this order
    std::vector<PgObject> remove;    // objects to delete, afterwards
};

struct PgRecord {
    PgInfo info;
    PgLog log;
    MissingSet missing;

    /// Appends an entry whose change this copy makes in the same transaction, or, for an object
    /// that it lacks or that lies beyond its backfill cursor, only notes.
    void append(LogEntry entry);
    /// True when the change of an entry is to be made to this copy's objects: not to one that it
    /// lacks (a removal is), nor beyond the backfill cursor.
    bool takes_change_of(const LogEntry& entry) const;
    /// Brings the record in line with the authoritative log. Divergent entries are undone: rolled
    /// back where every one of the object can be, else the object is removed and missing in its
    /// prior version. What the authority has in addition becomes missing; what it removed is to be
    /// removed. Objects beyond the backfill cursor are left alone.
    /// Error: Code::conflict, and nothing changed, when the logs share no version: backfill.
    Result<AdoptActions> adopt(const PgLog& authority);
    /// Forgets everything: the copy is to be backfilled behind the authority's log.
    void start_backfill(const PgLog& authority);
    void trim(LogVersion version);
    /// An object came by recovery.
    void recovered(const PgObject& object, LogVersion version);

    /// Brings info in line with the log and the missing set, after one was changed from outside.
    void refresh_info();

private:
    friend class Adoption;
};

/// Whether a log overlaps another so that adopt() can work; the same rule, without the work.
bool logs_meet(const PgLog& log, const PgLog& authority);

/// What a peer will lack once it adopted the authority's log: what its primary has to send it.
/// Takes what the peer told (its missing set as of its own log). Error: as PgRecord::adopt().
Result<MissingSet> missing_of_peer(PgRecord peer, const PgLog& authority);

/// The log in our own format, little-endian with a version in front.
std::string encode_pg_log(const PgLog& log);
/// Error: Code::invalid naming the offset or the entry, for bytes that are cut short, do not end
/// where the log ends, or whose versions do not ascend.
Result<PgLog> decode_pg_log(std::string_view bytes, PgLogLimits limits = {});

} // namespace cloudlet::rados
