#include "transport.h"

#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace cloudlet::net {
namespace {

constexpr size_t record_size = 16 << 10; // the largest TLS record
constexpr size_t small_piece = 4 << 10;  // joined with its neighbour
constexpr int reads_per_event = 8;       // then others have their turn

/// One buffer per thread: what is read is handed on before the next read.
std::vector<char>& read_buffer() {
    thread_local std::vector<char> buffer(64 << 10);
    return buffer;
}

std::string& write_buffer() {
    thread_local std::string buffer;
    return buffer;
}

} // namespace

Result<std::shared_ptr<Transport>> Transport::create(io::EventLoop& loop, io::UniqueFd fd,
                                                     TlsContext* tls, const std::string& host) {
    int on = 1; // an answer in two writes must not wait for the peer's delayed acknowledgement
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); // fails on unix sockets: fine
    std::shared_ptr<Transport> transport(new Transport(loop, std::move(fd)));
    if (tls) {
        transport->ssl_ = TRY(make_ssl(*tls, transport->fd_.get(), host));
        transport->state_ = State::handshake;
        if (!SSL_is_server(transport->ssl_.get())) transport->state_ = State::connecting;
    }
    transport->watch_ =
        TRY(loop.watch(transport->fd_.get(), io::Events::none,
                       [raw = transport.get()](io::Events events) { raw->on_events(events); }));
    return transport;
}

Transport::~Transport() { close(); }

void Transport::start(TransportUser* user) {
    user_ = user;
    if (state_ == State::ready && !ssl_)
        state_ = State::connecting; // writable tells that it is connected
    update();
}

void Transport::close() {
    if (!watch_) return;
    loop_.unwatch(std::exchange(watch_, 0));
    user_ = nullptr;
    if (ssl_ && state_ == State::ready && !broken_) {
        // A close_notify when the socket takes it; the ticket stays good for the next connection.
        SSL_shutdown(ssl_.get());
        ERR_clear_error();
    }
    ssl_.reset();
    fd_.reset();
    pieces_.clear();
    unsent_ = 0;
}

void Transport::update() {
    if (!watch_ || broken_) return;
    io::Events events = io::Events::none;
    if (state_ == State::connecting || wants_write_) events = events | io::Events::writable;
    if (state_ == State::handshake && !wants_write_) events = events | io::Events::readable;
    if (state_ == State::ready && reading_ && !peer_ended_) events = events | io::Events::readable;
    // Without reading, a hangup is all that tells us that the peer is gone.
    if (state_ == State::ready && !reading_ && !peer_ended_) events = events | io::Events::hangup;
    loop_.update(watch_, events);
}

void Transport::on_events(io::Events events) {
    auto self = shared_from_this(); // the user may drop its reference in a callback
    if (broken_) return;
    if (state_ != State::ready) {
        advance();
        if (!watch_ || state_ != State::ready) return;
    }
    if (io::has(events, io::Events::writable) && (unsent_ || wants_write_)) {
        if (flush() && user_) user_->on_written();
        if (!watch_ || broken_) return;
    }
    if (reading_ && !peer_ended_) {
        read_some();
    } else if (io::has(events, io::Events::hangup) && !peer_ended_) {
        // What the peer sent before it left stays in the socket until reading goes on.
        char byte;
        ssize_t got = ::recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (got == 0) {
            peer_ended_ = true;
            update();
            if (user_) user_->on_end();
        } else if (got < 0 && errno != EAGAIN) {
            break_later("the connection was cut");
        } else {
            loop_.update(watch_, wants_write_ ? io::Events::writable : io::Events::none);
        }
    }
}

void Transport::advance() {
    if (state_ == State::connecting) {
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) return break_later(fail_errno("connect", error).value().to_string());
        state_ = ssl_ ? State::handshake : State::ready;
    }
    if (state_ == State::handshake) handshake();
    if (state_ != State::ready || broken_) return;
    wants_write_ = false;
    update();
    if (user_) user_->on_ready();
}

