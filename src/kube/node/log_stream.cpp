#include "log_stream.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <mutex>

#include "cloudlet/io/file.h"
#include "log_reader.h"

namespace cloudlet::kube::node {

using namespace std::chrono_literals;

namespace {

constexpr size_t most_queued = 1 << 20; // at a reader slower than the log
constexpr size_t one_write = 64 << 10;

} // namespace

/// `busy` and `again` make wake-ups while a worker reads count once; the reader is the worker's
/// alone.
struct LogStream::State : std::enable_shared_from_this<State> {
    State(io::EventLoop& the_loop, io::WorkerPool& workers) : loop(the_loop), pool(workers) {}

    io::EventLoop& loop;
    io::WorkerPool& pool;
    std::string path;
    LogOptions options;
    std::shared_ptr<LogSink> sink;
    std::function<bool()> is_live;
    std::optional<LogReader> reader;
    bool lived = true; // what is_live() said before the last read

    std::mutex mutex;
    bool busy = false, again = false, closed = false;

    io::UniqueFd inotify; // loop thread
    io::EventLoop::WatchId watch = 0;

    void wake() {
        {
            std::lock_guard lock(mutex);
            if (closed) return;
            again = true;
            if (busy) return;
            busy = true;
        }
        if (pool.submit([self = shared_from_this()] { self->work(); })) return;
        sink->fail(
            {.code = Code::unavailable, .message = "the node is busy; try again", .context = {}});
        close();
    }

    void work() {
        while (true) {
            {
                std::lock_guard lock(mutex);
                if (closed || !again) {
                    busy = false;
                    return;
                }
                again = false;
            }
            pump();
        }
    }

    /// Reads and writes until there is nothing more now.
    void pump() {
        if (!reader) {
            auto opened = LogReader::open(path, options);
            if (!opened) return end(opened.error());
            reader = std::move(*opened);
        }
        lived = options.follow && is_live();
        while (true) {
            if (sink->queued_bytes() > most_queued) return later(20ms);
            std::string bytes;
            auto more = reader->read(bytes, one_write);
            if (!more) return end(more.error());
            if (!bytes.empty() && !sink->write(std::move(bytes))) return close();
            if (reader->finished()) return end();
            if (*more) continue;
            if (!lived) return end();
            return;
        }
    }

    void end() {
        sink->finish();
        close();
    }
    void end(Error error) {
        sink->fail(std::move(error));
        close();
    }

    void later(Duration delay) {
        loop.post([self = shared_from_this(), delay] {
            self->loop.after(delay, [self] { self->wake(); });
        });
    }

    /// The folder is watched: it tells of writes, and of a new file after a rotation.
    void follow() {
        inotify.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
        const std::string folder = path.substr(0, path.rfind('/'));
        const bool watched =
            inotify && ::inotify_add_watch(inotify.get(), folder.c_str(),
                                           IN_MODIFY | IN_CREATE | IN_MOVED_TO) >= 0;
        if (!watched) return end(fail_errno("inotify " + folder).value());
        auto id = loop.watch(inotify.get(), io::Events::readable,
                             [self = shared_from_this()](io::Events) {
                                 char events[4096];
                                 while (::read(self->inotify.get(), events, sizeof events) > 0) {
                                 }
                                 self->wake();
                             });
        if (id) watch = *id;
    }

    void close() {
        {
            std::lock_guard lock(mutex);
            if (std::exchange(closed, true)) return;
        }
        loop.post([self = shared_from_this()] {
            if (self->watch) self->loop.unwatch(std::exchange(self->watch, 0));
            self->inotify.reset();
        });
    }
};

std::shared_ptr<LogStream> LogStream::start(io::EventLoop& loop, io::WorkerPool& pool,
                                            std::string path, LogOptions options,
                                            std::shared_ptr<LogSink> sink,
                                            std::function<bool()> is_live) {
    auto state = std::make_shared<State>(loop, pool);
    state->path = std::move(path);
    state->options = options;
    state->sink = sink;
    state->is_live = std::move(is_live);
    loop.post([state] {
        if (state->options.follow) state->follow();
        state->wake();
    });
    sink->on_close([weak = std::weak_ptr(state)] {
        if (auto alive = weak.lock()) alive->close();
    });
    return std::make_shared<LogStream>(state);
}

void LogStream::wake() { state_->wake(); }

bool LogStream::over() const {
    std::lock_guard lock(state_->mutex);
    return state_->closed;
}

} // namespace cloudlet::kube::node
