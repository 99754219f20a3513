// The server's side of a WebSocket over a ByteStream: handshake, automatic pongs, the close
// handshake.

#include <atomic>
#include <mutex>

#include "cloudlet/base/bytes.h"
#include "cloudlet/net/websocket.h"
#include "text.h"

namespace cloudlet::net {
namespace {

constexpr uint16_t closed_without_code = 1005, cut = 1006;

class ServerWebSocket final : public WebSocket {
public:
    ServerWebSocket(std::shared_ptr<ByteStream> stream, std::string subprotocol, size_t max_message)
        : stream_(std::move(stream)), subprotocol_(std::move(subprotocol)),
          decoder_(WebSocketDecoder::Role::server, max_message) {}

    void set_handlers(Handlers handlers) override {
        handlers_ = std::move(handlers);
        // The stream's handlers own us until its end, and nobody else has to.
        auto self = std::static_pointer_cast<ServerWebSocket>(shared_from_this());
        stream_->set_handlers({[self](std::string_view bytes) { self->receive(bytes); },
                               [self] { self->stream_->close(); }, [self] { self->finish(); }});
    }
    const std::string& subprotocol() const override { return subprotocol_; }
    bool send(Opcode opcode, std::string_view payload) override {
        return !close_sent_ && stream_->write(encode_frame(opcode, payload));
    }
    bool ping(std::string_view payload) override {
        return send(Opcode::ping, payload.substr(0, 125));
    }
    void close(uint16_t code, std::string_view reason) override {
        if (!close_sent_) code_ = code;
        send_close(encode_close(code, reason));
        // The peer answers with its own close frame; the stream's close waits a little for it.
        stream_->close();
    }
    size_t queued_bytes() const override { return stream_->queued_bytes(); }
    void when_drained(size_t level, std::function<void()> function) override {
        stream_->when_drained(level, std::move(function));
    }
    void pause_reading() override { stream_->pause_reading(); }
    void resume_reading() override { stream_->resume_reading(); }

private:
    void send_close(std::string_view payload) {
        if (!close_sent_.exchange(true)) stream_->write(encode_frame(Opcode::close, payload));
    }

    void receive(std::string_view bytes) {
        if (failed_) return;
        auto messages = decoder_.feed(bytes);
        if (!messages) {
            failed_ = true;
            code_ = decoder_.close_code();
            reason_ = messages.error().message;
            return close(code_, reason_);
        }
        for (auto& message : *messages) handle(std::move(message));
    }

    void handle(WebSocketMessage message) {
        if (close_received_) return; // nothing counts after a close frame
        switch (message.opcode) {
        case Opcode::ping: send(Opcode::pong, message.payload); return;
        case Opcode::pong:
            if (handlers_.on_pong) handlers_.on_pong(std::move(message.payload));
            return;
        case Opcode::close:
            close_received_ = true;
            code_ = closed_without_code;
            if (message.payload.size() >= 2) {
                code_ = static_cast<uint16_t>(static_cast<unsigned char>(message.payload[0]) << 8 |
                                              static_cast<unsigned char>(message.payload[1]));
                reason_ = message.payload.substr(2);
            }
            send_close(std::string_view(message.payload).substr(0, 2));
            stream_->close();
            return;
        default:
            if (handlers_.on_message)
                handlers_.on_message(message.opcode, std::move(message.payload));
        }
    }

    void finish() {
        if (handlers_.on_close) handlers_.on_close(code_, reason_);
        handlers_ = {};
    }

    std::shared_ptr<ByteStream> stream_;
    std::string subprotocol_;
    WebSocketDecoder decoder_;
    Handlers handlers_;
    std::atomic<bool> close_sent_ = false;
    bool close_received_ = false; // the rest: loop thread
    bool failed_ = false;
    std::atomic<uint16_t> code_ = cut; // what on_close reports
    std::string reason_;
};

/// Our first preference among what is offered; nothing when none fits.
std::optional<std::string> choose(const std::vector<std::string_view>& offers,
                                  const std::vector<std::string>& supported) {
    for (const auto& ours : supported) {
        for (auto header : offers) {
            bool offered = false;
            for_each_element(header,
                             [&](std::string_view name) { offered = offered || name == ours; });
            if (offered) return ours;
        }
    }
    return std::nullopt;
}

} // namespace

bool is_websocket_request(const Request& request) {
    return request.headers.has_token("connection", "upgrade") &&
           request.headers.has_token("upgrade", "websocket");
}

Result<std::shared_ptr<WebSocket>> accept_websocket(Exchange& exchange,
                                                    const std::vector<std::string>& supported,
                                                    size_t max_message) {
    const auto& request = exchange.request();
    if (!is_websocket_request(request) || request.method != "GET")
        return fail(Code::invalid,
                    "a WebSocket begins with GET, Connection: Upgrade and Upgrade: websocket");
    if (request.headers.get("sec-websocket-version") != "13")
        return fail(Code::invalid, "only WebSocket version 13 is spoken here");
    auto key = request.headers.get("sec-websocket-key");
    auto decoded = from_base64(key);
    if (!decoded || decoded->size() != 16)
        return fail(Code::invalid, "Sec-WebSocket-Key is not 16 bytes in base64");

    auto offers = request.headers.all("sec-websocket-protocol");
    std::string chosen;
    if (!offers.empty() && !supported.empty()) {
        auto choice = choose(offers, supported);
        if (!choice)
            return fail(Code::invalid,
                        fmt::format("none of the offered subprotocols is served here; served: {}",
                                    fmt::join(supported, ", ")));
        chosen = *choice;
    }
    Headers headers{{"Upgrade", "websocket"}, {"Sec-WebSocket-Accept", accept_key(key)}};
    if (!chosen.empty()) headers.add("Sec-WebSocket-Protocol", chosen);
    auto stream = TRY(exchange.upgrade(101, std::move(headers)));
    return std::make_shared<ServerWebSocket>(std::move(stream), std::move(chosen), max_message);
}

} // namespace cloudlet::net
