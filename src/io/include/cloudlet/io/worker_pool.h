#pragma once
// A few threads that run plain functions from one bounded queue, first in first out. A function
// that has to wait for something slow gives its thread back and is continued by a later submit.

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace cloudlet::io {

/// Thread-safe. The destructor stops it.
class WorkerPool {
public:
    /// `threads` >= 1; at most `queue_limit` functions wait. The name shows in thread listings.
    WorkerPool(std::string name, size_t threads, size_t queue_limit);
    ~WorkerPool();
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    /// False, and the function is dropped, when the queue is full or the pool is stopping.
    [[nodiscard]] bool submit(std::function<void()> function);
    /// Runs what is queued, then ends the threads and joins them. Not from one of its threads.
    void stop();
    size_t queued() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace cloudlet::io
