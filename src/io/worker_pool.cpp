#include "cloudlet/io/worker_pool.h"

#include <condition_variable>
#include <deque>
#include <pthread.h>
#include <thread>

#include "cloudlet/base/check.h"

namespace cloudlet::io {

struct WorkerPool::Impl {
    size_t queue_limit;
    mutable std::mutex mutex;
    std::condition_variable work;
    std::deque<std::function<void()>> queue;
    bool stopping = false;
    std::vector<std::thread> threads;

    void serve() {
        std::unique_lock lock(mutex);
        for (;;) {
            work.wait(lock, [&] { return stopping || !queue.empty(); });
            if (queue.empty()) return;
            auto function = std::move(queue.front());
            queue.pop_front();
            lock.unlock();
            function();
            function = nullptr;
            lock.lock();
        }
    }
};

WorkerPool::WorkerPool(std::string name, size_t threads, size_t queue_limit)
    : impl_(std::make_unique<Impl>()) {
    check(threads >= 1, "a worker pool has a thread");
    impl_->queue_limit = queue_limit;
    for (size_t i = 0; i < threads; ++i) {
        impl_->threads.emplace_back(
            [impl = impl_.get(), title = fmt::format("{}-{}", name.substr(0, 11), i)] {
                pthread_setname_np(pthread_self(), title.c_str());
                impl->serve();
            });
    }
}

WorkerPool::~WorkerPool() { stop(); }

bool WorkerPool::submit(std::function<void()> function) {
    std::lock_guard lock(impl_->mutex);
    if (impl_->stopping || impl_->queue.size() >= impl_->queue_limit) return false;
    impl_->queue.push_back(std::move(function));
    impl_->work.notify_one(); // under the lock: once it is free, the pool may be destroyed
    return true;
}

void WorkerPool::stop() {
    {
        std::lock_guard lock(impl_->mutex);
        impl_->stopping = true;
    }
    impl_->work.notify_all();
    for (auto& thread : impl_->threads) {
        if (!thread.joinable()) continue;
        check(thread.get_id() != std::this_thread::get_id(),
              "a worker pool is not stopped by its own thread");
        thread.join();
    }
}

size_t WorkerPool::queued() const {
    std::lock_guard lock(impl_->mutex);
    return impl_->queue.size();
}

} // namespace cloudlet::io
