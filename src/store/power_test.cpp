// The store loses power, or its process, at every step of random workloads.

#include <future>
#include <map>

#include "cloudlet/base/log.h"
#include "cloudlet/base/random.h"
#include "test_world.h"

namespace cloudlet::store {
namespace {

/// The changes of one revision, without the previous values that compaction may have taken.
std::string content_of(const WatchBatch& batch) {
    WatchBatch bare = batch;
    for (Event& event : bare.events) event.previous.reset();
    return line_of(std::vector<WatchBatch>{bare});
}

/// What the outside saw of a store: the truth that a later store must agree with.
class Witness {
public:
    Store::WatchCallback callback() {
        return [this](const WatchBatch& batch) { see(batch); };
    }
    void see(const WatchBatch& batch) {
        std::lock_guard lock(mutex_);
        auto [it, fresh] = contents_.emplace(batch.revision, content_of(batch));
        if (!fresh && it->second != content_of(batch))
            wrong_ = "revision reused: " + it->second + " became " + content_of(batch);
        batches_.emplace(batch.revision, batch);
    }
    void acknowledged(int64_t revision) {
        last_acknowledged_ = std::max(last_acknowledged_, revision);
    }

    /// Compares a freshly opened store with everything seen; takes over what it has beyond that.
    void compare(Store& store) {
        const int64_t seen = last();
        ASSERT_GE(store.revision(), seen) << "a revision that was visible is gone";
        ASSERT_GE(seen, last_acknowledged_) << "acknowledged before it was published";
        Collector collector;
        if (store.revision() > store.compacted_revision()) {
            auto watch = store.watch("", store.compacted_revision() + 1, collector.callback());
            ASSERT_TRUE(watch) << watch.error().to_string();
            const auto batches = collector.up_to(store.revision());
            ASSERT_EQ(static_cast<int64_t>(batches.size()),
                      store.revision() - store.compacted_revision());
            for (const WatchBatch& batch : batches) {
                ASSERT_TRUE(whole(batch)) << "half a transaction: " << content_of(batch);
                see(batch);
            }
        }
        ASSERT_EQ(wrong_, "");
        ASSERT_EQ(all_at(store), state_at(store.revision()));
        if (store.compacted_revision() == 0) return;
        ASSERT_EQ(all_at(store, store.compacted_revision()), state_at(store.compacted_revision()));
    }

private:
    std::mutex mutex_;
    std::map<int64_t, std::string> contents_;
    std::map<int64_t, WatchBatch> batches_;
    std::string wrong_;
    int64_t last_acknowledged_ = 0;

    int64_t last() const { return contents_.empty() ? 0 : contents_.rbegin()->first; }
    /// The workload changes keys in pairs, with one value.
    static bool whole(const WatchBatch& batch) {
        if (batch.events.size() % 2) return false;
        for (size_t i = 0; i < batch.events.size(); i += 2) {
            const Event& one = batch.events[i];
            const Event& two = batch.events[i + 1];
            if (one.type != two.type ||
                (one.current.value && *one.current.value != *two.current.value))
                return false;
        }
        return true;
    }
    std::string state_at(int64_t revision) const {
        std::map<std::string, KeyValue> state;
        for (const auto& [at, batch] : batches_) {
            if (at > revision) break;
            for (const Event& event : batch.events) {
                if (event.type == Event::Type::put)
                    state[event.current.key] = event.current;
                else
                    state.erase(event.current.key);
            }
        }
        RangeResult result;
        for (const auto& [key, value] : state) result.values.push_back(value);
        return line_of(result);
    }
};

/// A seeded workload on a simulated disk, up to the point where the disk fails it.
class Workload {
public:
    Workload(uint64_t seed, SimulatedDisk& disk, Witness& witness)
        : random_(seed), disk_(disk), witness_(witness) {}

