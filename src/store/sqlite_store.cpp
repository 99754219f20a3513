#include "sqlite_store.h"

#include <cerrno>
#include <sys/stat.h>

#include <fmt/format.h>

#include "cloudlet/base/log.h"
#include "cloudlet/base/random.h"

namespace cloudlet::store {

namespace {

constexpr size_t kQueueBytes = 64 << 20;
constexpr size_t kTransactionBytes = 16 << 20;
constexpr size_t kLeaseBytes = 64; // what a lease request counts in the queue

size_t bytes_of(const std::vector<Operation>& operations) {
    size_t bytes = 0;
    for (const Operation& operation : operations) {
        const auto* put = std::get_if<Put>(&operation);
        bytes += 64 + (put ? put->key.size() + (put->value ? put->value->size() : 0) : 0);
    }
    return bytes;
}

int64_t new_lease_id() {
    uint64_t id = 0;
    std::memcpy(&id, secure_random_bytes(sizeof id).data(), sizeof id);
    return static_cast<int64_t>(id >> 2) + 1; // positive, and 0 means none
}

RangeResult take_found(std::vector<Index::Found>& found, const RangeRequest& request) {
    RangeResult result;
    result.values.reserve(found.size());
    for (Index::Found& one : found) {
        result.values.push_back(to_key_value(one.key, one.version));
        if (request.keys_only) result.values.back().value = nullptr;
    }
    return result;
}

} // namespace

Result<TransactionResult> Store::commit_and_wait(Transaction transaction) {
    auto promise = std::make_shared<std::promise<Result<TransactionResult>>>();
    auto future = promise->get_future();
    commit(std::move(transaction),
           [promise](auto result) { promise->set_value(std::move(result)); });
    return future.get();
}

Result<std::string> prefix_end(std::string_view prefix) {
    std::string end(prefix);
    while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
    if (end.empty()) return fail(Code::invalid, "no key lies after this prefix: use to_the_end");
    end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
    return end;
}

Result<std::unique_ptr<Store>> open_sqlite_store(const SqliteOptions& options) {
    if (!options.disk) {
        const size_t slash = options.path.rfind('/');
        if (slash != std::string::npos && slash > 0)
            if (::mkdir(options.path.substr(0, slash).c_str(), 0700) != 0 && errno != EEXIST)
                return fail_errno("make the folder of " + options.path);
    }
    Disk& disk = options.disk ? *options.disk : system_disk();
    auto store = std::make_unique<SqliteStore>(
        options, TRY(Database::open(options.path, disk, options.wal_bytes)));
    TRY(store->start());
    return std::unique_ptr<Store>(std::move(store));
}

SqliteStore::SqliteStore(const SqliteOptions& options, std::unique_ptr<Database> database)
    : options_(options), clock_(options.clock ? *options.clock : system_clock()),
      database_(std::move(database)) {}

SqliteStore::~SqliteStore() {
    {
        std::lock_guard lock(queue_mutex_);
        stopping_ = true;
    }
    queue_changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

Result<> SqliteStore::start() {
    const MonotonicTime now = clock_.monotonic();
    for (const auto& [lease, ttl] : TRY(database_->leases()))
        leases_.add(lease, Duration{ttl}, now);
    compacted_ = TRY(database_->compacted());
    int64_t last = compacted_; // the rows of the last revision may be compacted away
    TRY(database_->scan(0, [&](Row&& row) {
        index_.apply(row);
        last = std::max(last, row.version.revision());
        return true;
    }));
    index_.for_each("", to_the_end, [&](const std::string& key, const Version& version) {
        leases_.attach(version.lease, key);
        return true;
    });
    revision_ = last;
    garbage_left_ = true;
    thread_ = std::thread([this] { run(); });
    return {};
}

void SqliteStore::commit(Transaction transaction, CommitDone done) {
    const size_t bytes = bytes_of(transaction.then) + bytes_of(transaction.otherwise) +
                         64 * transaction.compares.size();
    if (bytes > kTransactionBytes)
        return done(
            fail(Code::too_large, fmt::format("transaction of {} bytes; at most {} are allowed: "
                                              "split it",
                                              bytes, kTransactionBytes)));
    enqueue({std::move(transaction), std::move(done), bytes});
}

void SqliteStore::enqueue(Request request) {
    Error refusal;
    {
        std::lock_guard lock(queue_mutex_);
        const bool full =
            requests_.size() >= options_.queue_limit || queued_bytes_ + request.bytes > kQueueBytes;
        if (!stopping_ && !full) {
            queued_bytes_ += request.bytes;
            requests_.push_back(std::move(request));
            if (requests_.size() == 1) queue_changed_.notify_one();
            return;
        }
        if (stopping_)
            refusal = {Code::cancelled, "the store is shutting down", {}, 0};
        else
            refusal = {
                Code::unavailable, "too many writes wait for the disk: try again later", {}, 0};
    }
    request.done(tl::unexpected(std::move(refusal)));
}

Result<> SqliteStore::on_thread(std::function<Result<>()> job) {
    if (std::this_thread::get_id() == thread_.get_id()) return job();
    auto done = std::make_shared<std::promise<Result<>>>();
    auto future = done->get_future();
    {
        std::lock_guard lock(queue_mutex_);
        if (stopping_) return fail(Code::cancelled, "the store is shutting down");
        if (jobs_.size() >= options_.queue_limit)
            return fail(Code::unavailable,
                        fmt::format("{} reads wait for the disk: try again later", jobs_.size()));
        jobs_.push_back([job = std::move(job), done] { done->set_value(job()); });
    }
    queue_changed_.notify_one();
    return future.get();
}

Result<int64_t> SqliteStore::resolve(const RangeRequest& request) const {
    const int64_t now = revision_;
    if (request.revision < 0 || request.revision > now)
        return fail(Code::invalid, fmt::format("revision {} is not made yet; the latest is {}",
                                               request.revision, now));
    if (request.revision == 0) return now;
    if (request.revision < compacted_)
        return fail(Code::expired,
                    fmt::format("revision {} is compacted away; the oldest is {}: list again",
                                request.revision, compacted_.load()));
    return request.revision;
}

RangeResult SqliteStore::latest(const RangeRequest& request) const {
    RangeResult result;
    index_.for_each(
        request.key, request.range_end, [&](const std::string& key, const Version& version) {
            result.count++;
            if (request.count_only) return true;
            if (request.limit > 0 && result.values.size() >= static_cast<size_t>(request.limit))
                return true;
            result.values.push_back(to_key_value(key, version));
            if (request.keys_only) result.values.back().value = nullptr;
            return true;
        });
    return result;
}

Result<RangeResult> SqliteStore::range(const RangeRequest& request) {
    RangeResult result;
    Index::Snapshot snapshot;
    bool history = false;
    {
        std::shared_lock lock(state_mutex_);
        const int64_t at = TRY(resolve(request));
        history = at != revision_;
        if (history)
            snapshot = index_.at(request);
        else
            result = latest(request);
        result.revision = revision_;
    }
    if (history) {
        const int64_t now = result.revision;
        TRY(fetch_values(snapshot.found));
        result = take_found(snapshot.found, request);
        result.revision = now;
        result.count = snapshot.count;
    }
    result.more = !request.count_only && result.count > static_cast<int64_t>(result.values.size());
    return result;
}

Result<> SqliteStore::fetch_values(std::vector<Index::Found>& found) {
    constexpr size_t step = 256; // so that commits get their turn in between
    size_t next = 0;
    while (next < found.size()) {
        size_t wanted = 0;
        size_t end = next;
        while (end < found.size() && wanted < step) wanted += found[end++].fetch ? 1 : 0;
        if (wanted == 0) return {};
        TRY(on_thread([&]() -> Result<> {
            for (size_t i = next; i < end; ++i)
                if (found[i].fetch)
                    found[i].version = TRY(database_->fetch(found[i].version.id)).version;
            return {};
        }));
        next = end;
    }
    return {};
}

Result<std::unique_ptr<Watch>> SqliteStore::watch(std::string prefix, int64_t from_revision,
                                                  WatchCallback callback) {
    std::unique_ptr<Watch> watch;
    const int64_t asked = from_revision == 0 ? revision_ + 1 : from_revision;
    TRY(on_thread([&]() -> Result<> {
        if (asked < 0)
            return fail(Code::invalid, fmt::format("cannot watch from revision {}", asked));
        if (asked <= compacted_)
            return fail(
                Code::expired,
                fmt::format("cannot watch from revision {}: history up to {} is compacted away: "
                            "list again",
                            asked, compacted_.load()));
        watch = watchers_.add(std::move(prefix), asked, std::move(callback));
        return {};
    }));
    return watch;
}

Result<> SqliteStore::compact(int64_t revision) {
    return on_thread([=, this] { return compact_now(revision); });
}

Result<int64_t> SqliteStore::grant(Duration ttl) {
    if (ttl <= Duration::zero())
        return fail(Code::invalid, "a lease needs a positive time to live");
    const int64_t lease = new_lease_id();
    auto done = std::make_shared<std::promise<Result<TransactionResult>>>();
    enqueue({GrantLease{lease, ttl}, [done](auto result) { done->set_value(std::move(result)); },
             kLeaseBytes});
    TRY(done->get_future().get());
    return lease;
}

Result<> SqliteStore::revoke(int64_t lease) {
    auto done = std::make_shared<std::promise<Result<TransactionResult>>>();
    enqueue({RevokeLease{lease}, [done](auto result) { done->set_value(std::move(result)); },
             kLeaseBytes});
    TRY(done->get_future().get());
    return {};
}

Result<> SqliteStore::keep_alive(int64_t lease) {
    std::unique_lock lock(state_mutex_);
    if (!leases_.keep_alive(lease, clock_.monotonic()))
        return fail(
            Code::not_found,
            fmt::format("lease {} does not exist (it may have expired): grant a new one", lease));
    return {};
}

Result<> SqliteStore::backup(const std::string& path) {
    std::future<Result<>> done;
    TRY(on_thread([&]() -> Result<> {
        RunningBackup running{TRY(Backup::start(database_->handle(), path)), {}};
        done = running.done.get_future();
        backups_.push_back(std::move(running));
        return {};
    }));
    return done.get();
}

Result<> SqliteStore::health() const {
    std::shared_lock lock(state_mutex_);
    if (stopped_by_) return tl::unexpected(*stopped_by_);
    return {};
}

} // namespace cloudlet::store
