#pragma once
// The shell around the pure parts: a bounded queue, the one thread that writes, and the memory that
// readers share with it. The thread's turn is one readable recipe, SqliteStore::turn().

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "backup.h"
#include "cloudlet/store/sqlite.h"
#include "cloudlet/store/store.h"
#include "database.h"
#include "group.h"
#include "index.h"
#include "leases.h"
#include "watchers.h"

namespace cloudlet::store {

class SqliteStore final : public Store {
public:
    SqliteStore(const SqliteOptions& options, std::unique_ptr<Database> database);
    ~SqliteStore() override;

    /// Reads everything into memory and starts the thread.
    Result<> start();

    void commit(Transaction transaction, CommitDone done) override;
    Result<RangeResult> range(const RangeRequest& request) override;
    Result<std::unique_ptr<Watch>> watch(std::string prefix, int64_t from_revision,
                                         WatchCallback callback) override;
    Result<> compact(int64_t revision) override;
    int64_t revision() const override { return revision_; }
    int64_t compacted_revision() const override { return compacted_; }
    Result<int64_t> grant(Duration ttl) override;
    Result<> keep_alive(int64_t lease) override;
    Result<> revoke(int64_t lease) override;
    Result<> backup(const std::string& path) override;
    Result<> health() const override;

private:
    struct GrantLease {
        int64_t lease;
        Duration ttl;
    };
    struct RevokeLease {
        int64_t lease;
    };
    struct Request {
        std::variant<Transaction, GrantLease, RevokeLease> what;
        CommitDone done;
        size_t bytes = 0;
    };
    struct RunningBackup {
        std::unique_ptr<Backup> backup;
        std::promise<Result<>> done;
    };
    using Requests = std::vector<Request>;
    using Jobs = std::vector<std::function<void()>>;
    using Results = std::vector<Result<TransactionResult>>;

    const SqliteOptions options_;
    const Clock& clock_;

    mutable std::mutex queue_mutex_;
    std::condition_variable queue_changed_;
    Requests requests_;
    size_t queued_bytes_ = 0;
    Jobs jobs_;
    bool stopping_ = false;

    mutable std::shared_mutex state_mutex_; // the thread writes under it; it alone reads without
    Index index_;
    LeaseTable leases_;
    std::optional<Error> stopped_by_;
    std::atomic<int64_t> revision_{0};
    std::atomic<int64_t> compacted_{0};

    std::unique_ptr<Database> database_; // the thread's own, as all below
    Watchers watchers_;
    std::vector<RunningBackup> backups_;
    bool garbage_left_ = false;
    bool log_failed_ = false; // the last checkpoint
    std::optional<MonotonicTime> idle_checkpoint_;
    std::thread thread_;

    // On any thread.
    void enqueue(Request request);
    Result<> on_thread(std::function<Result<>()> job);
    Result<int64_t> resolve(const RangeRequest& request) const;
    Result<> fetch_values(std::vector<Index::Found>& found);
    RangeResult latest(const RangeRequest& request) const;

    // On the store's thread.
    void run();
    bool wait_for_work(Requests& requests, Jobs& jobs);
    std::optional<Duration> idle_time() const;
    bool busy() const;
    void turn(Requests& requests, Jobs& jobs);
    void add_ended_leases(Requests& requests);
    size_t commit_some(Requests& requests, size_t first);
    static Result<TransactionResult> evaluate(Group& group, const Request& request);
    Result<> write(const Group& group, const std::vector<int64_t>& garbage);
    void apply(const Group& group, size_t garbage);
    void collect_garbage();
    void advance_backups();
    void checkpoint_if_due();
    Result<> compact_now(int64_t revision);
    Result<> note(Result<> result);
};

} // namespace cloudlet::store
