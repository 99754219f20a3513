#pragma once
// One thread's loop over descriptors, timers and functions posted from other threads. libuv (its
// poll, timer and async handles only) stands behind; no caller sees it.
//
// A loop belongs to the thread that runs it: watches and timers are made, changed and dropped there
// (before run() the creating thread counts as that thread). post() and stop() work from any thread.
// A callback may do anything to the loop, also drop its own watch.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"

namespace cloudlet::io {

/// What a watch waits for, and what it reports. `hangup` reports that the peer closed (at least)
/// its sending side, or that the descriptor is in error.
enum class Events : unsigned { none = 0, readable = 1, writable = 2, hangup = 4 };

constexpr Events operator|(Events a, Events b) {
    return static_cast<Events>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr Events operator&(Events a, Events b) {
    return static_cast<Events>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}
/// True when any event of `wanted` is in `events`.
constexpr bool has(Events events, Events wanted) { return (events & wanted) != Events::none; }

class EventLoop {
public:
    static Result<std::unique_ptr<EventLoop>> create();
    /// Drops all watches and timers (descriptors stay open) and the functions that never ran.
    ~EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    /// Serves events until stop(). The calling thread becomes the loop's thread.
    void run();
    /// Makes run() return after the callbacks in progress and everything posted before. Any thread.
    void stop();
    bool in_loop_thread() const;

    /// Runs `function` on the loop's thread, after what was posted earlier. Any thread; never
    /// blocks.
    void post(std::function<void()> function);
    /// Runs `function` on the loop's thread and waits for its end; at once when called there. When
    /// no thread runs the loop (not yet, or no longer) it runs on the calling thread.
    void call(std::function<void()> function);

    using TimerId = uint64_t; // never 0, never reused
    /// Runs `function` once after `delay` (rounded up to a millisecond). Loop thread.
    TimerId after(Duration delay, std::function<void()> function);
    /// Drops a timer; one that ran or never was is ignored. Loop thread.
    void cancel(TimerId timer);

    using WatchId = uint64_t; // never 0, never reused
    using WatchFunction = std::function<void(Events)>;
    /// Calls `function` whenever an event of `events` is there (level-triggered). Makes the
    /// descriptor non-blocking; the caller still owns it and must unwatch before closing it.
    /// One watch per descriptor. Error: the descriptor cannot be polled (a regular file). Loop
    /// thread.
    Result<WatchId> watch(int fd, Events events, WatchFunction function);
    /// Changes what is waited for; Events::none pauses. An unknown watch is ignored. Loop thread.
    void update(WatchId watch, Events events);
    /// The function is not called again, also not for events already seen. Loop thread.
    void unwatch(WatchId watch);

private:
    struct Impl;
    explicit EventLoop(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// A thread of its own that runs a loop from construction to destruction.
class LoopThread {
public:
    static Result<std::unique_ptr<LoopThread>> start(std::string name = "loop");
    /// Stops the loop and joins the thread. Not from the loop's own thread.
    ~LoopThread();
    EventLoop& loop();

private:
    struct Impl;
    explicit LoopThread(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace cloudlet::io
