#include "exec_stream.h"

#include <unistd.h>

#include <string>

namespace cloudlet::kube::node {

using namespace std::chrono_literals;

namespace {

constexpr size_t most_queued = 1 << 20;

/// Everything happens on the loop thread. Each watch holds the object; closing the watches frees
/// it.
class Pump : public std::enable_shared_from_this<Pump> {
public:
    Pump(io::EventLoop& loop, std::shared_ptr<engine::Exec> exec,
         std::shared_ptr<ExecStreams> streams)
        : loop_(loop), exec_(std::move(exec)), streams_(std::move(streams)) {}

    void begin() {
        if (exec_->terminal) {
            out_.fd = std::move(exec_->terminal);
            in_fd_ = out_.fd.get();
        } else {
            out_.fd = std::move(exec_->stdout_reader);
            err_.fd = std::move(exec_->stderr_reader);
            err_.is_stderr = true;
            in_ = std::move(exec_->stdin_writer);
            in_fd_ = in_.get();
        }
        for (auto* source : {&out_, &err_}) listen(*source);
        if (in_) watch_in();
        auto self = shared_from_this();
        auto on_loop = [self](auto function) {
            self->loop_.post([self, function = std::move(function)] { function(*self); });
        };
        streams_->set_handlers(
            {.on_stdin =
                 [on_loop](std::string_view bytes) {
                     on_loop([text = std::string(bytes)](Pump& pump) { pump.take_input(text); });
                 },
             .on_stdin_end = [on_loop] { on_loop([](Pump& pump) { pump.end_input(); }); },
             .on_resize =
                 [on_loop](uint16_t columns, uint16_t rows) {
                     on_loop([=](Pump& pump) { pump.resize(rows, columns); });
                 },
             .on_close = [on_loop] { on_loop([](Pump& pump) { pump.close(); }); }});
        exec_->on_exit([self](int code) { self->exited(code); });
    }

private:
    struct Source {
        io::UniqueFd fd;
        io::EventLoop::WatchId watch = 0;
        bool is_stderr = false;
    };

    void listen(Source& source) {
        if (!source.fd) return;
        auto interest = io::Events::readable | io::Events::hangup;
        const bool terminal_input = &source == &out_ && in_fd_ == source.fd.get();
        if (terminal_input && !input_.empty()) interest = interest | io::Events::writable;
        auto id = loop_.watch(source.fd.get(), interest,
                              [self = shared_from_this(), &source](io::Events events) {
                                  if (has(events, io::Events::writable)) self->write_input();
                                  if (has(events, io::Events::readable | io::Events::hangup))
                                      self->forward(source);
                              });
        if (id) source.watch = *id;
    }

    void watch_in() {
        auto id = loop_.watch(in_.get(), io::Events::none,
                              [self = shared_from_this()](io::Events) { self->write_input(); });
        if (id) in_watch_ = *id;
    }

    /// Reads what is there and hands it on; a slow client pauses the reading.
    void forward(Source& source) {
        if (!source.fd) return;
        if (!exit_ && streams_->queued_bytes() > most_queued) {
            loop_.update(source.watch, io::Events::none);
            loop_.after(20ms, [self = shared_from_this(), &source] {
                if (source.watch) self->loop_.update(source.watch, self->interest_of(source));
            });
            return;
        }
        char buffer[32 << 10];
        const ssize_t count = ::read(source.fd.get(), buffer, sizeof buffer);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (count <= 0) return drop(source); // the end; a terminal says EIO
        const std::string bytes(buffer, static_cast<size_t>(count));
        const bool alive =
            source.is_stderr ? streams_->write_stderr(bytes) : streams_->write_stdout(bytes);
        if (!alive) close();
    }

    io::Events interest_of(const Source& source) const {
        auto interest = io::Events::readable | io::Events::hangup;
        const bool terminal_input = &source == &out_ && !in_ && !input_.empty();
        return terminal_input ? interest | io::Events::writable : interest;
    }

