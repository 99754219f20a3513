#pragma once
// The watches of a store: those that follow live, and those that still replay history.
//
// Both advance only on the store's thread. A watch knows the next revision it has to deliver; it is
// live once that lies beyond everything committed, so there is neither gap nor duplicate between
// replay and live. Replay proceeds in bounded steps between groups, so commits are not held up.

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cloudlet/store/store.h"
#include "database.h"
#include "index.h"

namespace cloudlet::store {

/// Shared by the store's thread and the Watch in the caller's hand.
class Watcher {
public:
    Watcher(std::string prefix, int64_t next_revision, Store::WatchCallback callback);
    void deliver(const WatchBatch& batch);
    void close();
    bool closed();

    const std::string prefix;
    int64_t next_revision; // the store's thread only

private:
    std::recursive_mutex mutex_; // held during the callback, so that close() waits for it
    bool closed_ = false;
    bool running_ = false;
    Store::WatchCallback callback_;
};

class Watchers {
public:
    std::unique_ptr<Watch> add(std::string prefix, int64_t next_revision,
                               Store::WatchCallback callback);

    /// Delivers what one group committed to all live watches; `before` is the revision before it.
    void publish(const std::vector<Change>& changes, int64_t before, int64_t after);

    /// Whether some watch is behind `revision`.
    bool replaying(int64_t revision) const;
    /// Advances each watch that is behind by one bounded step.
    Result<> replay(Database& database, const Index& index, int64_t revision);

private:
    std::vector<std::shared_ptr<Watcher>> watchers_;

    void forget_closed();
    Result<> replay_one(Watcher& watcher, Database& database, const Index& index, int64_t revision);
};

} // namespace cloudlet::store
