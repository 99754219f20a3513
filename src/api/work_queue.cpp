#include "cloudlet/api/work_queue.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <pthread.h>

#include "cloudlet/base/log.h"

namespace cloudlet::api {

// A key is in at most one of `ready` and `working`; `again` holds keys added while being worked.
struct WorkQueue::State {
    WorkQueueOptions options;
    Reconcile reconcile;

    mutable std::mutex mutex;
    std::condition_variable changed;
    std::deque<ObjectKey> ready;
    std::set<ObjectKey> waiting; // the keys of `ready`
    std::set<ObjectKey> working;
    std::set<ObjectKey> again;
    std::multimap<MonotonicTime, ObjectKey> delayed;
    std::map<ObjectKey, int> failures;
    bool stopping = false;
    std::vector<std::thread> threads;

    void add_locked(const ObjectKey& key) {
        if (stopping) return;
        if (working.contains(key)) {
            again.insert(key);
        } else if (waiting.insert(key).second) {
            ready.push_back(key);
            changed.notify_one();
        }
    }

    void delay_locked(const ObjectKey& key, Duration delay) {
        if (stopping) return;
        auto due = std::chrono::steady_clock::now() +
                   std::chrono::duration_cast<MonotonicTime::duration>(delay);
        bool earliest = delayed.empty() || due < delayed.begin()->first;
        delayed.emplace(due, key);
        if (earliest) changed.notify_one();
    }

    void release_due_locked() {
        auto now = std::chrono::steady_clock::now();
        while (!delayed.empty() && delayed.begin()->first <= now) {
            ObjectKey key = delayed.begin()->second;
            delayed.erase(delayed.begin());
            add_locked(key);
        }
    }

    /// Blocks until a key is ready; false when the queue stops.
    bool take(std::unique_lock<std::mutex>& lock, ObjectKey& key) {
        for (;;) {
            if (stopping) return false;
            release_due_locked();
            if (!ready.empty()) break;
            if (delayed.empty()) {
                changed.wait(lock);
            } else {
                // A copy: wait_until() reads it again when another worker may have taken the key.
                const auto earliest = delayed.begin()->first;
                changed.wait_until(lock, earliest);
            }
        }
        key = std::move(ready.front());
        ready.pop_front();
        waiting.erase(key);
        working.insert(key);
        return true;
    }

    void settle_locked(const ObjectKey& key, const Result<Outcome>& outcome) {
        working.erase(key);
        if (outcome) {
            failures.erase(key);
            if (outcome->requeue_after > Duration{0}) delay_locked(key, outcome->requeue_after);
        } else {
            int doublings = std::min(failures[key]++, 40);
            Duration delay = options.longest_retry;
            if (doublings < 32)
                delay = std::min(delay, options.first_retry * (int64_t{1} << doublings));
            delay_locked(key, delay);
        }
        if (again.erase(key)) add_locked(key);
    }

    void work() {
        pthread_setname_np(pthread_self(), options.name.substr(0, 15).c_str());
        std::unique_lock lock(mutex);
        ObjectKey key;
        while (take(lock, key)) {
            lock.unlock();
            auto outcome = reconcile(key);
            // A conflict is the ordinary race of two writers: the retry reads again, nobody need
            // know.
            if (!outcome && outcome.error().code != Code::conflict)
                log_warning(options.name, "{}: {}", key.to_string(), outcome.error().to_string());
            lock.lock();
            settle_locked(key, outcome);
        }
    }
};

WorkQueue::WorkQueue(WorkQueueOptions options, Reconcile reconcile)
    : state_(std::make_unique<State>()) {
    state_->options = std::move(options);
    state_->reconcile = std::move(reconcile);
}

WorkQueue::~WorkQueue() { stop(); }

void WorkQueue::start() {
    std::lock_guard lock(state_->mutex);
    while (state_->threads.size() < state_->options.workers)
        state_->threads.emplace_back([state = state_.get()] { state->work(); });
}

void WorkQueue::add(const ObjectKey& key) {
    std::lock_guard lock(state_->mutex);
    state_->add_locked(key);
}

void WorkQueue::add_after(const ObjectKey& key, Duration delay) {
    std::lock_guard lock(state_->mutex);
    state_->delay_locked(key, delay);
}

void WorkQueue::stop() {
    std::vector<std::thread> threads;
    {
        std::lock_guard lock(state_->mutex);
        state_->stopping = true;
        threads.swap(state_->threads);
    }
    state_->changed.notify_all();
    for (auto& thread : threads) thread.join();
}

size_t WorkQueue::depth() const {
    std::lock_guard lock(state_->mutex);
    return state_->ready.size() + state_->working.size();
}

} // namespace cloudlet::api
