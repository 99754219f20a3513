#include "cloudlet/io/worker_pool.h"

#include <future>
#include <thread>

namespace cloudlet::io {
namespace {

TEST(WorkerPool, RunsWhatIsSubmittedOnItsThreads) {
    WorkerPool pool("test", 2, 100);
    std::promise<std::thread::id> done;
    ASSERT_TRUE(pool.submit([&] { done.set_value(std::this_thread::get_id()); }));
    EXPECT_NE(done.get_future().get(), std::this_thread::get_id());
}

TEST(WorkerPool, RefusesWorkBeyondItsQueue) {
    WorkerPool pool("test", 1, 2);
    std::promise<void> entered, release;
    ASSERT_TRUE(pool.submit([&, gate = release.get_future().share()] {
        entered.set_value();
        gate.wait();
    }));
    entered.get_future().wait();
    EXPECT_TRUE(pool.submit([] {}));
    EXPECT_TRUE(pool.submit([] {}));
    EXPECT_FALSE(pool.submit([] {}));
    EXPECT_EQ(pool.queued(), 2u);
    release.set_value();
}

TEST(WorkerPool, FinishesTheQueueWhenStoppedAndThenRefuses) {
    std::atomic<int> ran = 0;
    WorkerPool pool("test", 3, 1000);
    for (int i = 0; i < 500; ++i) ASSERT_TRUE(pool.submit([&] { ++ran; }));
    pool.stop();
    EXPECT_EQ(ran, 500);
    EXPECT_FALSE(pool.submit([] {}));
}

TEST(WorkerPool, MayGoAsSoonAsWhatAnotherThreadSubmittedHasRun) {
    for (int round = 0; round < 200; ++round) {
        auto pool = std::make_unique<WorkerPool>("test", 1, 10);
        std::promise<void> ran;
        std::thread submitter(
            [&ran, raw = pool.get()] { EXPECT_TRUE(raw->submit([&ran] { ran.set_value(); })); });
        ran.get_future().wait();
        pool.reset(); // perhaps before submit() has returned
        submitter.join();
    }
}

TEST(WorkerPool, LetsAFunctionSubmitTheNext) {
    WorkerPool pool("test", 1, 10);
    std::promise<bool> second;
    ASSERT_TRUE(pool.submit([&] {
        if (!pool.submit([&] { second.set_value(true); })) second.set_value(false);
    }));
    EXPECT_TRUE(second.get_future().get());
}

} // namespace
} // namespace cloudlet::io
