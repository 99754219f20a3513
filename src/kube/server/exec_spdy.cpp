// exec over SPDY/3.1: one stream for each of error, stdin, stdout, stderr and resize, told by the
// header "streamtype" (Kubernetes remotecommand protocol v4; v5 is the same over SPDY). The command
// starts when all of them are open.

#include <mutex>

#include "cloudlet/io/event_loop.h"
#include "cloudlet/net/spdy.h"
#include "pod_streams.h"

namespace cloudlet::kube::server {

namespace {

constexpr std::chrono::seconds open_deadline{30};  // for the client to open its streams
constexpr std::chrono::seconds close_deadline{30}; // for the client to read the rest and hang up

using StreamPointer = std::shared_ptr<net::SpdyStream>;

class SpdyExec final : public ExecStreams, public std::enable_shared_from_this<SpdyExec> {
public:
    SpdyExec(Core& core, NodeConnector& connector, ContainerTarget target, ExecOptions options)
        : core_(core), connector_(connector), loop_(*core.options.loop), target_(std::move(target)),
          options_(std::move(options)) {}

    void begin(const std::shared_ptr<net::ByteStream>& stream) {
        auto self = shared_from_this();
        net::SpdySession::Handlers handlers;
        handlers.on_stream = [self](StreamPointer opened) { self->opened(std::move(opened)); };
        handlers.on_close = [self] { self->closed(); };
        auto session = net::SpdySession::serve(stream, std::move(handlers));
        {
            std::lock_guard lock(mutex_);
            session_ = session;
        }
        close_after(open_deadline, [](const SpdyExec& exec) { return !exec.started_; });
    }

    void set_handlers(ExecHandlers handlers) override {
        auto shared = std::make_shared<ExecHandlers>(std::move(handlers));
        bool gone = false;
        {
            std::lock_guard lock(mutex_);
            handlers_ = shared;
            gone = closed_;
        }
        if (gone) return loop_.post([self = shared_from_this()] { self->tell_closed(); });
        if (stdin_)
            stdin_->set_handlers({[shared](std::string_view bytes) {
                                      if (shared->on_stdin) shared->on_stdin(bytes);
                                  },
                                  [shared] {
                                      if (shared->on_stdin_end) shared->on_stdin_end();
                                  },
                                  {}});
        if (resize_)
            resize_->set_handlers(
                {[shared](std::string_view bytes) { resize(*shared, bytes); }, {}, {}});
    }
    bool write_stdout(std::string bytes) override { return stdout_ && stdout_->write(bytes); }
    bool write_stderr(std::string bytes) override { return stderr_ && stderr_->write(bytes); }
    size_t queued_bytes() const override {
        return (stdout_ ? stdout_->queued_bytes() : 0) + (stderr_ ? stderr_->queued_bytes() : 0);
    }
    void pause_stdin() override {
        if (stdin_) stdin_->pause_reading();
    }
    void resume_stdin() override {
        if (stdin_) stdin_->resume_reading();
    }
    void exit(int status) override { end(exit_status(status)); }
    void fail(Error error) override { end(from_error(error).to_status()); }

private:
    void opened(StreamPointer stream) {
        const std::string_view type = stream->headers().get("streamtype");
        {
            std::lock_guard lock(mutex_);
            StreamPointer* slot = type == "error"    ? &error_
                                  : type == "stdin"  ? &stdin_
                                  : type == "stdout" ? &stdout_
                                  : type == "stderr" ? &stderr_
                                  : type == "resize" ? &resize_
                                                     : nullptr;
            if (!slot || *slot || started_) return stream->reset();
            *slot = std::move(stream);
            const bool complete = error_ && (stdin_ || !options_.stdin_open) &&
                                  (stdout_ || !options_.stdout_open) &&
                                  (stderr_ || !options_.stderr_open) && (resize_ || !options_.tty);
            if (!complete) return;
            started_ = true;
        }
        start_on_worker(core_, connector_, target_, options_, shared_from_this());
    }
    static void resize(const ExecHandlers& handlers, std::string_view bytes) {
        auto size = codec::parse_json(bytes.substr(0, bytes.find('\n')));
        if (size && handlers.on_resize)
            handlers.on_resize(static_cast<uint16_t>((*size)["Width"].as_int()),
                               static_cast<uint16_t>((*size)["Height"].as_int()));
    }
    void end(const Json& status) {
        {
            std::lock_guard lock(mutex_);
            if (std::exchange(over_, true)) return;
        }
        if (stdout_) stdout_->close_write();
        if (stderr_) stderr_->close_write();
        if (error_) {
            error_->write(status.dump());
            error_->close_write();
        }
        close_after(close_deadline, [](const SpdyExec&) { return true; });
    }
    /// The client hangs up when it has read everything; one that does not is cut.
    void close_after(std::chrono::seconds delay, bool (*still)(const SpdyExec&)) {
        std::weak_ptr<SpdyExec> weak = weak_from_this();
        loop_.post([weak, delay, still, loop = &loop_] {
            loop->after(delay, [weak, still] {
                auto self = weak.lock();
                if (!self) return;
                std::shared_ptr<net::SpdySession> session;
                {
                    std::lock_guard lock(self->mutex_);
                    if (still(*self)) session = self->session_;
                }
                if (session) session->close();
            });
        });
    }
    void closed() {
        {
            std::lock_guard lock(mutex_);
            closed_ = true;
            session_.reset();
        }
        tell_closed();
    }
    void tell_closed() {
        std::shared_ptr<ExecHandlers> handlers;
        {
            std::lock_guard lock(mutex_);
            handlers.swap(handlers_);
        }
        if (handlers && handlers->on_close) handlers->on_close();
    }

    Core& core_;
    NodeConnector& connector_;
    io::EventLoop& loop_;
    const ContainerTarget target_;
    const ExecOptions options_;
    std::mutex mutex_;
    std::shared_ptr<net::SpdySession> session_;
    StreamPointer error_, stdin_, stdout_, stderr_, resize_; // fixed once started_
    bool started_ = false;
    bool over_ = false;
    bool closed_ = false;
    std::shared_ptr<ExecHandlers> handlers_;
};

std::string choose_protocol(const net::Request& request) {
    for (std::string_view wanted : {"v5.channel.k8s.io", "v4.channel.k8s.io"})
        if (request.headers.has_token("X-Stream-Protocol-Version", wanted))
            return std::string(wanted);
    return {};
}

} // namespace

Outcome<> exec_over_spdy(Core& core, NodeConnector& connector,
                         const std::shared_ptr<net::Exchange>& exchange,
                         const ContainerTarget& target, const ExecOptions& options) {
    const std::string protocol = choose_protocol(exchange->request());
    if (protocol.empty()) {
        Failure failure =
            forbidden(api::resources::pods, target.pod,
                      "unable to negotiate the stream protocol: offer v4.channel.k8s.io or "
                      "v5.channel.k8s.io");
        return refuse(std::move(failure));
    }
    auto stream = exchange->upgrade(101, {{"Connection", "Upgrade"},
                                          {"Upgrade", "SPDY/3.1"},
                                          {"X-Stream-Protocol-Version", protocol}});
    if (!stream) return refuse(from_error(stream.error()));
    std::make_shared<SpdyExec>(core, connector, target, options)->begin(*stream);
    return {};
}

} // namespace cloudlet::kube::server
