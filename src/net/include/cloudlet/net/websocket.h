#pragma once
// WebSocket (RFC 6455): a pure codec, and a session over a stream that an HTTP upgrade handed over.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/net/byte_stream.h"
#include "cloudlet/net/http_server.h"

namespace cloudlet::net {

enum class Opcode : uint8_t {
    continuation = 0,
    text = 1,
    binary = 2,
    close = 8,
    ping = 9,
    pong = 10
};

/// Close codes of RFC 6455 section 7.4.1 that we send.
struct CloseCode {
    static constexpr uint16_t normal = 1000, going_away = 1001, protocol_error = 1002,
                              unsupported = 1003, bad_payload = 1007, policy = 1008, too_big = 1009,
                              internal = 1011;
};

/// A whole message, or one control frame.
struct WebSocketMessage {
    Opcode opcode = Opcode::binary;
    std::string payload;
};

/// Takes the peer's bytes, gives messages: unmasks, joins fragments, checks all rules of section 5.
/// Pure; not thread-safe.
class WebSocketDecoder {
public:
    enum class Role { server, client }; // a server's peer must mask, a client's must not
    explicit WebSocketDecoder(Role role, size_t max_message = 16 << 20)
        : role_(role), max_message_(max_message) {}
    /// Adds bytes and takes out every message that is complete. The error message names the rule;
    /// close_code() says what to tell the peer. After an error the decoder stays failed.
    Result<std::vector<WebSocketMessage>> feed(std::string_view bytes);
    uint16_t close_code() const { return close_code_; }
    size_t buffered() const { return input_.size() + message_.size(); }

private:
    struct Frame;
    Result<std::optional<Frame>> next_frame();
    Result<> accept_frame(Frame frame, std::vector<WebSocketMessage>& out);
    tl::unexpected<Error> refuse(uint16_t code, std::string why);

    Role role_;
    size_t max_message_;
    std::string input_;
    std::string message_;
    Opcode message_opcode_ = Opcode::continuation; // of the message in progress; continuation: none
    uint16_t close_code_ = 0;
};

/// One frame as bytes. A client masks with `mask`; a server does not.
std::string encode_frame(Opcode opcode, std::string_view payload, bool final = true,
                         std::optional<uint32_t> mask = std::nullopt);
/// The payload of a close frame.
std::string encode_close(uint16_t code, std::string_view reason);
/// Base64 of SHA-1 of the key and the fixed GUID (section 4.2.2).
std::string accept_key(std::string_view key);
bool is_valid_utf8(std::string_view text);

/// A server's session. Methods are thread-safe; handlers run on the loop's thread. Pings are
/// answered, a close handshake is completed, and broken frames close with the right code, all by
/// itself.
class WebSocket : public std::enable_shared_from_this<WebSocket> {
public:
    struct Handlers {
        std::function<void(Opcode, std::string)> on_message = {}; // text or binary, joined
        /// Once, last: the code that ended it, the peer's or ours. 1005: closed without one; 1006:
        /// cut.
        std::function<void(uint16_t code, std::string reason)> on_close = {};
        std::function<void(std::string)> on_pong = {}; // the answer to a ping()
    };
    virtual ~WebSocket() = default;
    virtual void set_handlers(Handlers handlers) = 0; // call once; frames wait until then
    virtual const std::string& subprotocol() const = 0;
    virtual bool send(Opcode opcode, std::string_view payload) = 0; // false once closed
    virtual bool ping(std::string_view payload) = 0;
    virtual void close(uint16_t code, std::string_view reason) = 0;
    virtual size_t queued_bytes() const = 0;
    virtual void when_drained(size_t level, std::function<void()> function) = 0;
    virtual void pause_reading() = 0;
    virtual void resume_reading() = 0;
};

/// True when the request asks for a WebSocket.
bool is_websocket_request(const Request& request);

/// Completes the handshake. `supported` is in our order of preference; a name that begins with
/// "base64." in the offer is skipped. When the client offers subprotocols and none fits: with
/// `supported` empty none is chosen, else Code::invalid. On an error nothing was answered.
Result<std::shared_ptr<WebSocket>> accept_websocket(Exchange& exchange,
                                                    const std::vector<std::string>& supported,
                                                    size_t max_message = 16 << 20);

} // namespace cloudlet::net
