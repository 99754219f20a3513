#pragma once
// Test helper: a watch in a thread of its own, whose events can be waited for.

#include <thread>

#include "test_world.h"

namespace cloudlet::kube::server::testing {

class WatchReader {
public:
    WatchReader(World& world, const std::string& target, net::Headers headers = {}) {
        net::ClientOptions options;
        options.tls = World::admin_tls();
        options.deadline = std::chrono::seconds(60);
        thread_ = std::thread([this, options, url = world.url() + target, headers, target] {
            net::Request request;
            request.target = target;
            request.headers = headers;
            (void)net::http_stream(
                options, url, std::move(request),
                [this](const net::Response& head) {
                    std::lock_guard lock(mutex_);
                    status_ = head.status;
                    return !over_;
                },
                [this](std::string_view bytes) { return take(bytes); });
            std::lock_guard lock(mutex_);
            ended_ = true;
            changed_.notify_all();
        });
    }
    ~WatchReader() {
        {
            std::lock_guard lock(mutex_);
            over_ = true;
        }
        thread_.join();
    }

    /// Waits until `count` events are there, or the watch ended; gives what there is.
    std::vector<Json> wait_for(size_t count) {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, std::chrono::seconds(30),
                          [&] { return events_.size() >= count || ended_; });
        return events_;
    }
    /// Waits until an event fits.
    template <typename Predicate>
    bool wait_until(Predicate predicate) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(30), [&] {
            return std::any_of(events_.begin(), events_.end(), predicate) || ended_;
        }) && std::any_of(events_.begin(), events_.end(), predicate);
    }
    bool wait_for_end() {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(30), [&] { return ended_; });
    }
    int status() {
        std::lock_guard lock(mutex_);
        return status_;
    }

private:
    bool take(std::string_view bytes) {
        std::lock_guard lock(mutex_);
        buffer_.append(bytes);
        for (size_t end; (end = buffer_.find('\n')) != std::string::npos; buffer_.erase(0, end + 1))
            if (auto event = codec::parse_json(buffer_.substr(0, end)))
                events_.push_back(std::move(*event));
        changed_.notify_all();
        return !over_;
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::string buffer_;
    std::vector<Json> events_;
    int status_ = 0;
    bool ended_ = false;
    bool over_ = false;
    std::thread thread_;
};

} // namespace cloudlet::kube::server::testing
