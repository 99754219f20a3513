#include "cloudlet/io/event_loop.h"

#include <future>
#include <thread>

#include <csignal>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cloudlet/io/fd.h"
#include "cloudlet/io/file.h"
#include "cloudlet/io/signals.h"
#include "test_support.h"

namespace cloudlet::io {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<EventLoop> make_loop() { return std::move(*EventLoop::create()); }

std::pair<UniqueFd, UniqueFd> make_sockets() {
    int ends[2];
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "a socket pair");
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

TEST(EventLoop, RunsPostedFunctionsInOrderAndThenStops) {
    auto loop = make_loop();
    std::vector<int> order;
    loop->post([&] { order.push_back(1); });
    loop->post([&] {
        order.push_back(2);
        loop->post([&] { order.push_back(3); });
        loop->stop();
    });
    loop->run();
    EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(EventLoop, RunsAgainAfterAStop) {
    auto loop = make_loop();
    int runs = 0;
    for (int round = 0; round < 3; ++round) {
        loop->post([&] { ++runs; });
        loop->after(0ns, [&] { loop->stop(); });
        loop->run();
    }
    EXPECT_EQ(runs, 3);
}

TEST(EventLoop, FiresTimersInOrderOfTheirTimeAndNotTheCancelledOnes) {
    auto loop = make_loop();
    std::string order;
    EventLoop::TimerId dropped = 0;
    loop->after(8ms, [&] {
        order += "c";
        loop->stop();
    });
    loop->after(2ms, [&] {
        order += "a";
        loop->cancel(dropped);
    });
    loop->after(4ms, [&] { order += "b"; });
    dropped = loop->after(4ms, [&] { order += "!"; });
    loop->run();
    EXPECT_EQ(order, "abc");
}

TEST(EventLoop, KeepsATimerThatIsDueInAnotherAge) {
    auto loop = make_loop();
    auto never = loop->after(Duration::max(), [] { FAIL(); });
    loop->after(1ms, [&] { loop->stop(); });
    loop->run();
    loop->cancel(never);
}

TEST(EventLoop, LetsATimerCancelOneOfTheSameInstant) {
    auto loop = make_loop();
    EventLoop::TimerId first = 0, second = 0;
    int fired = 0;
    first = loop->after(1ms, [&] {
        ++fired;
        loop->cancel(second);
    });
    second = loop->after(1ms, [&] {
        ++fired;
        loop->cancel(first);
    });
    loop->after(5ms, [&] { loop->stop(); });
    loop->run();
    EXPECT_EQ(fired, 1);
}

TEST(EventLoop, ReportsWhatAWatchWaitsFor) {
    auto loop = make_loop();
    auto [ours, theirs] = make_sockets();
    std::string seen;
    EventLoop::WatchId watch = 0;
    watch = *loop->watch(ours.get(), Events::writable, [&, fd = ours.get()](Events events) {
        if (has(events, Events::writable)) {
            seen += "w";
            loop->update(watch, Events::readable | Events::hangup);
            ASSERT_EQ(::write(theirs.get(), "x", 1), 1);
            return;
        }
        char byte;
        ssize_t got = ::read(fd, &byte, 1);
        if (got == 1) {
            seen += "r";
            theirs.reset();
        } else {
            seen += has(events, Events::hangup) ? "h" : "?";
            loop->unwatch(watch);
            loop->stop();
        }
    });
    loop->run();
    EXPECT_EQ(seen, "wrh");
}

TEST(EventLoop, AWatchMayDropItselfAndItsDescriptor) {
    auto loop = make_loop();
    auto [ours, theirs] = make_sockets();
    auto held = std::make_shared<UniqueFd>(std::move(ours));
    auto witness = std::weak_ptr(held);
    EventLoop::WatchId watch = 0;
    watch = *loop->watch(held->get(), Events::readable, [&, held](Events) mutable {
        loop->unwatch(watch);
        held.reset();
        loop->stop();
    });
    held.reset();
    ASSERT_EQ(::write(theirs.get(), "x", 1), 1);
    loop->run();
    EXPECT_TRUE(witness.expired());
}

TEST(EventLoop, DoesNotCallAWatchThatAnotherOneDroppedInTheSameRound) {
    auto loop = make_loop();
    UniqueFd first(::eventfd(1, EFD_CLOEXEC)), second(::eventfd(1, EFD_CLOEXEC));
    EventLoop::WatchId ids[2] = {};
    int calls = 0;
    auto drop_both = [&](Events) {
        ++calls;
        for (auto id : ids) loop->unwatch(id);
        loop->after(2ms, [&] { loop->stop(); });
    };
    ids[0] = *loop->watch(first.get(), Events::readable, drop_both);
    ids[1] = *loop->watch(second.get(), Events::readable, drop_both);
    loop->run();
    EXPECT_EQ(calls, 1);
}

TEST(EventLoop, RefusesToWatchARegularFile) {
    auto loop = make_loop();
    TemporaryFolder folder;
    ASSERT_TRUE(write_file_atomic(folder / "file", "x"));
    auto fd = open_file(folder / "file", O_RDONLY);
    EXPECT_FALSE(loop->watch(fd->get(), Events::readable, [](Events) {}));
}

TEST(EventLoop, DropsWhatItHoldsWhenItEnds) {
    auto token = std::make_shared<int>(1);
    auto loop = make_loop();
    UniqueFd event(::eventfd(0, EFD_CLOEXEC));
    loop->post([token] {});
    loop->after(1h, [token] {});
    ASSERT_TRUE(loop->watch(event.get(), Events::readable, [token](Events) {}));
    EXPECT_EQ(token.use_count(), 4);
    loop.reset();
    EXPECT_EQ(token.use_count(), 1);
}

TEST(LoopThread, CallRunsThereAndReturnsHere) {
    auto thread = std::move(*LoopThread::start("a-loop-with-a-long-name"));
    std::thread::id there;
    bool in_loop = false;
    thread->loop().call([&] {
        there = std::this_thread::get_id();
        in_loop = thread->loop().in_loop_thread();
        thread->loop().call([&] { EXPECT_EQ(std::this_thread::get_id(), there); });
    });
    EXPECT_NE(there, std::this_thread::get_id());
    EXPECT_TRUE(in_loop);
    EXPECT_FALSE(thread->loop().in_loop_thread());
}

TEST(LoopThread, ServesPostsOfManyThreadsAndEachThreadsInOrder) {
    constexpr int threads = 4, posts = 5000;
    std::vector<int> last(threads, -1);
    bool ordered = true;
    int total = 0;
    {
        auto thread = std::move(*LoopThread::start());
        std::vector<std::thread> writers;
        for (int writer = 0; writer < threads; ++writer) {
            writers.emplace_back([&, writer] {
                for (int i = 0; i < posts; ++i) {
                    thread->loop().post([&, writer, i] {
                        ordered = ordered && last[static_cast<size_t>(writer)] == i - 1;
                        last[static_cast<size_t>(writer)] = i;
                        ++total;
                    });
                }
            });
        }
        for (auto& writer : writers) writer.join();
    }
    EXPECT_EQ(total, threads * posts);
    EXPECT_TRUE(ordered);
}

TEST(LoopThread, CallsThatRaceWithTheEndAllRun) {
    for (int round = 0; round < 50; ++round) {
        auto loop = make_loop();
        std::thread runner([&] { loop->run(); });
        std::atomic<int> ran = 0;
        std::thread caller([&] {
            for (int i = 0; i < 20; ++i) loop->call([&] { ++ran; });
        });
        loop->stop();
        caller.join();
        loop->stop();
        runner.join();
        EXPECT_EQ(ran, 20);
    }
}

TEST(SignalWatch, TurnsASignalIntoACallOnTheLoop) {
    auto loop = make_loop();
    int seen = 0;
    auto watch = SignalWatch::start(*loop, {SIGUSR1}, [&](int signal) {
        seen = signal;
        loop->stop();
    });
    ASSERT_TRUE(watch) << watch.error().to_string();
    pthread_kill(pthread_self(), SIGUSR1);
    loop->run();
    EXPECT_EQ(seen, SIGUSR1);
    watch->reset();
}

} // namespace
} // namespace cloudlet::io