    void drop(Source& source) {
        if (source.watch) loop_.unwatch(std::exchange(source.watch, 0));
        if (in_fd_ == source.fd.get()) in_fd_ = -1;
        source.fd.reset();
    }

    void take_input(const std::string& bytes) {
        if (in_fd_ < 0) return;
        input_ += bytes;
        write_input();
        if (input_.size() > most_queued && !std::exchange(paused_, true)) streams_->pause_stdin();
    }

    void end_input() {
        input_ended_ = true;
        if (input_.empty()) close_input();
    }

    void write_input() {
        while (in_fd_ >= 0 && !input_.empty()) {
            const ssize_t count = ::write(in_fd_, input_.data(), input_.size());
            if (count < 0 && errno == EINTR) continue;
            if (count < 0 && errno != EAGAIN) { // nobody reads any more
                input_.clear();
                close_input();
                return;
            }
            if (count < 0) break;
            input_.erase(0, static_cast<size_t>(count));
        }
        if (input_.size() < most_queued / 2 && std::exchange(paused_, false))
            streams_->resume_stdin();
        if (input_.empty() && input_ended_) return close_input();
        if (in_) loop_.update(in_watch_, input_.empty() ? io::Events::none : io::Events::writable);
        if (!in_ && out_.watch) loop_.update(out_.watch, interest_of(out_));
    }

    void close_input() {
        if (in_) {
            loop_.unwatch(std::exchange(in_watch_, 0));
            in_.reset();
            in_fd_ = -1;
        } else if (in_fd_ >= 0 && exec_) { // a terminal has no half close: ^D says it
            const char end_of_transmission = 4;
            (void)!::write(in_fd_, &end_of_transmission, 1);
        }
    }

    void resize(uint16_t rows, uint16_t columns) {
        if (!out_.fd || !exec_) return;
        // The descriptor was taken over: lend it for the call.
        exec_->terminal = std::move(out_.fd);
        (void)exec_->resize(rows, columns);
        out_.fd = std::move(exec_->terminal);
    }

    void exited(int code) {
        exit_ = code;
        // What was written before the end is still in the pipes.
        for (auto* source : {&out_, &err_}) {
            for (int i = 0; source->fd && i < 1024; ++i) {
                const auto before = delivered_;
                drain_once(*source);
                if (before == delivered_) break;
            }
        }
        close();
        std::exchange(streams_, nullptr)->exit(code); // the streams hold us by their handlers
    }

    void drain_once(Source& source) {
        char buffer[32 << 10];
        const ssize_t count = ::read(source.fd.get(), buffer, sizeof buffer);
        if (count <= 0) return;
        delivered_ += static_cast<size_t>(count);
        std::string bytes(buffer, static_cast<size_t>(count));
        source.is_stderr ? streams_->write_stderr(std::move(bytes))
                         : streams_->write_stdout(std::move(bytes));
    }

    void close() {
        auto keep = shared_from_this();
        drop(out_);
        drop(err_);
        if (in_watch_) loop_.unwatch(std::exchange(in_watch_, 0));
        in_.reset();
        in_fd_ = -1;
        input_.clear();
    }

    io::EventLoop& loop_;
    std::shared_ptr<engine::Exec> exec_;
    std::shared_ptr<ExecStreams> streams_;
    Source out_, err_;
    io::UniqueFd in_;
    int in_fd_ = -1; // where input goes: in_, or the terminal in out_
    io::EventLoop::WatchId in_watch_ = 0;
    std::string input_;
    bool input_ended_ = false, paused_ = false;
    std::optional<int> exit_;
    size_t delivered_ = 0;
};

} // namespace

void stream_exec(io::EventLoop& loop, std::shared_ptr<engine::Exec> exec,
                 std::shared_ptr<ExecStreams> streams) {
    loop.post([&loop, exec = std::move(exec), streams = std::move(streams)] {
        std::make_shared<Pump>(loop, exec, streams)->begin();
    });
}

} // namespace cloudlet::kube::node
