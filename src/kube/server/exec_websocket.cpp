// exec over WebSocket: the first byte of each message names the channel (Kubernetes remotecommand
// subprotocols v4.channel.k8s.io and v5.channel.k8s.io; v5 adds the half close of a channel).

#include <atomic>

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

class WebSocketExec final : public ExecStreams {
public:
    explicit WebSocketExec(std::shared_ptr<net::WebSocket> socket) : socket_(std::move(socket)) {}

    void set_handlers(ExecHandlers handlers) override {
        auto shared = std::make_shared<ExecHandlers>(std::move(handlers));
        socket_->set_handlers(
            {[shared](net::Opcode, std::string message) { dispatch(*shared, message); },
             [shared](uint16_t, std::string) {
                 if (shared->on_close) shared->on_close();
             }});
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
    static void dispatch(const ExecHandlers& handlers, std::string_view message) {
        if (message.empty()) return;
        const auto channel = static_cast<unsigned char>(message.front());
        message.remove_prefix(1);
        if (channel == stdin_channel && handlers.on_stdin && !message.empty())
            handlers.on_stdin(message);
        if (channel == close_channel && handlers.on_stdin_end &&
            message == std::string_view("\0", 1))
            handlers.on_stdin_end();
        if (channel != resize_channel || !handlers.on_resize) return;
        auto size = codec::parse_json(message);
        if (!size) return;
        handlers.on_resize(static_cast<uint16_t>((*size)["Width"].as_int()),
                           static_cast<uint16_t>((*size)["Height"].as_int()));
    }

    std::shared_ptr<net::WebSocket> socket_;
    std::atomic<bool> over_{false};
};

} // namespace

Outcome<> exec_over_websocket(NodeConnector& connector,
                              const std::shared_ptr<net::Exchange>& exchange,
                              const ContainerTarget& target, const ExecOptions& options) {
    auto socket = net::accept_websocket(*exchange, {"v5.channel.k8s.io", "v4.channel.k8s.io"});
    if (!socket) return refuse(from_error(socket.error()));
    auto streams = std::make_shared<WebSocketExec>(std::move(*socket));
    streams->greet(options);
    connector.exec(target, options, std::move(streams));
    return {};
}

} // namespace cloudlet::kube::server
