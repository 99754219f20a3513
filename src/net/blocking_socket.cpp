#include "blocking_socket.h"

#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "sockets.h"

namespace cloudlet::net {

MonotonicTime deadline_after(Duration span) {
    if (span > std::chrono::hours(24 * 3650)) return MonotonicTime::max();
    return system_clock().monotonic() + std::chrono::duration_cast<MonotonicTime::duration>(span);
}

Result<std::unique_ptr<BlockingSocket>> BlockingSocket::connect(const std::string& unix_path,
                                                                const std::string& host,
                                                                uint16_t port, TlsContext* tls,
                                                                MonotonicTime deadline) {
    io::ignore_broken_pipes();
    auto shown = unix_path.empty() ? host_and_port(host, port) : unix_path;
    auto address = TRY(unix_path.empty() ? tcp_address(host, port) : unix_address(unix_path));
    auto fd = TRY(begin_connect(address, shown)); // not inside `new`: TRY would leave its memory
    std::unique_ptr<BlockingSocket> made(new BlockingSocket(std::move(fd)));
    TRY(with_context(io::wait_writable(made->fd_.get(), deadline), "connect to " + shown));
    int error = 0, on = 1;
    socklen_t size = sizeof error;
    ::getsockopt(made->fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        auto failed = fail_errno("connect to " + shown, error);
        failed.value().code = Code::unavailable;
        if (error == ECONNREFUSED) failed.value().message += "; is a server running there?";
        return failed;
    }
    ::setsockopt(made->fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!tls) return made;
    made->tls_ = tls;
    made->ssl_ = TRY(make_ssl(*tls, made->fd_.get(), host));
    TRY(with_context(made->handshake(deadline), shown));
    return made;
}

BlockingSocket::~BlockingSocket() {
    if (ssl_) SSL_shutdown(ssl_.get());
    ERR_clear_error();
}

Result<> BlockingSocket::wait(bool writable, MonotonicTime deadline) {
    return writable ? io::wait_writable(fd_.get(), deadline)
                    : io::wait_readable(fd_.get(), deadline);
}

Result<> BlockingSocket::handshake(MonotonicTime deadline) {
    for (;;) {
        ERR_clear_error();
        int result = SSL_do_handshake(ssl_.get());
        if (result == 1) return {};
        int error = SSL_get_error(ssl_.get(), result);
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
            TRY(wait(error == SSL_ERROR_WANT_WRITE, deadline));
            continue;
        }
        long verified = SSL_get_verify_result(ssl_.get());
        if (verified == X509_V_OK) return fail_openssl(Code::unavailable, "TLS handshake");
        ERR_clear_error();
        return fail(Code::unauthenticated,
                    fmt::format("the server's certificate is not accepted: {}",
                                X509_verify_cert_error_string(verified)));
    }
}

Result<ssize_t> BlockingSocket::judge(int ssl_result) {
    if (ssl_result > 0) return ssl_result;
    int error = SSL_get_error(ssl_.get(), ssl_result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return -1;
    if (error == SSL_ERROR_ZERO_RETURN) return 0;
    // TLS 1.3: a server that refuses our certificate says so after the handshake.
    return fail_openssl(Code::io, "the connection was cut");
}

Result<ssize_t> BlockingSocket::read_now(char* buffer, size_t size) {
    if (ssl_) {
        std::lock_guard lock(mutex_);
        ERR_clear_error();
        auto got = judge(SSL_read(ssl_.get(), buffer, static_cast<int>(size)));
        if (got && *got > 0 && !std::exchange(kept_session_, true)) keep_session(*tls_, ssl_.get());
        return got;
    }
    ssize_t got = ::recv(fd_.get(), buffer, size, 0);
    if (got >= 0) return got;
    if (errno == EAGAIN || errno == EINTR) return -1;
    return fail_errno("the connection was cut");
}

Result<std::string> BlockingSocket::read(MonotonicTime deadline) {
    std::string bytes(16 << 10, '\0');
    for (;;) {
        ssize_t got = TRY(read_now(bytes.data(), bytes.size()));
        if (got >= 0) {
            bytes.resize(static_cast<size_t>(got));
            return bytes;
        }
        TRY(wait(false, deadline));
    }
}

Result<ssize_t> BlockingSocket::write_now(std::string_view bytes) {
    if (ssl_) {
        std::lock_guard lock(mutex_);
        ERR_clear_error();
        return judge(SSL_write(ssl_.get(), bytes.data(),
                               static_cast<int>(std::min<size_t>(bytes.size(), 1 << 20))));
    }
    ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    if (errno == EAGAIN || errno == EINTR) return -1;
    return fail_errno("the connection was cut");
}

Result<> BlockingSocket::write(std::string_view bytes, MonotonicTime deadline) {
    while (!bytes.empty()) {
        ssize_t sent = TRY(write_now(bytes));
        if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
        if (sent == 0) return fail(Code::io, "the connection was cut");
        if (sent < 0) TRY(wait(true, deadline));
    }
    return {};
}

bool BlockingSocket::stale() {
    char byte;
    auto got = read_now(&byte, 1); // TLS: takes in the server's tickets too
    return !got || *got != -1;
}

void BlockingSocket::close_write() {
    if (ssl_) {
        std::lock_guard lock(mutex_);
        SSL_shutdown(ssl_.get());
        ERR_clear_error();
    }
    ::shutdown(fd_.get(), SHUT_WR);
}

} // namespace cloudlet::net