void Transport::handshake() {
    ERR_clear_error();
    int result = SSL_do_handshake(ssl_.get());
    if (result == 1) {
        state_ = State::ready;
        return;
    }
    if (must_wait(result)) return update();
    unsigned long reason = ERR_peek_error();
    if (ERR_GET_LIB(reason) == ERR_LIB_SSL && ERR_GET_REASON(reason) == SSL_R_HTTP_REQUEST) {
        constexpr std::string_view hint =
            "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
            "This port speaks HTTPS: begin the address with https://\n";
        static_cast<void>(::send(fd_.get(), hint.data(), hint.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
    }
    long verified = SSL_get_verify_result(ssl_.get());
    break_later(verified == X509_V_OK
                    ? "TLS handshake: " + openssl_reason()
                    : fmt::format("TLS handshake: {}", X509_verify_cert_error_string(verified)));
}

/// True when OpenSSL waits for the socket; remembers for which direction.
bool Transport::must_wait(int ssl_result) {
    int error = SSL_get_error(ssl_.get(), ssl_result);
    wants_write_ = error == SSL_ERROR_WANT_WRITE;
    return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ;
}

/// Bytes read; 0 at the end; -1 when there is nothing now; -2 when the connection is broken.
ssize_t Transport::receive(char* buffer, size_t size) {
    if (!ssl_) {
        ssize_t got = ::recv(fd_.get(), buffer, size, 0);
        if (got >= 0) return got;
        return errno == EAGAIN || errno == EINTR ? -1 : -2;
    }
    ERR_clear_error();
    int got = SSL_read(ssl_.get(), buffer, static_cast<int>(size));
    if (got > 0) return got;
    int error = SSL_get_error(ssl_.get(), got);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return -1;
    return error == SSL_ERROR_ZERO_RETURN ? 0 : -2;
}

void Transport::read_some() {
    auto& buffer = read_buffer();
    for (int round = 0; round < reads_per_event; ++round) {
        ssize_t got = receive(buffer.data(), buffer.size());
        if (got == -1) return;
        if (got == -2) return break_later("the connection was cut");
        if (got == 0) {
            peer_ended_ = true;
            update();
            if (user_) user_->on_end();
            return;
        }
        if (user_) user_->on_bytes({buffer.data(), static_cast<size_t>(got)});
        if (!watch_ || broken_ || !reading_) return;
        // A short read emptied the socket; the loop tells when there is more.
        if (ssl_ ? !SSL_has_pending(ssl_.get()) : static_cast<size_t>(got) < buffer.size()) return;
    }
    if (ssl_) resume_reading(); // OpenSSL may hold bytes that no poll reports
}

void Transport::pause_reading() {
    reading_ = false;
    update();
}

void Transport::resume_reading() {
    reading_ = true;
    update();
    if (!ssl_ || state_ != State::ready || read_posted_ || !SSL_has_pending(ssl_.get())) return;
    read_posted_ = true;
    loop_.post([weak = weak_from_this()] {
        auto self = weak.lock();
        if (!self) return;
        self->read_posted_ = false;
        if (self->watch_ && self->reading_ && !self->peer_ended_ && !self->broken_)
            self->read_some();
    });
}

void Transport::push(Piece piece) {
    size_t size = piece.bytes().size();
    if (size == 0 || !watch_ || broken_) return;
    unsent_ += size;
    bool joins = size <= small_piece && !pieces_.empty() && !pieces_.back().shared &&
                 pieces_.back().owned.size() + size <= record_size;
    if (joins) {
        pieces_.back().owned.append(piece.bytes());
    } else {
        pieces_.push_back(std::move(piece));
    }
}

size_t Transport::flush() {
    if (!watch_ || broken_ || state_ != State::ready) return 0;
    size_t total = 0;
    wants_write_ = false;
    while (unsent_) {
        ssize_t sent = send_some();
        if (sent == -1) {
            wants_write_ = true;
            break;
        }
        if (sent < 0) {
            break_later("the connection was cut");
            return total;
        }
        total += static_cast<size_t>(sent);
        consume(static_cast<size_t>(sent));
    }
    if (!unsent_ && end_requested_) finish_writing();
    update();
    return total;
}

ssize_t Transport::send_some() { return ssl_ ? send_tls() : send_plain(); }

ssize_t Transport::send_plain() {
    iovec parts[64];
    size_t count = 0;
    for (size_t i = first_; i < pieces_.size() && count < 64; ++i, ++count) {
        auto bytes = pieces_[i].bytes();
        if (i == first_) bytes.remove_prefix(offset_);
        parts[count] = {const_cast<char*>(bytes.data()), bytes.size()};
    }
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = count;
    ssize_t sent = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    return errno == EAGAIN || errno == EINTR ? -1 : -2;
}

/// The next record's worth of bytes. A repeated call gives the same bytes, perhaps more of them:
/// that is what OpenSSL asks of a write that is tried again.
std::string_view Transport::gather(std::string& scratch) const {
    auto front = pieces_[first_].bytes().substr(offset_);
    if (front.size() >= record_size || first_ + 1 == pieces_.size())
        return front.substr(0, record_size);
    scratch.assign(front);
    for (size_t i = first_ + 1; i < pieces_.size() && scratch.size() < record_size; ++i)
        scratch.append(pieces_[i].bytes().substr(0, record_size - scratch.size()));
    return scratch;
}

ssize_t Transport::send_tls() {
    auto bytes = gather(write_buffer());
    ERR_clear_error();
    int sent = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
    if (sent > 0) return sent;
    int error = SSL_get_error(ssl_.get(), sent);
    return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? -1 : -2;
}

void Transport::consume(size_t bytes) {
    unsent_ -= bytes;
    if (!unsent_) {
        std::vector<Piece>().swap(pieces_); // an idle connection owns no buffers
        first_ = offset_ = 0;
        return;
    }
    offset_ += bytes;
    while (offset_ >= pieces_[first_].bytes().size()) {
        offset_ -= pieces_[first_].bytes().size();
        pieces_[first_++] = Piece{};
    }
    if (first_ < 64) return;
    pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<ptrdiff_t>(first_));
    first_ = 0;
}

void Transport::end_writing() {
    end_requested_ = true;
    flush();
}

void Transport::finish_writing() {
    end_requested_ = false;
    if (ssl_) {
        SSL_shutdown(ssl_.get());
        ERR_clear_error();
    }
    ::shutdown(fd_.get(), SHUT_WR);
}

void Transport::break_later(std::string why) {
    if (broken_) return;
    broken_ = true;
    if (watch_) loop_.update(watch_, io::Events::none);
    loop_.post([weak = weak_from_this(), why = std::move(why)] {
        auto self = weak.lock();
        if (self && self->user_) std::exchange(self->user_, nullptr)->on_broken(why);
    });
}

} // namespace cloudlet::net
