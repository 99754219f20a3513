#include <mutex>

#include "cloudlet/net/spdy.h"
#include "spdy_codec.h"

namespace cloudlet::net {
namespace {

constexpr int64_t default_window = 64 << 10;
constexpr int64_t max_window = 0x7fffffff;
constexpr size_t max_frame = 16 << 10;
constexpr size_t max_unread = 256 << 10; // over all streams; then the transport is not read

class Session;

/// State under the session's mutex, except id_ and headers_, which never change.
class Stream final : public SpdyStream, public std::enable_shared_from_this<Stream> {
public:
    Stream(std::shared_ptr<Session> session, uint32_t id, Headers headers, int64_t window)
        : session_(std::move(session)), id_(id), headers_(std::move(headers)),
          send_window_(window) {}
    uint32_t id() const override { return id_; }
    const Headers& headers() const override { return headers_; }
    void set_handlers(Handlers handlers) override;
    bool write(std::string_view bytes) override;
    size_t queued_bytes() const override;
    void close_write() override;
    void reset() override;
    void pause_reading() override;
    void resume_reading() override;

private:
    friend class Session;
    const std::shared_ptr<Session> session_;
    const uint32_t id_;
    const Headers headers_;
    std::shared_ptr<Handlers> handlers_;
    std::string outbox_; // waits for a window
    std::string inbox_;  // waits for handlers, or for resume_reading()
    int64_t send_window_;
    bool paused_ = false;
    bool delivering_ = false; // one thread at a time hands out the inbox
    bool fin_wanted_ = false;
    bool local_closed_ = false;
    bool remote_closed_ = false;
    bool end_given_ = false;
    bool gone_ = false;
};

class Session final : public SpdySession {
public:
    Session(Role role, std::function<void(std::string)> output, Handlers handlers,
            FlowControl flow_control, size_t max_streams)
        : role_(role), output_(std::move(output)), handlers_(std::move(handlers)),
          windows_count_(flow_control == FlowControl::strict), max_streams_(max_streams),
          next_id_(role == Role::client ? 1 : 2), next_ping_(role == Role::client ? 1 : 2) {}

    Result<> receive(std::string_view bytes) override;
    void end_of_input() override { end_session(false); }
    Result<std::shared_ptr<SpdyStream>> open_stream(const Headers& headers) override;
    void ping() override;
    void close() override { end_session(true); }
    size_t stream_count() const override;

    void attach_transport(const std::shared_ptr<ByteStream>& stream);

private:
    friend class Stream;
    using Lock = std::unique_lock<std::mutex>;
    std::shared_ptr<Session> self() {
        return std::static_pointer_cast<Session>(shared_from_this());
    }
    std::shared_ptr<Stream> find(uint32_t id);
    Result<> handle(const SpdyFrame& frame);
    Result<> accept_stream(const SpdyFrame& frame);
    Result<> take_data(const SpdyFrame& frame);
    void peer_closed(Lock& lock, const std::shared_ptr<Stream>& stream);
    Result<> open_window(const SpdyFrame& frame);
    void change_initial_window(uint32_t window);
    void answer_ping(uint32_t id);
    void deliver(Lock& lock, const std::shared_ptr<Stream>& stream);
    void pump(Stream& stream);
    void pump_all();
    void settle(Lock& lock, const std::shared_ptr<Stream>& stream);
    void drop(Lock& lock, const std::shared_ptr<Stream>& stream);
    void end_session(bool say_so);
    void throttle();
    bool ours(uint32_t id) const { return (id % 2 == 1) == (role_ == Role::client); }

