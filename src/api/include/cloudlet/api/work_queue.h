#pragma once
// The heart of a controller: a queue of keys and threads that call reconcile(key). A key that is
// added while it waits is worked once; added while it is worked, it is worked again afterwards; a
// key that failed comes back after a growing delay.

#include <functional>
#include <memory>
#include <string>

#include "cloudlet/api/object.h"
#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"

namespace cloudlet::api {

struct WorkQueueOptions {
    std::string name;                                    // for the log and the threads' names
    size_t workers = 1;                                  // threads
    Duration first_retry = std::chrono::milliseconds(5); // doubles with each failure in a row
    Duration longest_retry = std::chrono::seconds(30);
};

/// Owns its worker threads. Thread-safe. One key is never worked by two threads at once.
class WorkQueue {
public:
    /// What reconcile says: done; or look again after `requeue_after` (0: only when told).
    struct Outcome {
        Duration requeue_after{0};
    };
    using Reconcile = std::function<Result<Outcome>(const ObjectKey&)>;

    WorkQueue(WorkQueueOptions options, Reconcile reconcile);
    ~WorkQueue(); // stop()

    void start();
    void add(const ObjectKey& key);
    void add_after(const ObjectKey& key, Duration delay);
    /// Lets running calls finish, drops what waits, joins the threads.
    void stop();
    /// Keys that wait or are being worked (delayed ones not counted).
    size_t depth() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace cloudlet::api