    /// Runs to the end or to the first failure.
    void run(int steps) {
        if (!open()) return;
        for (int i = 0; i < steps; ++i) {
            const uint64_t choice = random_.below(20);
            const bool goes_on = choice == 0  ? open()
                                 : choice < 3 ? compact()
                                 : choice < 5 ? lease()
                                              : commit_some();
            if (!goes_on) break;
        }
        watch_.reset();
        store_.reset();
    }
    std::unique_ptr<Store> reopen() {
        auto opened = open_sqlite_store({.path = "/db", .disk = &disk_, .wal_bytes = 48 << 10});
        EXPECT_TRUE(opened) << opened.error().to_string();
        return opened ? std::move(*opened) : nullptr;
    }

private:
    Random random_;
    SimulatedDisk& disk_;
    Witness& witness_;
    std::unique_ptr<Store> store_;
    std::unique_ptr<Watch> watch_;
    int tag_ = 0;

    bool open() {
        watch_.reset();
        store_.reset();
        auto opened = open_sqlite_store({.path = "/db", .disk = &disk_, .wal_bytes = 48 << 10});
        if (!opened) return false;
        store_ = std::move(*opened);
        auto watch = store_->watch("", 0, witness_.callback());
        if (watch) watch_ = std::move(*watch);
        return watch.has_value();
    }
    Transaction random_change(int64_t lease) {
        const std::string key = std::string(1, static_cast<char>('a' + random_.below(5)));
        if (random_.chance(0.2)) return {{}, {Delete{"1" + key, {}}, Delete{"2" + key, {}}}, {}};
        const auto value =
            share(std::to_string(tag_++) + std::string(random_.below(3) * 1500, '.'));
        return {{}, {Put{"1" + key, value, lease}, Put{"2" + key, value, lease}}, {}};
    }
    bool commit_some(int64_t lease = 0) {
        std::vector<std::future<Result<TransactionResult>>> answers;
        for (uint64_t i = 0; i <= random_.below(4); ++i) {
            auto promise = std::make_shared<std::promise<Result<TransactionResult>>>();
            answers.push_back(promise->get_future());
            store_->commit(random_change(lease),
                           [promise](auto result) { promise->set_value(std::move(result)); });
        }
        bool all = true;
        for (auto& answer : answers) {
            auto result = answer.get();
            all = all && result;
            if (result) witness_.acknowledged(result->revision);
        }
        return all;
    }
    bool compact() {
        if (store_->revision() == store_->compacted_revision()) return true;
        const auto span = static_cast<uint64_t>(store_->revision() - store_->compacted_revision());
        const int64_t to =
            store_->compacted_revision() + 1 + static_cast<int64_t>(random_.below(span));
        return store_->compact(to).has_value();
    }
    bool lease() {
        auto lease = store_->grant(std::chrono::hours{1});
        if (!lease || !commit_some(*lease)) return false;
        return random_.chance(0.5) || store_->revoke(*lease).has_value();
    }
};

constexpr int kSteps = 16;

enum class Ending { power, process_then_power };

void crash_at(uint64_t seed, uint64_t step, Ending ending) {
    SimulatedDisk disk(seed * 1'000'003 + step);
    Witness witness;
    Workload workload(seed, disk, witness);
    disk.lose_power_at(step);
    workload.run(kSteps);
    if (ending == Ending::power)
        disk.restore_power();
    else
        disk.restart_process();
    for (int boots = 0; boots < 2; ++boots) { // the second boot meets what recovery itself wrote
        auto store = workload.reopen();
        if (!store) return;
        witness.compare(*store);
        if (testing::Test::HasFailure()) return;
        if (boots == 0) {
            auto next =
                store->commit_and_wait({{}, {Put{"1n", share("n")}, Put{"2n", share("n")}}, {}});
            ASSERT_TRUE(next) << next.error().to_string();
            ASSERT_EQ(next->revision, store->revision());
            Collector collector;
            auto watch = *store->watch("", next->revision, collector.callback());
            witness.see(collector.up_to(next->revision).at(0));
            witness.acknowledged(next->revision);
        }
        store.reset();
        disk.restore_power();
    }
}

void crash_everywhere(uint64_t seed, Ending ending) {
    uint64_t steps = 0;
    {
        SimulatedDisk disk(seed);
        Witness witness;
        Workload(seed, disk, witness).run(kSteps);
        steps = disk.steps();
    }
    ASSERT_GT(steps, 100u);
    for (uint64_t step = 0; step <= steps; ++step) {
        SCOPED_TRACE("seed " + std::to_string(seed) + ", power lost at step " +
                     std::to_string(step));
        crash_at(seed, step, ending);
        if (testing::Test::HasFailure()) return;
    }
}

class PowerFailure : public testing::Test {
protected:
    void SetUp() override { set_log_level(LogLevel::off); } // each failure is logged, and meant
    void TearDown() override { set_log_level(LogLevel::info); }
};

TEST_F(PowerFailure, AtEveryStepLosesNothingAcknowledgedAndReusesNoRevision) {
    for (uint64_t seed = 1; seed <= seeds(3); ++seed) {
        crash_everywhere(seed, Ending::power);
        if (HasFailure()) return;
    }
}

TEST_F(PowerFailure, AfterAKilledProcessLosesNothingThatTheNextOneShowed) {
    for (uint64_t seed = 1001; seed <= 1000 + seeds(2); ++seed) {
        crash_everywhere(seed, Ending::process_then_power);
        if (HasFailure()) return;
    }
}

TEST_F(PowerFailure, OfASyncStopsTheStoreForGoodAndItsRestartShowsNoAcknowledgedLoss) {
    SimulatedDisk disk(7);
    Witness witness;
    auto store = *open_sqlite_store({.path = "/db", .disk = &disk, .wal_bytes = 48 << 10});
    ASSERT_TRUE(store->commit_and_wait(put("a", "1")));
    disk.fail_next_sync();
    auto failed = store->commit_and_wait(put("a", "2"));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, Code::io);
    EXPECT_THAT(failed.error().to_string(), testing::HasSubstr("check the disk, then restart"));
    const uint64_t steps = disk.steps();
    EXPECT_EQ(store->commit_and_wait(put("a", "3")).error().code, Code::io);
    EXPECT_EQ(store->grant(std::chrono::hours{1}).error().code, Code::io);
    EXPECT_EQ(disk.steps(), steps) << "nothing is tried again";
    EXPECT_FALSE(store->health());
    EXPECT_EQ(all_at(*store), "a=1") << "reads go on";
    store.reset();
    disk.restore_power();
    store = *open_sqlite_store({.path = "/db", .disk = &disk, .wal_bytes = 48 << 10});
    EXPECT_EQ(all_at(*store), "a=1");
}

TEST_F(PowerFailure, OfNoKindButAFullDiskRefusesWritesAndRecoversOnceThereIsSpace) {
    SimulatedDisk disk(9);
    auto store = *open_sqlite_store({.path = "/db", .disk = &disk, .wal_bytes = 48 << 10});
    disk.set_capacity(256 << 10);
    std::optional<Error> full;
    int stored = 0;
    for (; stored < 200 && !full; ++stored) {
        auto done =
            store->commit_and_wait(put("k" + std::to_string(stored), std::string(4000, 'x')));
        if (!done) full = done.error();
    }
    ASSERT_TRUE(full);
    EXPECT_EQ(full->code, Code::exhausted);
    EXPECT_THAT(full->to_string(),
                testing::HasSubstr("the disk is full: free some space and try again"));
    EXPECT_TRUE(store->health());
    disk.set_capacity(UINT64_MAX);
    ASSERT_TRUE(store->commit_and_wait(put("after", "1")));
    store.reset();
    disk.restore_power();
    store = *open_sqlite_store({.path = "/db", .disk = &disk, .wal_bytes = 48 << 10});
    EXPECT_EQ(store->range({.key = "k", .range_end = "l", .count_only = true})->count, stored - 1);
    EXPECT_EQ(store->range({.key = "after"})->count, 1);
}

} // namespace
} // namespace cloudlet::store
