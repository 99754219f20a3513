// exec over WebSocket: the first byte of each message names the channel (Kubernetes remotecommand
// subprotocols v4.channel.k8s.io and v5.channel.k8s.io; v5 adds the half close of a channel).

#include <atomic>
#include <memory>
#include <vector>

#include "cloudlet/io/event_loop.h"
#include "cloudlet/net/websocket.h"
#include "pod_streams.h"

namespace cloudlet::kube::server {

namespace {

enum Channel : unsigned char {
    stdin_channel = 0,
    stdout_channel = 1,
    stderr_channel = 2,
    error_channel = 3,
    resize_channel = 4,
    close_channel = 255
};

constexpr size_t early_limit = size_t{4} << 20; // input that comes before the command is there
constexpr std::chrono::milliseconds settle{10};
constexpr std::chrono::seconds pong_deadline{1};

/// kubectl (1.32) reads from the connection before it has set up the channels, and throws away what
/// comes for a channel it does not know yet. So nothing is sent and the command is not started
/// until the client has answered a ping, and a moment more.
class WebSocketExec final : public ExecStreams, public std::enable_shared_from_this<WebSocketExec> {
public:
    WebSocketExec(std::shared_ptr<net::WebSocket> socket, io::EventLoop& loop)
        : socket_(std::move(socket)), loop_(loop) {}

    /// Calls `start` on the loop's thread when the client is ready.
    void begin(std::function<void()> start) {
        auto self = shared_from_this();
        start_ = std::move(start);
        net::WebSocket::Handlers handlers;
        handlers.on_message = [self](net::Opcode, std::string message) { self->received(message); };
        handlers.on_close = [self](uint16_t, const std::string&) { self->closed(); };
        handlers.on_pong = [self](const std::string&) { self->start_after(settle); };
        loop_.post([self, handlers = std::move(handlers)] {
            self->socket_->set_handlers(handlers);
            self->socket_->ping("ready");
            self->start_after(pong_deadline);
        });
    }

    void set_handlers(ExecHandlers handlers) override {
        loop_.post([self = shared_from_this(), handlers = std::move(handlers)] {
            self->handlers_ = handlers;
            self->ready_ = true;
            for (const std::string& message : std::exchange(self->early_, {}))
                self->dispatch(message);
            if (self->closed_) self->tell_closed();
        });
    }
    bool write_stdout(std::string bytes) override { return send(stdout_channel, bytes); }
    bool write_stderr(std::string bytes) override { return send(stderr_channel, bytes); }
    size_t queued_bytes() const override { return socket_->queued_bytes(); }
    void pause_stdin() override { socket_->pause_reading(); }
    void resume_stdin() override { socket_->resume_reading(); }
    void exit(int status) override { end(exit_status(status)); }
    void fail(Error error) override { end(from_error(error).to_status()); }

    /// Tells the client that the connection stands, as kube-apiserver does.
    void greet(const ExecOptions& options) {
        send(options.stdout_open   ? stdout_channel
             : options.stderr_open ? stderr_channel
                                   : error_channel,
             {});
    }

private:
    bool send(Channel channel, std::string_view bytes) {
        std::string message;
        message.reserve(bytes.size() + 1);
        message.push_back(static_cast<char>(channel));
        return socket_->send(net::Opcode::binary, message.append(bytes));
    }
    void end(const Json& status) {
        if (over_.exchange(true)) return;
        send(error_channel, status.dump());
        socket_->close(net::CloseCode::normal, "");
    }

    // The rest: loop thread.
    void start_after(Duration delay) {
        loop_.after(delay, [self = shared_from_this()] {
            if (auto start = std::exchange(self->start_, nullptr); start && !self->closed_) start();
        });
    }
    void received(const std::string& message) {
        if (ready_) return dispatch(message);
        early_bytes_ += message.size();
        if (early_bytes_ > early_limit)
            return socket_->close(net::CloseCode::too_big, "input before the command started");
        early_.push_back(message);
    }
    void closed() {
        closed_ = true;
        start_ = nullptr;
        if (ready_) tell_closed();
    }
    void tell_closed() {
        if (auto handler = std::exchange(handlers_, {}).on_close) handler();
    }
    void dispatch(std::string_view message) {
        if (message.empty()) return;
        const auto channel = static_cast<unsigned char>(message.front());
        message.remove_prefix(1);
        if (channel == stdin_channel && handlers_.on_stdin && !message.empty())
            handlers_.on_stdin(message);
        if (channel == close_channel && handlers_.on_stdin_end &&
            message == std::string_view("\0", 1))
            handlers_.on_stdin_end();
        if (channel != resize_channel || !handlers_.on_resize) return;
        auto size = codec::parse_json(message);
        if (!size) return;
        handlers_.on_resize(static_cast<uint16_t>((*size)["Width"].as_int()),
                            static_cast<uint16_t>((*size)["Height"].as_int()));
    }

    std::shared_ptr<net::WebSocket> socket_;
    io::EventLoop& loop_;
    std::atomic<bool> over_{false};
    std::function<void()> start_;
    ExecHandlers handlers_;
    bool ready_ = false;
    bool closed_ = false;
    std::vector<std::string> early_;
    size_t early_bytes_ = 0;
};

} // namespace

Outcome<> exec_over_websocket(Core& core, NodeConnector& connector,
                              const std::shared_ptr<net::Exchange>& exchange,
                              const ContainerTarget& target, const ExecOptions& options) {
    auto socket = net::accept_websocket(*exchange, {"v5.channel.k8s.io", "v4.channel.k8s.io"});
    if (!socket) return refuse(from_error(socket.error()));
    auto streams = std::make_shared<WebSocketExec>(std::move(*socket), *core.options.loop);
    streams->begin([&core, &connector, raw = streams.get(), target, options] {
        auto kept = raw->shared_from_this();
        kept->greet(options);
        start_on_worker(core, connector, target, options, kept);
    });
    return {};
}

} // namespace cloudlet::kube::server
