#pragma once
// A connected socket for blocking callers: non-blocking underneath, with a deadline on every wait.
// One thread may read while another writes: OpenSSL is entered under a lock, waits are outside.

#include <mutex>

#include "cloudlet/io/fd.h"
#include "cloudlet/net/http_client.h"
#include "openssl.h"

namespace cloudlet::net {

class BlockingSocket {
public:
    ~BlockingSocket();
    /// Connects, and does the TLS handshake when `tls` is given.
    static Result<std::unique_ptr<BlockingSocket>> connect(const std::string& unix_path,
                                                           const std::string& host, uint16_t port,
                                                           TlsContext* tls, MonotonicTime deadline);
    /// Some bytes; empty at the end.
    Result<std::string> read(MonotonicTime deadline);
    Result<> write(std::string_view bytes, MonotonicTime deadline);
    void close_write();
    /// True when a connection that should be silent ended (or speaks).
    bool stale();

private:
    explicit BlockingSocket(io::UniqueFd fd) : fd_(std::move(fd)) {}
    Result<> handshake(MonotonicTime deadline);
    /// Bytes moved, 0 at the end, -1 when the call must wait for what wants_write_ says.
    Result<ssize_t> read_now(char* buffer, size_t size);
    Result<ssize_t> write_now(std::string_view bytes);
    Result<ssize_t> judge(int ssl_result);
    Result<> wait(bool writable, MonotonicTime deadline);

    io::UniqueFd fd_;
    std::mutex mutex_; // of ssl_
    SslPtr ssl_;
    TlsContext* tls_ = nullptr;
    bool kept_session_ = false;
};

MonotonicTime deadline_after(Duration span);

} // namespace cloudlet::net
