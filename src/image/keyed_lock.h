#pragma once
// One lock per name, made on demand: two threads that want the same layer wait for each other, all
// others do not.

#include <condition_variable>
#include <mutex>
#include <set>
#include <string>

namespace cloudlet::image {

class KeyedLock {
public:
    class Held {
    public:
        Held(KeyedLock& owner, std::string key) : owner_(owner), key_(std::move(key)) {
            std::unique_lock guard(owner_.mutex_);
            owner_.freed_.wait(guard, [&] { return !owner_.held_.contains(key_); });
            owner_.held_.insert(key_);
        }
        ~Held() {
            std::lock_guard guard(owner_.mutex_);
            owner_.held_.erase(key_);
            owner_.freed_.notify_all();
        }
        Held(const Held&) = delete;
        Held& operator=(const Held&) = delete;

    private:
        KeyedLock& owner_;
        std::string key_;
    };

private:
    std::mutex mutex_;
    std::condition_variable freed_;
    std::set<std::string> held_;
};

} // namespace cloudlet::image
