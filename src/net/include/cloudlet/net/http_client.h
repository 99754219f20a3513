#pragma once
// A blocking HTTP/1.1 client on the caller's thread, over TCP, TLS or a unix socket, with one
// deadline per request. Hosts are numeric addresses or "localhost": names are the cluster DNS's
// business.

#include <functional>
#include <memory>
#include <string>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"
#include "cloudlet/net/http_message.h"
#include "cloudlet/net/tls.h"

namespace cloudlet::net {

struct ClientOptions {
    ClientTls tls = {};         // for https
    std::string unix_path = {}; // when set, connects there; the URL's host is only the Host header
    Duration deadline = std::chrono::seconds(30); // of one whole request, connecting included
    size_t max_body = 64 << 20; // Code::too_large beyond (streams are not limited)
};

/// A connected stream after an upgrade; blocking, one thread reads and another may write.
class BlockingStream {
public:
    virtual ~BlockingStream() = default;
    /// Some bytes; empty at the end. Error: Code::timeout.
    virtual Result<std::string> read(Duration deadline) = 0;
    virtual Result<> write(std::string_view bytes) = 0;
    virtual void close_write() = 0;
};

/// One connection, reused while the server keeps it open. Not thread-safe.
class ClientConnection {
public:
    /// `base_url` gives scheme, host and port. Connects at the first request.
    static Result<std::unique_ptr<ClientConnection>> create(const ClientOptions& options,
                                                            const std::string& base_url);
    ~ClientConnection();

    /// Sends request.method, target (or path), headers and body; Host and Content-Length are ours.
    /// A kept connection that was closed meanwhile is opened again; a POST or PATCH is never sent
    /// twice. Errors: Code::unavailable (cannot connect), timeout, io (cut), invalid (no HTTP),
    /// too_large.
    Result<Response> request(const Request& request);

    using OnHead = std::function<bool(const Response& head)>; // status and headers; false ends it
    using OnChunk =
        std::function<bool(std::string_view bytes)>; // false ends it; the connection closes
    /// The answer as it comes. The deadline counts until the head; then `idle` between two reads.
    Result<> stream(const Request& request, const OnHead& on_head, const OnChunk& on_chunk,
                    Duration idle = Duration::max());

    struct Upgraded {
        Response head;
        std::unique_ptr<BlockingStream> stream; // empty when the server did not switch
    };
    /// Sends a request with Connection: Upgrade and leaves HTTP after a 101. The connection is used
    /// up.
    Result<Upgraded> upgrade(const Request& request);
    void close();

    struct Impl;
    explicit ClientConnection(std::unique_ptr<Impl> impl);

private:
    std::unique_ptr<Impl> impl_;
};

/// One request on a connection of its own.
Result<Response> http_request(const ClientOptions& options, const std::string& url,
                              Request request = {});
Result<> http_stream(const ClientOptions& options, const std::string& url, Request request,
                     const ClientConnection::OnHead& on_head,
                     const ClientConnection::OnChunk& on_chunk);
Result<ClientConnection::Upgraded> http_upgrade(const ClientOptions& options,
                                                const std::string& url, Request request);

} // namespace cloudlet::net
