#include "connection.h"

#include "exchange.h"

namespace cloudlet::net {
namespace {

constexpr size_t max_pending = 64 << 10; // pipelined bytes kept for later
constexpr size_t next_while_unsent =
    64 << 10; // the next request is served while so much of the last is unsent
constexpr size_t max_discarded = 64 << 20;
constexpr Duration linger = std::chrono::seconds(2);

} // namespace

Connection::Connection(ConnectionHost& host, std::shared_ptr<Transport> transport,
                       PeerIdentity peer)
    : host_(host), transport_(std::move(transport)), peer_(std::move(peer)),
      parser_({host.options()->max_header_bytes, host.options()->max_body_bytes}) {}

void Connection::start() {
    set_deadline(host_.options()->header_timeout);
    transport_->start(this);
}

void Connection::set_deadline(Duration span) {
    deadline_ = span == Duration::max() ? MonotonicTime::max() : system_clock().monotonic() + span;
}

void Connection::check_deadline(MonotonicTime now) {
    if (now >= deadline_) end();
}

void Connection::retire() {
    retiring_ = true;
    bool idle = state_ == State::handshake || state_ == State::closing ||
                (state_ == State::http && parser_.idle());
    if (idle && transport_->unsent() == 0) end();
}

void Connection::end() {
    if (state_ == State::gone) return;
    auto self = shared_from_this();
    state_ = State::gone;
    transport_->close();
    if (outlet_) outlet_->end();
    outlet_ = nullptr;
    if (handlers_) {
        host_.loop().post([handlers = std::exchange(handlers_, nullptr)] {
            if (handlers->on_close) handlers->on_close();
        });
    }
    host_.remove(*this);
}

void Connection::on_ready() {
    if (transport_->ssl()) read_peer_identity(transport_->ssl(), peer_);
    state_ = State::http;
    set_deadline(host_.options()->idle_timeout);
}

void Connection::on_broken(const std::string& why) {
    log_debug("net", "connection of {}: {}", peer_.address, why);
    end();
}

void Connection::on_bytes(std::string_view bytes) {
    auto self = shared_from_this();
    switch (state_) {
    case State::raw: return deliver_raw(bytes);
    case State::closing:
        discarded_ += bytes.size();
        if (discarded_ > max_discarded) end();
        return;
    case State::http:
        if (pending_.empty()) {
            if (parser_.state() == RequestParser::State::body || parser_.idle())
                set_deadline(host_.options()->header_timeout);
            consume(bytes);
            return;
        }
        [[fallthrough]];
    case State::busy:
        pending_.append(bytes);
        if (pending_.size() > max_pending) transport_->pause_reading();
        return;
    case State::handshake:
    case State::gone: return;
    }
}

/// Parses and dispatches until the bytes are used up or an exchange must be waited for. Answers
/// that are ready at once leave together.
void Connection::consume(std::string_view& bytes) {
    corked_ = true;
    while (state_ == State::http && !bytes.empty()) {
        auto parsed = parser_.feed(bytes);
        if (parsed == RequestParser::State::complete) {
            begin_exchange();
        } else if (parsed == RequestParser::State::failed) {
            refuse();
        } else if (parser_.wants_continue()) {
            parser_.continue_sent();
            transport_->push({"HTTP/1.1 100 Continue\r\n\r\n", nullptr});
        }
    }
    corked_ = false;
    bool waits = state_ == State::busy || state_ == State::raw;
    if (waits && !bytes.empty()) pending_.assign(bytes);
    flush();
}

/// Serves what was pipelined. Answers that are ready at once come back here: they are taken in
/// turns, so that a thousand requests in one packet do not become a thousand stack frames.
void Connection::process_pending() {
    again_ = true;
    if (processing_) return;
    processing_ = true;
    while (std::exchange(again_, false)) {
        std::string bytes = std::exchange(pending_, {});
        std::string_view rest = bytes;
        if (!rest.empty()) consume(rest);
    }
    processing_ = false;
    bool ended = transport_->ended();
    bool room = state_ == State::http || (state_ == State::busy && pending_.size() <= max_pending);
    if (room && !ended) transport_->resume_reading();
    // What was pipelined before the peer's end is answered; a torn rest is not waited for.
    if (state_ == State::http && ended) close_gently();
}

void Connection::begin_exchange() {
    auto impl = std::make_unique<Exchange::Impl>();
    keep_alive_ = parser_.keep_alive() && !retiring_;
    impl->frame = {false, parser_.http_1_0(), keep_alive_};
    impl->request = parser_.take();
    impl->request.peer = peer_;
    impl->frame.head_request = impl->request.method == "HEAD";
    impl->options = host_.options();
    outlet_ =
        std::make_shared<Outlet>(host_.loop(), weak_from_this(), host_.options()->max_queued_bytes);
    impl->outlet = outlet_;
    ours_ = 0;
    streaming_ = finished_ = false;
    state_ = State::busy;
    deadline_ = MonotonicTime::max();
    host_.dispatch(std::make_shared<Exchange>(std::move(impl)));
}

/// Answers what is no request, and closes: nobody knows where the next one would begin.
void Connection::refuse() {
    auto page = render_error(*host_.options(), parser_.status(), parser_.message());
    AnswerFrame frame{false, false, false};
    transport_->push(
        {format_head(frame, page.status, page.headers, page.body.size()) + page.body, nullptr});
    close_gently();
}

void Connection::carry_out(Outlet& outlet, std::vector<Operation> operations) {
    auto self = shared_from_this();
    for (auto next = operations.begin(); next != operations.end(); ++next) {
        if (&outlet != outlet_.get() || state_ == State::gone) {
            operations.erase(operations.begin(), next);
            return outlet.discard(std::move(operations));
        }
        carry_out_one(*next);
    }
    if (corked_) {
        account();
    } else {
        flush();
    }
}

void Connection::carry_out_one(Operation& operation) {
    using Kind = Operation::Kind;
    if (state_ == State::closing && operation.kind == Kind::bytes) {
        outlet_->sent(operation.size()); // written after close()
        return;
    }
    ours_ += operation.size();
    for (auto& piece : operation.pieces) transport_->push(std::move(piece));
    switch (operation.kind) {
    case Kind::bytes: break;
    case Kind::head:
        streaming_ = true;
        // The end of an HTTP/1.0 connection is the end of the body.
        if (parser_.http_1_0()) keep_alive_ = false;
        // After the client's end nobody would tell us when it is gone.
        if (transport_->ended()) end();
        break;
    case Kind::last:
        finished_ = true;
        if (!streaming_) set_deadline(host_.options()->write_timeout);
        break;
    case Kind::upgrade:
        state_ = State::raw;
        transport_->pause_reading(); // until somebody takes the bytes
        break;
    case Kind::handlers:
        handlers_ = std::move(operation.handlers);
        host_.loop().post([weak = weak_from_this()] {
            if (auto self = weak.lock()) self->start_raw_reading();
        });
        break;
    case Kind::half_close: transport_->end_writing(); break;
    case Kind::close: close_gently(); break;
    case Kind::abort: end(); break;
    case Kind::pause:
        paused_ = true;
        transport_->pause_reading();
        break;
    case Kind::resume:
        paused_ = false;
        host_.loop().post([weak = weak_from_this()] {
            if (auto self = weak.lock()) self->start_raw_reading();
        });
        break;
    }
}

void Connection::flush() {
    if (state_ == State::gone) return;
    transport_->flush();
    account();
}

/// Tells the outlet what the kernel took, and goes on when an answer is complete.
void Connection::account() {
    size_t unsent = transport_->unsent();
    if (outlet_) {
        size_t now = std::min(unsent, ours_);
        if (now < ours_) outlet_->sent(ours_ - now);
        ours_ = now;
    }
    if (state_ == State::busy && finished_ && unsent <= next_while_unsent) complete_exchange();
    if (state_ != State::closing || transport_->unsent()) return;
    // A server that stops does not wait for clients to close.
    if (transport_->ended() || retiring_) return end();
    if (!std::exchange(lingering_, true)) set_deadline(linger);
}

void Connection::on_written() {
    auto self = shared_from_this();
    if (deadline_ != MonotonicTime::max() && transport_->unsent())
        set_deadline(host_.options()->write_timeout);
    account();
}

void Connection::complete_exchange() {
    outlet_->end();
    outlet_ = nullptr;
    finished_ = false;
    if (!keep_alive_ || retiring_) return close_gently();
    state_ = State::http;
    set_deadline(host_.options()->idle_timeout);
    if (!corked_) process_pending();
}

/// Sends what is queued, ends our direction, and reads (and drops) until the client closes: a close
/// with unread bytes would reset the connection and take the answer with it.
void Connection::close_gently() {
    if (state_ == State::closing || state_ == State::gone) return;
    state_ = State::closing;
    set_deadline(host_.options()->write_timeout);
    transport_->end_writing();
    if (!transport_->ended()) transport_->resume_reading();
    host_.loop().post([weak = weak_from_this()] { // not from within a call of the owner
        auto self = weak.lock();
        if (self && self->state_ == State::closing) self->account();
    });
}

void Connection::on_end() {
    auto self = shared_from_this();
    switch (state_) {
    case State::raw:
        if (pending_.empty()) end_raw_reading();
        return;
    case State::busy:
        // Half-closed after the request: it is still answered. A stream without end is not: its
        // client is gone, or cannot say so later.
        if (streaming_ && !finished_) end();
        return;
    case State::closing:
        if (transport_->unsent() == 0) end();
        return;
    default:
        if (transport_->unsent()) return close_gently();
        end();
    }
}

void Connection::start_raw_reading() {
    if (state_ != State::raw || paused_ || !handlers_) return;
    std::string bytes = std::exchange(pending_, {});
    if (!bytes.empty()) deliver_raw(bytes);
    if (state_ != State::raw || paused_) return;
    if (transport_->ended()) return end_raw_reading();
    transport_->resume_reading();
}

void Connection::end_raw_reading() {
    auto handlers = handlers_;
    if (!handlers || !handlers->on_end) return close_gently();
    if (!std::exchange(raw_ended_, true)) handlers->on_end();
}

void Connection::deliver_raw(std::string_view bytes) {
    auto self = shared_from_this();
    auto handlers = handlers_; // survives its own call
    if (paused_ || !handlers) {
        pending_.append(bytes);
    } else if (handlers->on_data) {
        handlers->on_data(bytes);
    }
}

} // namespace cloudlet::net
