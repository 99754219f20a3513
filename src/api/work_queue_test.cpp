#include "cloudlet/api/work_queue.h"

#include <condition_variable>
#include <mutex>

namespace cloudlet::api {
namespace {

using Outcome = WorkQueue::Outcome;

/// Counts calls and lets a test wait for a number of them.
struct Calls {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<ObjectKey> keys;

    void note(const ObjectKey& key) {
        std::lock_guard lock(mutex);
        keys.push_back(key);
        changed.notify_all();
    }
    bool wait_for(size_t count) {
        std::unique_lock lock(mutex);
        return changed.wait_for(lock, std::chrono::seconds(20),
                                [&] { return keys.size() >= count; });
    }
    size_t count() {
        std::lock_guard lock(mutex);
        return keys.size();
    }
};

TEST(WorkQueue, WorksAKeyOnceHoweverOftenItWasAdded) {
    Calls calls;
    WorkQueue queue({.name = "test"}, [&](const ObjectKey& key) -> Result<Outcome> {
        calls.note(key);
        return Outcome{};
    });
    for (int i = 0; i < 10; ++i) queue.add({"ns", "a"});
    queue.add({"ns", "b"});
    queue.start();
    ASSERT_TRUE(calls.wait_for(2));
    queue.stop();
    EXPECT_THAT(calls.keys, testing::ElementsAre(ObjectKey{"ns", "a"}, ObjectKey{"ns", "b"}));
}

TEST(WorkQueue, LetsManyWorkersWaitForOneDelayThatOnlyOneOfThemEnds) {
    constexpr size_t enough = 3000;
    Calls calls;
    WorkQueue queue({.name = "test", .workers = 4}, [&](const ObjectKey& key) -> Result<Outcome> {
        calls.note(key);
        return Outcome{.requeue_after = std::chrono::microseconds(100)};
    });
    queue.start();
    for (const char* name : {"a", "b", "c"}) queue.add({"ns", name});
    EXPECT_TRUE(calls.wait_for(enough));
    queue.stop();
}

TEST(WorkQueue, WorksAKeyAgainThatWasAddedWhileWorkedButNeverTwiceAtOnce) {
    Calls calls;
    std::atomic<int> inside = 0, most = 0;
    WorkQueue* self = nullptr;
    WorkQueue queue({.name = "test", .workers = 4}, [&](const ObjectKey& key) -> Result<Outcome> {
        most = std::max(most.load(), ++inside);
        if (calls.count() < 50) self->add(key);
        --inside;
        calls.note(key);
        return Outcome{};
    });
    self = &queue;
    queue.start();
    queue.add({"", "only"});
    ASSERT_TRUE(calls.wait_for(50));
    queue.stop();
    EXPECT_EQ(most, 1);
}

TEST(WorkQueue, RetriesAFailureUntilItSucceeds) {
    Calls calls;
    WorkQueue queue({.name = "test", .first_retry = std::chrono::microseconds(10)},
                    [&](const ObjectKey& key) -> Result<Outcome> {
                        calls.note(key);
                        if (calls.count() < 4) return fail(Code::conflict, "again");
                        return Outcome{};
                    });
    queue.start();
    queue.add({"", "a"});
    ASSERT_TRUE(calls.wait_for(4));
    queue.stop();
    EXPECT_EQ(calls.count(), 4u);
}

TEST(WorkQueue, BringsBackAKeyThatAskedForIt) {
    Calls calls;
    WorkQueue queue({.name = "test"}, [&](const ObjectKey& key) -> Result<Outcome> {
        calls.note(key);
        return Outcome{.requeue_after = calls.count() < 3 ? Duration(std::chrono::microseconds(1))
                                                          : Duration{0}};
    });
    queue.start();
    queue.add_after({"", "a"}, std::chrono::microseconds(1));
    EXPECT_TRUE(calls.wait_for(3));
}

TEST(WorkQueue, StopsWhileKeysWaitLong) {
    WorkQueue queue({.name = "test", .workers = 3},
                    [](const ObjectKey&) -> Result<Outcome> { return Outcome{}; });
    queue.start();
    queue.add_after({"", "a"}, std::chrono::hours(1));
    queue.stop();
    EXPECT_EQ(queue.depth(), 0u);
}

} // namespace
} // namespace cloudlet::api
