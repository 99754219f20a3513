#pragma once
// What the tests of this room share: a store on a simulated or a real disk, in one line.

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include <unistd.h>

#include "cloudlet/store/sqlite.h"
#include "simulated_disk.h"

namespace cloudlet::store {

/// A folder under /tmp that goes away with its owner.
class Folder {
public:
    Folder() {
        std::string name = "/tmp/cloudlet-store-" + std::to_string(getpid()) + "-XXXXXX";
        path_ = mkdtemp(name.data());
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    std::string file(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

/// A clock that tests move while the store's thread reads it.
class SharedClock final : public Clock {
public:
    MonotonicTime monotonic() const override {
        return MonotonicTime{MonotonicTime::duration{now_.load()}};
    }
    WallTime wall() const override { return WallTime{Duration{now_.load()}}; }
    void advance(Duration step) { now_ += step.count(); }

private:
    std::atomic<int64_t> now_{1};
};

inline Transaction put(std::string key, std::string value, int64_t lease = 0) {
    return {{}, {Put{std::move(key), share(std::move(value)), lease}}, {}};
}
inline Transaction remove(std::string key) { return {{}, {Delete{std::move(key), {}}}, {}}; }

/// "key=value key=value" of a range, as one comparable line.
inline std::string line_of(const RangeResult& result) {
    std::string line;
    for (const KeyValue& one : result.values)
        line += (line.empty() ? "" : " ") + one.key + "=" + (one.value ? *one.value : "-");
    return line;
}

inline std::string all_at(Store& store, int64_t revision = 0) {
    auto result = store.range({.key = "", .range_end = to_the_end, .revision = revision});
    return result ? line_of(*result) : result.error().to_string();
}

/// Collects the batches of a watch.
class Collector {
public:
    Store::WatchCallback callback() {
        return [this](const WatchBatch& batch) {
            std::lock_guard lock(mutex_);
            batches_.push_back(batch);
            changed_.notify_all();
        };
    }
    /// Waits (bounded) until `revision` arrived; then all batches so far.
    std::vector<WatchBatch> up_to(int64_t revision) {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, std::chrono::seconds{30}, [&] {
            return !batches_.empty() && batches_.back().revision >= revision;
        });
        return batches_;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<WatchBatch> batches_;
};

inline std::string line_of(const std::vector<WatchBatch>& batches) {
    std::string line;
    for (const WatchBatch& batch : batches) {
        line += (line.empty() ? "" : " ") + std::to_string(batch.revision) + ":";
        for (const Event& event : batch.events)
            line += (event.type == Event::Type::put ? "+" : "-") + event.current.key +
                    (event.current.value ? "=" + *event.current.value : "") +
                    (event.previous ? "(" + *event.previous->value + ")" : "");
    }
    return line;
}

/// How many seeds a randomised test tries: few in the tests, many in soak.
inline uint64_t seeds(uint64_t few) {
    const char* many = std::getenv("CLOUDLET_SEEDS");
    return many ? std::strtoull(many, nullptr, 10) : few;
}

} // namespace cloudlet::store
