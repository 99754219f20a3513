// The store's thread: what SqliteStore does with the requests that wait.

#include <algorithm>

#include "cloudlet/base/log.h"
#include "sqlite_store.h"

namespace cloudlet::store {

namespace {

constexpr size_t kGroupRequests = 1024;
constexpr size_t kGroupBytes = 4 << 20;
constexpr size_t kGarbageOfGroup = 64;  // rows removed along with a group of writes
constexpr size_t kGarbageOfPause = 512; // and by a group of their own, when nothing waits
constexpr size_t kPageInLog = 4096 + 24;
constexpr size_t kIdleCheckpoint = 256; // pages in the log that are worth a checkpoint in a pause
constexpr Duration kPause = std::chrono::milliseconds{50};

} // namespace

void SqliteStore::run() {
    Requests requests;
    Jobs jobs;
    while (wait_for_work(requests, jobs)) {
        turn(requests, jobs);
        requests.clear();
        jobs.clear();
    }
    for (RunningBackup& running : backups_)
        running.done.set_value(
            fail(Code::cancelled, "the store is shutting down; the backup was not made"));
}

void SqliteStore::turn(Requests& requests, Jobs& jobs) {
    add_ended_leases(requests);
    for (size_t next = 0; next < requests.size();) next = commit_some(requests, next);
    for (const auto& job : jobs) job();
    if (watchers_.replaying(revision_)) {
        auto replayed = watchers_.replay(*database_, index_, revision_);
        if (!replayed) (void)note(std::move(replayed));
    }
    collect_garbage();
    advance_backups();
    checkpoint_if_due();
}

/// Work that is not in the queue and needs no waiting for.
bool SqliteStore::busy() const {
    if (database_->poison()) return false;
    return watchers_.replaying(revision_) || !backups_.empty() || garbage_left_;
}

std::optional<Duration> SqliteStore::idle_time() const {
    std::optional<MonotonicTime> until = leases_.next_end();
    std::optional<Duration> span;
    if (until && !database_->poison())
        span = std::max<Duration>(*until - clock_.monotonic(), Duration::zero());
    if (idle_checkpoint_) {
        const Duration left = *idle_checkpoint_ - std::chrono::steady_clock::now();
        const Duration rest = std::max(left, Duration::zero());
        span = span ? std::min(*span, rest) : rest;
    }
    return span;
}

/// Takes all that waits. False once the store is to stop and nothing waits.
bool SqliteStore::wait_for_work(Requests& requests, Jobs& jobs) {
    std::optional<Duration> limit;
    {
        std::shared_lock state(state_mutex_); // keep_alive changes the ends
        limit = busy() ? Duration::zero() : idle_time();
    }
    std::unique_lock lock(queue_mutex_);
    auto woken = [this] { return stopping_ || !requests_.empty() || !jobs_.empty(); };
    if (!limit)
        queue_changed_.wait(lock, woken);
    else if (*limit > Duration::zero())
        queue_changed_.wait_for(lock, *limit, woken);
    requests.swap(requests_);
    jobs.swap(jobs_);
    queued_bytes_ = 0;
    return !stopping_ || !requests.empty() || !jobs.empty();
}

void SqliteStore::add_ended_leases(Requests& requests) {
    if (database_->poison()) return;
    std::vector<int64_t> ended;
    {
        std::shared_lock lock(state_mutex_);
        ended = leases_.ended_by(clock_.monotonic());
    }
    for (int64_t lease : ended)
        requests.push_back({RevokeLease{lease}, [](const Result<TransactionResult>&) {}, 0});
}

Result<TransactionResult> SqliteStore::evaluate(Group& group, const Request& request) {
    if (const auto* transaction = std::get_if<Transaction>(&request.what))
        return group.add(*transaction);
    if (const auto* grant = std::get_if<GrantLease>(&request.what))
        group.grant(grant->lease, grant->ttl);
    else
        TRY(group.revoke(std::get<RevokeLease>(request.what).lease));
    return TransactionResult{true, group.revision()};
}

/// Commits one group from requests[first...]; returns the first request that is left.
size_t SqliteStore::commit_some(Requests& requests, size_t first) {
    Group group(index_, leases_, revision_);
    Results results;
    size_t bytes = 0;
    size_t end = first;
    for (; end < requests.size() && results.size() < kGroupRequests && bytes < kGroupBytes; ++end) {
        bytes += requests[end].bytes;
        results.push_back(evaluate(group, requests[end]));
    }
    const bool collect = garbage_left_ && !watchers_.replaying(revision_);
    const auto garbage =
        collect ? index_.garbage(compacted_, kGarbageOfGroup) : std::vector<int64_t>{};
    const int64_t before = revision_;
    Result<> written = group.writes() ? note(write(group, garbage)) : Result<>{};
    if (written && group.writes()) {
        apply(group, garbage.size());
        watchers_.publish(group.changes(), before, group.revision());
    }
    for (size_t i = first; i < end; ++i) {
        Result<TransactionResult>& result = results[i - first];
        if (!written && result) result = tl::unexpected(written.error());
        requests[i].done(std::move(result));
    }
    return end;
}

Result<> SqliteStore::write(const Group& group, const std::vector<int64_t>& garbage) {
    // A log that cannot be emptied, because the disk is full, must not grow for ever.
    if (log_failed_ && database_->wal_pages() * kPageInLog > 4 * options_.wal_bytes)
        TRY(database_->checkpoint());
    auto statements = [&]() -> Result<> {
        TRY(database_->begin());
        for (const Change& change : group.changes()) TRY(database_->insert(change.row));
        for (const Group::Grant& grant : group.granted())
            TRY(database_->add_lease(grant.lease, grant.ttl.count()));
        for (int64_t lease : group.revoked()) TRY(database_->remove_lease(lease));
        for (int64_t id : garbage) TRY(database_->remove_row(id));
        return database_->commit();
    };
    Result<> done = statements();
    if (!done) database_->rollback();
    return done;
}

/// Makes a committed group visible.
void SqliteStore::apply(const Group& group, size_t garbage) {
    std::unique_lock lock(state_mutex_);
    index_.drop_garbage(garbage);
    for (const Group::Grant& grant : group.granted())
        leases_.add(grant.lease, grant.ttl, clock_.monotonic());
    for (const Change& change : group.changes()) {
        if (change.previous) leases_.detach(change.previous->lease, change.row.key);
        leases_.attach(change.row.version.lease, change.row.key);
        index_.apply(change.row);
    }
    for (int64_t lease : group.revoked()) leases_.remove(lease);
    revision_ = group.revision();
}

/// Keeps the error that stops the store. A full disk does not stop it.
Result<> SqliteStore::note(Result<> result) {
    if (result || result.error().code == Code::exhausted || result.error().code == Code::expired)
        return result;
    if (!database_->poison()) database_->stop(result.error());
    std::unique_lock lock(state_mutex_);
    if (!stopped_by_) {
        stopped_by_ = result.error();
        log_error("store", "{}", result.error().to_string());
    }
    return result;
}

Result<> SqliteStore::compact_now(int64_t revision) {
    if (revision > revision_)
        return fail(Code::invalid, fmt::format("cannot compact to {}: the latest revision is {}",
                                               revision, revision_.load()));
    if (revision <= compacted_)
        return fail(Code::expired, fmt::format("already compacted to {}", compacted_.load()));
    auto statements = [&]() -> Result<> {
        TRY(database_->begin());
        TRY(database_->set_compacted(revision));
        return database_->commit();
    };
    Result<> done = note(statements());
    if (!done) {
        database_->rollback();
        return done;
    }
    std::unique_lock lock(state_mutex_);
    compacted_ = revision;
    garbage_left_ = true;
    return {};
}

/// Removes rows that compaction freed, when no write waits; otherwise groups carry some along.
void SqliteStore::collect_garbage() {
    if (!garbage_left_ || database_->poison()) return;
    // A replay still reads them. It is under way on this thread, so this pause ends.
    if (watchers_.replaying(revision_)) return;
    {
        std::lock_guard lock(queue_mutex_);
        if (!requests_.empty()) return;
    }
    const auto ids = index_.garbage(compacted_, kGarbageOfPause);
    garbage_left_ = false;
    if (ids.empty()) return;
    auto removed = note(write(Group(index_, leases_, revision_), ids));
    if (!removed)
        return log_warning("store", "compaction is put off: {}", removed.error().to_string());
    std::unique_lock lock(state_mutex_);
    index_.drop_garbage(ids.size());
    garbage_left_ = true;
}

void SqliteStore::advance_backups() {
    std::erase_if(backups_, [](RunningBackup& running) {
        Result<bool> step = running.backup->step();
        if (step && !*step) return false;
        running.done.set_value(step ? Result<>{} : tl::unexpected(step.error()));
        return true;
    });
}

/// In a pause, or when the log has filled the space that is allocated for it.
void SqliteStore::checkpoint_if_due() {
    if (database_->poison()) return;
    const size_t pages = database_->wal_pages();
    const auto now = std::chrono::steady_clock::now();
    const bool full = !log_failed_ && pages * kPageInLog > options_.wal_bytes / 4 * 3;
    const bool paused = idle_checkpoint_ && now >= *idle_checkpoint_;
    idle_checkpoint_.reset();
    if (!full && !paused) {
        if (pages >= kIdleCheckpoint)
            idle_checkpoint_ = now + (log_failed_ ? 100 * kPause : kPause);
        return;
    }
    auto done = note(database_->checkpoint());
    log_failed_ = !done;
    if (done || database_->poison()) return;
    log_warning("store", "{}", done.error().to_string());
    idle_checkpoint_ = now + 100 * kPause;
}

} // namespace cloudlet::store
