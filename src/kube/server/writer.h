#pragma once
// The one way to change an object: read it from the cache, decide what it becomes, commit with a
// compare of its revision, and decide anew when what it depends on has changed meanwhile. So no
// update is ever lost, and a decision is a plain function of the current object. Writers of one
// object take turns in the order of their calls: nobody starves, however many there are.

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "cache.h"
#include "failure.h"

namespace cloudlet::io {
class WorkerPool;
}

namespace cloudlet::kube::server {

/// What a decision makes of an object.
struct Decision {
    enum class Action { keep, put, remove };
    Action action = Action::keep;
    Json object;             // for put
    store::Transaction also; // compares and operations that belong to the same transaction
    int64_t lease = 0;       // the object dies with it
    std::vector<std::shared_ptr<void>> holds; // kept until the commit is decided
};

/// The object after a write.
struct Written {
    SharedBytes json;     // as it is now; the last state when removed
    ObjectPointer object; // null for a dry run of a create
    bool removed = false;
};

/// `current` is null when there is no such object. Runs on a worker or on the caller's thread,
/// perhaps several times.
using Decide = std::function<Outcome<Decision>(const ObjectPointer& current)>;
using WriteDone = std::function<void(Outcome<Written>)>;

class Writer {
public:
    Writer(store::Store& store, Cache& cache, io::WorkerPool& pool)
        : store_(store), cache_(cache), pool_(pool) {}
    /// Waits for what is under way.
    ~Writer();

    enum class Mode { commit, dry_run };
    /// `done` is called once: on the store's thread after a commit, else on the caller's or a
    /// worker's.
    void write(const api::Kind& kind, std::string ns, std::string name, Mode mode, Decide decide,
               WriteDone done);

private:
    struct Job;
    /// True when the job may begin; else it waits for its turn.
    bool take_turn(const std::shared_ptr<Job>& job);
    /// Whose turn it is next; null when nobody waits, and the key is free.
    std::shared_ptr<Job> next_turn(const std::string& key);
    void attempt(std::shared_ptr<Job> job);
    void commit(std::shared_ptr<Job> job, const ObjectPointer& current, Decision decision);
    void committed(const std::shared_ptr<Job>& job, const ObjectPointer& current,
                   const SharedBytes& bytes, Result<store::TransactionResult> result);
    void retry(std::shared_ptr<Job> job);
    void finish(const std::shared_ptr<Job>& job, Outcome<Written> outcome);

    store::Store& store_;
    Cache& cache_;
    io::WorkerPool& pool_;
    std::mutex mutex_;
    std::condition_variable idle_;
    size_t under_way_ = 0;
    /// Behind the job that has its turn, by key.
    std::unordered_map<std::string, std::deque<std::shared_ptr<Job>>> waiting_;
};

} // namespace cloudlet::kube::server