    const Role role_;
    const std::function<void(std::string)> output_;
    SpdyDecoder decoder_; // only receive()
    mutable std::mutex mutex_;
    SpdyEncoder encoder_;
    Handlers handlers_;
    std::map<uint32_t, std::shared_ptr<Stream>> streams_;
    std::weak_ptr<ByteStream> transport_;
    bool windows_count_;
    size_t max_streams_;
    uint32_t next_id_;
    uint32_t next_ping_;
    uint32_t last_peer_id_ = 0;
    int64_t send_window_ = default_window;
    int64_t initial_window_ = default_window;
    size_t unread_ = 0; // bytes in all inboxes
    bool throttled_ = false;
    bool going_away_ = false;
    bool over_ = false;
};

std::shared_ptr<Stream> Session::find(uint32_t id) {
    auto found = streams_.find(id);
    return found == streams_.end() ? nullptr : found->second;
}

Result<> Session::receive(std::string_view bytes) {
    auto keep = shared_from_this();
    for (;;) {
        {
            std::lock_guard lock(mutex_);
            if (over_) return fail(Code::cancelled, "the SPDY session is over");
        }
        auto frame = decoder_.next(bytes);
        if (frame && !*frame) return {};
        auto handled = frame ? handle(**frame) : Result<>(tl::unexpected(frame.error()));
        if (handled) continue;
        {
            std::lock_guard lock(mutex_);
            if (!over_) output_(SpdyEncoder::go_away(last_peer_id_, SpdyStatus::protocol_error));
        }
        end_session(false);
        return handled;
    }
}

Result<> Session::handle(const SpdyFrame& frame) {
    switch (frame.type) {
    case SpdyType::syn_stream: return accept_stream(frame);
    case SpdyType::data: return take_data(frame);
    case SpdyType::window_update: return open_window(frame);
    case SpdyType::ping: answer_ping(frame.value); return {};
    case SpdyType::syn_reply:
    case SpdyType::headers: {
        Lock lock(mutex_);
        auto stream = find(frame.stream);
        if (stream && frame.fin()) peer_closed(lock, stream);
        return {};
    }
    case SpdyType::rst_stream: {
        Lock lock(mutex_);
        if (auto stream = find(frame.stream)) drop(lock, stream);
        return {};
    }
    case SpdyType::settings:
        if (frame.initial_window) change_initial_window(*frame.initial_window);
        return {};
    case SpdyType::go_away: {
        Lock lock(mutex_);
        going_away_ = true;
        return {};
    }
    }
    return {};
}

Result<> Session::accept_stream(const SpdyFrame& frame) {
    Lock lock(mutex_);
    if (frame.stream == 0 || ours(frame.stream) || frame.stream <= last_peer_id_)
        return fail(Code::invalid,
                    fmt::format("SPDY: stream id {} is not the peer's next", frame.stream));
    last_peer_id_ = frame.stream;
    if (streams_.size() >= max_streams_ || going_away_) {
        output_(SpdyEncoder::rst_stream(frame.stream, SpdyStatus::refused_stream));
        return {};
    }
    auto stream = std::make_shared<Stream>(self(), frame.stream, frame.headers, initial_window_);
    stream->remote_closed_ = frame.fin();
    stream->local_closed_ = frame.flags & spdy_flag_unidirectional;
    streams_.emplace(frame.stream, stream);
    output_(encoder_.syn_reply(frame.stream, {}));
    auto on_stream = handlers_.on_stream;
    lock.unlock();
    if (on_stream) {
        on_stream(stream);
    } else {
        stream->reset();
    }
    return {};
}

Result<> Session::take_data(const SpdyFrame& frame) {
    Lock lock(mutex_);
    auto stream = find(frame.stream);
    if (!stream || stream->remote_closed_) {
        // Late bytes of a stream that we dropped still count in the session's window.
        if (!frame.data.empty())
            output_(SpdyEncoder::window_update(0, static_cast<uint32_t>(frame.data.size())));
        bool known = ours(frame.stream) ? frame.stream < next_id_ : frame.stream <= last_peer_id_;
        if (!known || stream)
            output_(SpdyEncoder::rst_stream(frame.stream, SpdyStatus::invalid_stream));
        return {};
    }
    stream->inbox_.append(frame.data);
    unread_ += frame.data.size();
    if (frame.fin()) stream->remote_closed_ = true;
    deliver(lock, stream);
    return {};
}

void Session::peer_closed(Lock& lock, const std::shared_ptr<Stream>& stream) {
    stream->remote_closed_ = true;
    deliver(lock, stream);
}

/// Hands out what came, gives its window back, and reports the end. The lock is released for calls.
void Session::deliver(Lock& lock, const std::shared_ptr<Stream>& stream) {
    if (stream->delivering_) return;
    stream->delivering_ = true;
    while (stream->handlers_ && !stream->paused_ && !stream->gone_ && !stream->inbox_.empty()) {
        std::string bytes = std::exchange(stream->inbox_, {});
        unread_ -= bytes.size();
        auto handlers = stream->handlers_;
        lock.unlock();
        if (handlers->on_data) handlers->on_data(bytes);
        lock.lock();
        if (over_) break;
        auto size = static_cast<uint32_t>(bytes.size());
        output_(SpdyEncoder::window_update(0, size));
        if (!stream->remote_closed_ && !stream->gone_)
            output_(SpdyEncoder::window_update(stream->id_, size));
    }
    bool read = stream->handlers_ && stream->inbox_.empty() && !stream->gone_;
    if (read && stream->remote_closed_ && !std::exchange(stream->end_given_, true)) {
        auto handlers = stream->handlers_;
        lock.unlock();
        if (handlers->on_end) handlers->on_end();
        lock.lock();
    }
    stream->delivering_ = false;
    throttle();
    settle(lock, stream);
}

/// Both directions ended and everything was handed out: the stream is over.
void Session::settle(Lock& lock, const std::shared_ptr<Stream>& stream) {
    if (stream->local_closed_ && stream->remote_closed_ &&
        (stream->end_given_ || !stream->handlers_)) {
        if (stream->handlers_) drop(lock, stream);
    }
}

void Session::drop(Lock& lock, const std::shared_ptr<Stream>& stream) {
    if (stream->gone_) return;
    stream->gone_ = true;
    unread_ -= stream->inbox_.size();
    stream->inbox_.clear();
    stream->outbox_.clear();
    streams_.erase(stream->id_);
    auto handlers = std::exchange(stream->handlers_, nullptr);
    throttle();
    if (!handlers || !handlers->on_close) return;
    lock.unlock();
    handlers->on_close();
    lock.lock();
}

Result<> Session::open_window(const SpdyFrame& frame) {
    Lock lock(mutex_);
    windows_count_ = true;
    auto stream = find(frame.stream);
    if (frame.stream != 0 && !stream) return {};
    int64_t& window = stream ? stream->send_window_ : send_window_;
    window += frame.value;
    if (window > max_window) {
        if (!stream) return fail(Code::invalid, "SPDY: the session's window overflows");
        output_(SpdyEncoder::rst_stream(frame.stream, SpdyStatus::flow_control_error));
        drop(lock, stream);
        return {};
    }
    pump_all();
    return {};
}

void Session::change_initial_window(uint32_t window) {
    Lock lock(mutex_);
    windows_count_ = true;
    for (auto& [id, stream] : streams_) stream->send_window_ += window - initial_window_;
    initial_window_ = window;
    pump_all();
}

void Session::answer_ping(uint32_t id) {
    Lock lock(mutex_);
    if (id && !ours(id)) output_(SpdyEncoder::ping(id));
}

void Session::ping() {
    Lock lock(mutex_);
    if (over_) return;
    output_(SpdyEncoder::ping(next_ping_));
    next_ping_ += 2;
}

/// Sends what the windows allow. Windows are counted also while they do not yet bind, so that a
/// peer that begins to use them finds the truth.
void Session::pump(Stream& stream) {
    size_t sent = 0;
    while (sent < stream.outbox_.size()) {
        size_t size = std::min(stream.outbox_.size() - sent, max_frame);
        if (windows_count_) {
            int64_t window = std::min(send_window_, stream.send_window_);
            if (window <= 0) break;
            size = std::min(size, static_cast<size_t>(window));
        }
        bool fin = stream.fin_wanted_ && sent + size == stream.outbox_.size();
        output_(SpdyEncoder::data(stream.id_, std::string_view(stream.outbox_).substr(sent, size),
                                  fin));
        sent += size;
        send_window_ -= static_cast<int64_t>(size);
        stream.send_window_ -= static_cast<int64_t>(size);
        if (fin) stream.local_closed_ = true;
    }
    stream.outbox_.erase(0, sent);
    if (!stream.fin_wanted_ || stream.local_closed_ || !stream.outbox_.empty()) return;
    output_(SpdyEncoder::data(stream.id_, {}, true));
    stream.local_closed_ = true;
}

void Session::pump_all() {
    for (auto& [id, stream] : streams_)
        if (!stream->local_closed_) pump(*stream);
}

/// A peer that ignores windows is held back by TCP instead.
void Session::throttle() {
    bool wanted = unread_ > max_unread;
    if (wanted == throttled_) return;
    auto transport = transport_.lock();
    if (!transport) return;
    throttled_ = wanted;
    if (wanted) {
        transport->pause_reading();
    } else {
        transport->resume_reading();
    }
}

Result<std::shared_ptr<SpdyStream>> Session::open_stream(const Headers& headers) {
    Lock lock(mutex_);
    if (over_ || going_away_) return fail(Code::cancelled, "the SPDY session is ending");
    uint32_t id = next_id_;
    next_id_ += 2;
    auto stream = std::make_shared<Stream>(self(), id, headers, initial_window_);
    streams_.emplace(id, stream);
    output_(encoder_.syn_stream(id, headers));
    return stream;
}

size_t Session::stream_count() const {
    Lock lock(mutex_);
    return streams_.size();
}

void Session::end_session(bool say_so) {
    auto keep = shared_from_this();
    Lock lock(mutex_);
    if (over_) return;
    over_ = true;
    if (say_so) output_(SpdyEncoder::go_away(last_peer_id_, 0));
    auto handlers = std::exchange(handlers_, {});
    auto transport = transport_.lock();
    while (!streams_.empty()) {
        auto stream = streams_.begin()->second;
        drop(lock, stream);
    }
    lock.unlock();
    if (transport) transport->close();
    if (handlers.on_close) handlers.on_close();
}

void Session::attach_transport(const std::shared_ptr<ByteStream>& stream) {
    {
        Lock lock(mutex_);
        transport_ = stream;
    }
    // The stream's handlers keep session and stream alive until the connection is gone.
    auto session = self();
    stream->set_handlers(
        {[session](std::string_view bytes) { static_cast<void>(session->receive(bytes)); },
         [session, stream] {
             session->end_of_input();
             stream->close();
         },
         [session] { session->end_of_input(); }});
}

void Stream::set_handlers(Handlers handlers) {
    Session::Lock lock(session_->mutex_);
    auto kept = std::make_shared<Handlers>(std::move(handlers));
    if (gone_) {
        lock.unlock();
        if (kept->on_close) kept->on_close();
        return;
    }
    handlers_ = std::move(kept);
    session_->deliver(lock, shared_from_this());
}

bool Stream::write(std::string_view bytes) {
    Session::Lock lock(session_->mutex_);
    if (gone_ || fin_wanted_ || local_closed_) return false;
    outbox_.append(bytes);
    session_->pump(*this);
    return true;
}

size_t Stream::queued_bytes() const {
    Session::Lock lock(session_->mutex_);
    auto transport = session_->transport_.lock();
    return outbox_.size() + (transport ? transport->queued_bytes() : 0);
}

void Stream::close_write() {
    Session::Lock lock(session_->mutex_);
    if (gone_ || fin_wanted_ || local_closed_) return;
    fin_wanted_ = true;
    session_->pump(*this);
    session_->settle(lock, shared_from_this());
}

void Stream::reset() {
    Session::Lock lock(session_->mutex_);
    if (gone_) return;
    session_->output_(SpdyEncoder::rst_stream(id_, SpdyStatus::cancel));
    session_->drop(lock, shared_from_this());
}

void Stream::pause_reading() {
    Session::Lock lock(session_->mutex_);
    paused_ = true;
}

void Stream::resume_reading() {
    Session::Lock lock(session_->mutex_);
    paused_ = false;
    if (!gone_) session_->deliver(lock, shared_from_this());
}

} // namespace

std::shared_ptr<SpdySession> SpdySession::create(Role role, std::function<void(std::string)> output,
                                                 Handlers handlers, FlowControl flow_control,
                                                 size_t max_streams) {
    return std::make_shared<Session>(role, std::move(output), std::move(handlers), flow_control,
                                     max_streams);
}

void SpdySession::attach(const std::shared_ptr<SpdySession>& session,
                         const std::shared_ptr<ByteStream>& stream) {
    std::static_pointer_cast<Session>(session)->attach_transport(stream);
}

std::shared_ptr<SpdySession> SpdySession::serve(const std::shared_ptr<ByteStream>& stream,
                                                Handlers handlers) {
    auto session = create(
        Role::server,
        [weak = std::weak_ptr(stream)](std::string bytes) {
            if (auto locked = weak.lock()) locked->write(std::move(bytes));
        },
        std::move(handlers));
    attach(session, stream);
    return session;
}

} // namespace cloudlet::net
