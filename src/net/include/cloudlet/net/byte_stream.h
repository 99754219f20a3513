#pragma once
// A raw duplex stream of bytes over a connection that left HTTP (exec, attach, port-forward,
// hijack).

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace cloudlet::net {

struct StreamHandlers {
    std::function<void(std::string_view)> on_data = {}; // valid during the call only
    std::function<void()> on_end = {};   // the peer sends no more; writing still works
    std::function<void()> on_close = {}; // exactly once, last: the connection is gone
};

/// Methods are thread-safe and never call a handler from within; handlers run on the loop's thread.
/// Bytes that come before set_handlers() wait (bounded by the socket). The connection holds the
/// handlers until on_close, so a handler may own the object that owns the stream. Dropping the last
/// reference closes the stream.
class ByteStream {
public:
    virtual ~ByteStream() = default;
    /// Call once. On a stream that is already closed, on_close comes soon.
    virtual void set_handlers(StreamHandlers handlers) = 0;
    /// Queues bytes; false once closed. There is no limit here: watch queued_bytes().
    virtual bool write(std::string bytes) = 0;
    /// Bytes accepted by write() that the kernel has not taken yet.
    virtual size_t queued_bytes() const = 0;
    /// Calls `function` once on the loop's thread when queued_bytes() is down to `level` or less
    /// (or the stream closed). A later call replaces one that has not run.
    virtual void when_drained(size_t level, std::function<void()> function) = 0;
    /// Ends our direction after what is queued.
    virtual void close_write() = 0;
    /// Sends what is queued (for a few seconds at most), then closes both directions.
    virtual void close() = 0;
    virtual void pause_reading() = 0;
    virtual void resume_reading() = 0;
};

} // namespace cloudlet::net
