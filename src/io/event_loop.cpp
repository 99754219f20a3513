#include "cloudlet/io/event_loop.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <pthread.h>
#include <set>
#include <thread>
#include <unordered_map>
#include <uv.h>
#include <vector>

#include "cloudlet/base/check.h"
#include "cloudlet/io/fd.h"

namespace cloudlet::io {
namespace {

using Function = std::function<void()>;

int to_uv(Events events) {
    int flags = 0;
    if (has(events, Events::readable)) flags |= UV_READABLE;
    if (has(events, Events::writable)) flags |= UV_WRITABLE;
    if (has(events, Events::hangup)) flags |= UV_DISCONNECT;
    return flags;
}

Events from_uv(int flags) {
    Events events = Events::none;
    if (flags & UV_READABLE) events = events | Events::readable;
    if (flags & UV_WRITABLE) events = events | Events::writable;
    if (flags & UV_DISCONNECT) events = events | Events::hangup;
    return events;
}

} // namespace

/// libuv's handles and our tables. One uv_timer_t serves all timers through an ordered set; a
/// uv_poll_t lives until its close callback, which may come after the watch was dropped.
struct EventLoop::Impl {
    struct Watch {
        uv_poll_t handle;
        Impl* owner;
        WatchId id;
        Events events;
        WatchFunction function;
    };
    struct Timer {
        MonotonicTime due;
        Function function;
    };

    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t clock;

    std::atomic<std::thread::id> owner{std::this_thread::get_id()};
    std::mutex mutex;
    std::condition_variable state_changed;
    std::vector<Function> posted; // under mutex
    bool running = false;         // under mutex
    bool stopping = false;        // under mutex

    std::unordered_map<WatchId, Watch*> watches;
    std::unordered_map<TimerId, Timer> timers;
    std::set<std::pair<MonotonicTime, TimerId>> due;
    uint64_t next_id = 1;

