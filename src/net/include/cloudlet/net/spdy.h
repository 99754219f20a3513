#pragma once
// SPDY/3.1 (the "SPDY Protocol - Draft 3.1" of the Chromium project) as kubectl and docker-style
// clients still use it for exec and port-forward: streams over one connection, zlib-compressed
// headers, flow control per stream and per session.
//
// SpdySession takes the peer's bytes and gives ours to a sink, so it runs over a socket, inside a
// WebSocket, or in memory. attach() joins it to a ByteStream.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/net/byte_stream.h"
#include "cloudlet/net/http_message.h"

namespace cloudlet::net {

class SpdySession;

/// One stream. Methods are thread-safe. Handlers run on the thread that feeds the session, but
/// on_close also on the thread whose own call ended the stream; no lock of ours is held then.
class SpdyStream {
public:
    struct Handlers {
        std::function<void(std::string_view)> on_data = {};
        std::function<void()> on_end = {}; // the peer half-closed
        std::function<void()> on_close =
            {}; // once, last: both sides ended, a reset, or the session ended
    };
    virtual ~SpdyStream() = default;
    virtual uint32_t id() const = 0;
    virtual const Headers& headers() const = 0; // names in lower case
    /// Call once; what came before waits within the flow-control window.
    virtual void set_handlers(Handlers handlers) = 0;
    /// Queues data; false when our side is closed or the stream is gone. Sent as the windows allow.
    virtual bool write(std::string_view bytes) = 0;
    /// What waits for a window, and what waits in the transport that was attached.
    virtual size_t queued_bytes() const = 0;
    virtual void close_write() = 0; // FIN after what is queued
    virtual void reset() = 0;       // RST_STREAM (CANCEL)
    /// Bytes handed to on_data are given back to the peer's window at once, unless reading is
    /// paused.
    virtual void pause_reading() = 0;
    virtual void resume_reading() = 0;
};

class SpdySession : public std::enable_shared_from_this<SpdySession> {
public:
    enum class Role { server, client };
    /// `strict` never sends beyond the peer's windows, as the draft asks. `observed` does so once
    /// the peer has sent a WINDOW_UPDATE or an initial window: spdystream, which kubectl uses,
    /// knows neither, would never open a window, and relies on TCP to hold a writer back.
    enum class FlowControl { strict, observed };
    struct Handlers {
        /// A peer's stream; refuse it by reset(). SYN_REPLY was sent already (as
        /// docker/spdystream's users expect: an empty reply).
        std::function<void(std::shared_ptr<SpdyStream>)> on_stream = {};
        std::function<void()> on_close = {}; // once: the session ended, whatever the reason
    };
    /// `output` is called in order with bytes for the peer, under the session's lock: it must not
    /// call back. A peer may have `max_streams` open at once; more are refused.
    /// A session and its open streams keep each other until close() or end_of_input(), which the
    /// owner of the transport calls; attach() sees to it.
    static std::shared_ptr<SpdySession> create(Role role, std::function<void(std::string)> output,
                                               Handlers handlers,
                                               FlowControl flow_control = FlowControl::observed,
                                               size_t max_streams = 1000);
    virtual ~SpdySession() = default;

    /// The peer's bytes, in order, from one thread at a time. Error: the peer broke the protocol; a
    /// GOAWAY was written and the session is over.
    virtual Result<> receive(std::string_view bytes) = 0;
    /// The transport ended.
    virtual void end_of_input() = 0;
    /// Opens a stream of ours. Error: Code::cancelled after GOAWAY.
    virtual Result<std::shared_ptr<SpdyStream>> open_stream(const Headers& headers) = 0;
    virtual void ping() = 0;
    /// GOAWAY, and every stream is closed.
    virtual void close() = 0;
    virtual size_t stream_count() const = 0;

    /// Feeds the session from a stream (its output must write there); one closes with the other. A
    /// peer that ignores our windows is held back by not reading.
    static void attach(const std::shared_ptr<SpdySession>& session,
                       const std::shared_ptr<ByteStream>& stream);
    /// The usual server: session and stream joined.
    static std::shared_ptr<SpdySession> serve(const std::shared_ptr<ByteStream>& stream,
                                              Handlers handlers);
};

} // namespace cloudlet::net
