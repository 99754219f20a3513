#pragma once
// One client's connection to an HttpServer, a state machine over a Transport. Loop thread only;
// what other threads want of it comes through an Outlet.

#include <memory>
#include <string>

#include "cloudlet/net/http_server.h"
#include "http_parser.h"
#include "outlet.h"
#include "transport.h"

namespace cloudlet::net {

class Connection;

/// What a connection needs of its server.
class ConnectionHost {
public:
    virtual ~ConnectionHost() = default;
    virtual void dispatch(std::shared_ptr<Exchange> exchange) = 0;
    virtual void remove(Connection& connection) = 0;
    virtual const std::shared_ptr<const ServerOptions>& options() const = 0;
    virtual io::EventLoop& loop() = 0;
};

class Connection final : public TransportUser,
                         public OutletOwner,
                         public std::enable_shared_from_this<Connection> {
public:
    Connection(ConnectionHost& host, std::shared_ptr<Transport> transport, PeerIdentity peer);
    void start();
    void check_deadline(MonotonicTime now);
    /// Ends now when idle, else after the exchange in flight.
    void retire();
    void end();

    void on_ready() override;
    void on_bytes(std::string_view bytes) override;
    void on_end() override;
    void on_written() override;
    void on_broken(const std::string& why) override;
    void carry_out(Outlet& outlet, std::vector<Operation> operations) override;

private:
    /// handshake -> http <-> busy -> (raw | closing) -> gone
    enum class State { handshake, http, busy, raw, closing, gone };

    void consume(std::string_view& bytes);
    void process_pending();
    void begin_exchange();
    void refuse();
    void carry_out_one(Operation& operation);
    void flush();
    void account();
    void complete_exchange();
    void close_gently();
    void deliver_raw(std::string_view bytes);
    void start_raw_reading();
    void end_raw_reading();
    void set_deadline(Duration span);

    ConnectionHost& host_;
    std::shared_ptr<Transport> transport_;
    PeerIdentity peer_;
    State state_ = State::handshake;
    RequestParser parser_;
    std::string pending_;            // came while an exchange was in flight
    std::shared_ptr<Outlet> outlet_; // of the exchange or raw stream in progress
    std::shared_ptr<StreamHandlers> handlers_;
    size_t ours_ = 0;      // unsent bytes in the transport that belong to outlet_
    size_t discarded_ = 0; // bytes read while closing
    bool corked_ = false;  // answers are collected while a batch of requests is parsed
    bool keep_alive_ = true;
    bool retiring_ = false;
    bool processing_ = false; // process_pending() is on the stack
    bool again_ = false;      // and has more to do
    bool lingering_ = false;  // closing, and all is sent
    bool raw_ended_ = false;  // on_end was called
    bool streaming_ = false;  // the answer has no known length
    bool finished_ = false;   // the answer's last byte is queued
    bool paused_ = false;     // by the raw stream's owner
    MonotonicTime deadline_ = MonotonicTime::max();
};

} // namespace cloudlet::net