    Result<> open();
    void run();
    void run_posted();
    bool finish_run();
    void fire_timers();
    void arm_clock();
    static void on_poll(uv_poll_t* handle, int status, int flags);
};

Result<> EventLoop::Impl::open() {
    int error = uv_loop_init(&loop);
    if (error) return fail_errno("make an event loop", -error);
    uv_timer_init(&loop, &clock);
    clock.data = this;
    wake.data = this;
    error = uv_async_init(
        &loop, &wake, [](uv_async_t* handle) { static_cast<Impl*>(handle->data)->run_posted(); });
    if (error) {
        uv_close(reinterpret_cast<uv_handle_t*>(&clock), nullptr);
        uv_run(&loop, UV_RUN_DEFAULT);
        uv_loop_close(&loop);
        return fail_errno("make an event loop", -error);
    }
    return {};
}

void EventLoop::Impl::run() {
    {
        std::lock_guard lock(mutex);
        check(!running, "an event loop is run by one thread at a time");
        owner = std::this_thread::get_id();
        running = true;
    }
    do {
        run_posted();
        {
            std::lock_guard lock(mutex);
            if (stopping) continue;
        }
        uv_run(&loop, UV_RUN_DEFAULT);
    } while (!finish_run());
}

/// True when the loop may end: asked to stop, and nothing posted is left behind.
bool EventLoop::Impl::finish_run() {
    std::lock_guard lock(mutex);
    if (!stopping || !posted.empty()) return false;
    running = false;
    stopping = false;
    state_changed.notify_all();
    return true;
}

void EventLoop::Impl::run_posted() {
    std::vector<Function> batch;
    {
        std::lock_guard lock(mutex);
        batch.swap(posted);
    }
    for (auto& function : batch) {
        function();
        function = nullptr;
    }
    std::lock_guard lock(mutex);
    if (stopping) uv_stop(&loop);
}

void EventLoop::Impl::on_poll(uv_poll_t* handle, int status, int flags) {
    auto* watch = static_cast<Watch*>(handle->data);
    Impl& self = *watch->owner;
    WatchId id = watch->id;
    Events seen = from_uv(flags);
    // libuv stops a handle in error; the owner learns the reason from its next read or write.
    if (status < 0) seen = Events::readable | Events::writable | Events::hangup;
    // The callback may unwatch: the function must outlive the call, so it is moved out for its
    // time.
    WatchFunction function = std::move(watch->function);
    function(seen);
    auto found = self.watches.find(id);
    if (found == self.watches.end()) return;
    found->second->function = std::move(function);
    if (status < 0 && watch->events != Events::none)
        uv_poll_start(handle, to_uv(watch->events), on_poll);
}

void EventLoop::Impl::fire_timers() {
    auto now = system_clock().monotonic();
    std::vector<TimerId> ready;
    for (const auto& [time, id] : due) {
        if (time > now) break;
        ready.push_back(id);
    }
    for (TimerId id : ready) {
        auto found = timers.find(id);
        if (found == timers.end()) continue; // an earlier one of this batch cancelled it
        Timer timer = std::move(found->second);
        timers.erase(found);
        due.erase({timer.due, id});
        timer.function();
    }
    arm_clock();
}

void EventLoop::Impl::arm_clock() {
    if (due.empty()) {
        uv_timer_stop(&clock);
        return;
    }
    auto left = std::chrono::ceil<std::chrono::milliseconds>(due.begin()->first -
                                                             system_clock().monotonic());
    uv_update_time(&loop);
    uv_timer_start(
        &clock, [](uv_timer_t* handle) { static_cast<Impl*>(handle->data)->fire_timers(); },
        static_cast<uint64_t>(std::max<int64_t>(0, left.count())), 0);
}

EventLoop::EventLoop(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
    ignore_broken_pipes();
    auto impl = std::make_unique<Impl>();
    TRY(impl->open());
    return std::unique_ptr<EventLoop>(new EventLoop(std::move(impl)));
}

EventLoop::~EventLoop() {
    impl_->owner = std::this_thread::get_id();
    // What the functions own may post, cancel or unwatch while it is destroyed: the tables still
    // stand.
    while (!impl_->posted.empty() || !impl_->timers.empty() || !impl_->watches.empty()) {
        auto posted = std::exchange(impl_->posted, {});
        posted.clear();
        auto timers = std::exchange(impl_->timers, {});
        timers.clear();
        while (!impl_->watches.empty()) unwatch(impl_->watches.begin()->first);
    }
    uv_close(reinterpret_cast<uv_handle_t*>(&impl_->wake), nullptr);
    uv_close(reinterpret_cast<uv_handle_t*>(&impl_->clock), nullptr);
    while (uv_loop_alive(&impl_->loop)) uv_run(&impl_->loop, UV_RUN_DEFAULT); // close callbacks
    check(uv_loop_close(&impl_->loop) == 0, "an event loop ends without handles");
}

void EventLoop::run() { impl_->run(); }

void EventLoop::stop() {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
    uv_async_send(&impl_->wake);
}

bool EventLoop::in_loop_thread() const { return impl_->owner.load() == std::this_thread::get_id(); }

void EventLoop::post(Function function) {
    std::lock_guard lock(impl_->mutex);
    impl_->posted.push_back(std::move(function));
    if (impl_->posted.size() == 1) uv_async_send(&impl_->wake);
}

void EventLoop::call(Function function) {
    std::unique_lock lock(impl_->mutex);
    if (!impl_->running) {
        auto before = impl_->owner.exchange(std::this_thread::get_id());
        lock.unlock();
        function();
        impl_->owner = before;
        return;
    }
    if (in_loop_thread()) {
        lock.unlock();
        function();
        return;
    }
    bool done = false;
    impl_->posted.push_back([&] {
        function();
        std::lock_guard inner(impl_->mutex);
        done = true;
        impl_->state_changed.notify_all();
    });
    uv_async_send(&impl_->wake);
    impl_->state_changed.wait(lock, [&] { return done; });
}

EventLoop::TimerId EventLoop::after(Duration delay, Function function) {
    check(in_loop_thread(), "timers are made on the loop's thread");
    TimerId id = impl_->next_id++;
    auto now = system_clock().monotonic();
    // A delay like Duration::max() must not wrap around.
    auto time = delay > std::chrono::hours(24 * 3650) ? MonotonicTime::max()
                                                      : now + std::max(delay, Duration::zero());
    impl_->due.emplace(time, id);
    impl_->timers.emplace(id, Impl::Timer{time, std::move(function)});
    if (impl_->due.begin()->second == id && time != MonotonicTime::max()) impl_->arm_clock();
    return id;
}

void EventLoop::cancel(TimerId timer) {
    auto found = impl_->timers.find(timer);
    if (found == impl_->timers.end()) return;
    check(in_loop_thread(), "timers are cancelled on the loop's thread");
    impl_->due.erase({found->second.due, timer});
    Function dropped = std::move(found->second.function); // destroyed last: it may own what cancels
    impl_->timers.erase(found);
}

Result<EventLoop::WatchId> EventLoop::watch(int fd, Events events, WatchFunction function) {
    check(in_loop_thread(), "watches are made on the loop's thread");
    auto watch = std::make_unique<Impl::Watch>();
    watch->owner = impl_.get();
    watch->id = impl_->next_id++;
    watch->events = events;
    watch->function = std::move(function);
    int error = uv_poll_init(&impl_->loop, &watch->handle, fd);
    if (error) return fail_errno("watch a descriptor", -error);
    watch->handle.data = watch.get();
    if (events != Events::none) {
        error = uv_poll_start(&watch->handle, to_uv(events), Impl::on_poll);
        check(error == 0, "a fresh poll handle starts");
    }
    WatchId id = watch->id;
    impl_->watches.emplace(id, watch.release());
    return id;
}

void EventLoop::update(WatchId id, Events events) {
    check(in_loop_thread(), "watches are changed on the loop's thread");
    auto found = impl_->watches.find(id);
    if (found == impl_->watches.end() || found->second->events == events) return;
    found->second->events = events;
    if (events == Events::none) {
        uv_poll_stop(&found->second->handle);
    } else {
        uv_poll_start(&found->second->handle, to_uv(events), Impl::on_poll);
    }
}

void EventLoop::unwatch(WatchId id) {
    auto found = impl_->watches.find(id);
    if (found == impl_->watches.end()) return;
    check(in_loop_thread(), "watches are dropped on the loop's thread");
    auto* watch = found->second;
    impl_->watches.erase(found);
    uv_poll_stop(&watch->handle);
    uv_close(reinterpret_cast<uv_handle_t*>(&watch->handle),
             [](uv_handle_t* handle) { delete static_cast<Impl::Watch*>(handle->data); });
    WatchFunction dropped = std::move(watch->function);
}

struct LoopThread::Impl {
    std::unique_ptr<EventLoop> loop;
    std::thread thread;
};

LoopThread::LoopThread(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<LoopThread>> LoopThread::start(std::string name) {
    auto impl = std::make_unique<Impl>();
    impl->loop = TRY(EventLoop::create());
    std::mutex mutex;
    std::condition_variable started;
    bool runs = false;
    impl->loop->post([&] {
        std::lock_guard lock(mutex);
        runs = true;
        started.notify_one();
    });
    impl->thread = std::thread([loop = impl->loop.get(), name = name.substr(0, 15)] {
        pthread_setname_np(pthread_self(), name.c_str());
        loop->run();
    });
    std::unique_lock lock(mutex);
    started.wait(lock, [&] { return runs; });
    return std::unique_ptr<LoopThread>(new LoopThread(std::move(impl)));
}

LoopThread::~LoopThread() {
    impl_->loop->stop();
    impl_->thread.join();
}

EventLoop& LoopThread::loop() { return *impl_->loop; }

} // namespace cloudlet::io
