#pragma once
// An HTTP/1.1 server (RFC 9110, 9112) for TCP, TLS and unix sockets.
//
// The loop's thread owns the sockets: it accepts, does TLS, and parses. A complete request becomes
// an Exchange: inline_handler may answer it right there, else the Handler gets it on the worker
// pool. An exchange may be answered at any time from any thread; a connection serves one at a time,
// in order, and what a client pipelined waits. Malformed or ambiguous requests (both Content-Length
// and Transfer-Encoding, repeated lengths, bare LF, folded headers) are refused with 400.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "cloudlet/base/bytes.h"
#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"
#include "cloudlet/io/event_loop.h"
#include "cloudlet/io/worker_pool.h"
#include "cloudlet/net/byte_stream.h"
#include "cloudlet/net/http_message.h"
#include "cloudlet/net/tls.h"

namespace cloudlet::net {

/// One request in flight. Every method is thread-safe; when the connection is gone they do nothing.
/// An exchange that is dropped without an answer is answered with 500.
class Exchange {
public:
    struct Impl;
    explicit Exchange(std::unique_ptr<Impl> impl);
    ~Exchange();
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    const Request& request() const;
    /// For a handler that wants to own the body. Only before the first answer, by one thread.
    Request& mutable_request();

    /// The complete answer. A second answer is ignored.
    void respond(Response response);

    /// Begins an answer of unknown length (chunked); then write()..., finish().
    void start_stream(int status, Headers headers);
    /// Queues one chunk; false once the exchange is over. `bytes` may be shared by many exchanges.
    bool write(SharedBytes bytes);
    bool write(std::string bytes);
    /// Bytes of this exchange that the kernel has not taken yet: a producer looks before it adds,
    /// and drops a reader that is too slow.
    size_t queued_bytes() const;
    /// Calls `function` once on the loop's thread when queued_bytes() is down to `level` or less
    /// (or the exchange is over). A later call replaces one that has not run.
    void when_drained(size_t level, std::function<void()> function);
    void finish();
    /// Cuts the connection, so that the client sees an incomplete answer.
    void abort();

    /// True once the answer was sent or the client is gone.
    bool closed() const;
    /// Calls `function` on the loop's thread once the exchange is over: answered and sent, or the
    /// client went away. Never called from within on_close itself.
    void on_close(std::function<void()> function);

    /// Answers (101, or 200 for a hijack) and hands over the connection as it is.
    /// Error: Code::cancelled when the client is gone or the request was answered.
    Result<std::shared_ptr<ByteStream>> upgrade(int status, Headers headers);

private:
    friend struct ExchangeAccess;
    std::unique_ptr<Impl> impl_;
};

/// May return before the answer. Runs on the worker pool.
using Handler = std::function<void(std::shared_ptr<Exchange>)>;
/// True when it answered (or will). Runs on the loop's thread: must not block.
using InlineHandler = std::function<bool(const std::shared_ptr<Exchange>&)>;

struct ServerOptions {
    size_t max_header_bytes = 64 << 10; // 431 beyond
    size_t max_body_bytes = 3 << 20;    // 413 beyond
    size_t max_queued_bytes = 64 << 20; // a connection with more unsent bytes is cut
    Duration header_timeout =
        std::chrono::seconds(30); // TLS handshake; first byte to end of body between reads
    Duration idle_timeout = std::chrono::seconds(120); // keep-alive without a request
    Duration write_timeout = std::chrono::seconds(60); // unsent bytes without any progress
    size_t max_connections = 10000;                    // more wait in the kernel's backlog
    InlineHandler inline_handler = {};
    /// Renders the answers that the server itself gives (400, 413, 431, 500, 503, ...).
    std::function<Response(int status, std::string message)> error_page = {};
};

class HttpServer {
public:
    /// Loop and pool must outlive the server. Any thread.
    static Result<std::unique_ptr<HttpServer>> create(io::EventLoop& loop, io::WorkerPool& pool,
                                                      ServerOptions options, Handler handler);
    /// shutdown(0). Afterwards no handler runs any more. Not from a handler.
    ~HttpServer();

    /// `address` is numeric (IPv4 or IPv6); port 0 takes a free one. With `tls`, HTTPS.
    /// Error: Code::conflict when the port is taken, naming it.
    Result<> listen_tcp(const std::string& address, uint16_t port,
                        std::shared_ptr<TlsContext> tls = nullptr);
    /// The port of the first TCP listener; 0 without one.
    uint16_t port() const;
    /// A path of at most 107 bytes; a left-over socket file is replaced, a served one is
    /// Code::conflict. The file is removed at shutdown.
    Result<> listen_unix(const std::string& path, unsigned mode = 0600);

    /// Stops listening, lets exchanges in flight end for `grace`, then cuts them. Waits, unless it
    /// is called on the loop's thread (then grace is 0).
    void shutdown(Duration grace);
    size_t connections() const;

private:
    struct Impl;
    explicit HttpServer(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

} // namespace cloudlet::net
