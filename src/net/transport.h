#pragma once
// One connected socket on a loop, plain or TLS: reads into a buffer that all connections of a
// thread share, so an idle one owns none; queues what the kernel does not take. Loop thread only.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/bytes.h"
#include "cloudlet/io/event_loop.h"
#include "cloudlet/io/fd.h"
#include "cloudlet/net/tls.h"
#include "openssl.h"

namespace cloudlet::net {

/// Bytes on their way out: our own, or shared with other connections.
struct Piece {
    std::string owned;
    SharedBytes shared;
    std::string_view bytes() const {
        return shared ? std::string_view(*shared) : std::string_view(owned);
    }
};

/// What a transport tells its user. Never called from within one of the transport's methods, but
/// always from the loop. The user may close the transport in any of them.
class TransportUser {
public:
    virtual ~TransportUser() = default;
    virtual void on_ready() = 0;                        // connected, and the TLS handshake is done
    virtual void on_bytes(std::string_view bytes) = 0;  // valid during the call
    virtual void on_end() = 0;                          // the peer sends no more
    virtual void on_written() = 0;                      // some queued bytes left
    virtual void on_broken(const std::string& why) = 0; // the last call
};

class Transport : public std::enable_shared_from_this<Transport> {
public:
    /// Takes a connected (or connecting) non-blocking socket. `tls` may be null; `host` see
    /// make_ssl.
    static Result<std::shared_ptr<Transport>> create(io::EventLoop& loop, io::UniqueFd fd,
                                                     TlsContext* tls, const std::string& host = {});
    ~Transport();

    /// Begins to work for the user, which must stay alive until close() or on_broken().
    void start(TransportUser* user);
    /// Queues bytes without sending; flush() tries to send all.
    void push(Piece piece);
    /// Returns how many bytes the kernel took. An error comes later as on_broken().
    size_t flush();
    size_t unsent() const { return unsent_; }

    void pause_reading();
    void resume_reading();
    /// Ends our direction once all is sent (TLS: with close_notify).
    void end_writing();
    /// Closes at once; no further calls to the user.
    void close();
    bool open() const { return watch_ != 0; }
    bool ended() const { return peer_ended_; }
    SSL* ssl() const { return ssl_.get(); }

private:
    enum class State { connecting, handshake, ready };
    Transport(io::EventLoop& loop, io::UniqueFd fd) : loop_(loop), fd_(std::move(fd)) {}
    void on_events(io::Events events);
    void advance();
    void handshake();
    void read_some();
    ssize_t receive(char* buffer, size_t size);
    ssize_t send_some();
    ssize_t send_plain();
    ssize_t send_tls();
    std::string_view gather(std::string& scratch) const;
    void consume(size_t bytes);
    void finish_writing();
    void break_later(std::string why);
    void update();
    bool must_wait(int ssl_result);

    io::EventLoop& loop_;
    io::UniqueFd fd_;
    SslPtr ssl_;
    TransportUser* user_ = nullptr;
    io::EventLoop::WatchId watch_ = 0;
    State state_ = State::ready;
    bool reading_ = true;
    bool read_posted_ = false;
    bool wants_write_ = false;
    bool peer_ended_ = false;
    bool end_requested_ = false;
    bool broken_ = false;
    size_t unsent_ = 0;
    size_t first_ = 0;  // index of the first piece with unsent bytes
    size_t offset_ = 0; // sent bytes of that piece
    std::vector<Piece> pieces_;
};

} // namespace cloudlet::net
