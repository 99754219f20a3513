#include "exchange.h"

namespace cloudlet::net {
namespace {

constexpr size_t copied_size =
    4 << 10; // smaller bodies are copied behind their head: one piece to send

using Kind = Operation::Kind;

/// The raw stream over a server's connection.
class ServerStream final : public ByteStream {
public:
    explicit ServerStream(std::shared_ptr<Outlet> outlet) : outlet_(std::move(outlet)) {}
    ~ServerStream() override { outlet_->push({Kind::close}); }

    void set_handlers(StreamHandlers handlers) override {
        Operation operation{Kind::handlers};
        operation.handlers = std::make_shared<StreamHandlers>(std::move(handlers));
        auto kept = operation.handlers;
        if (outlet_->push(std::move(operation))) return;
        outlet_->on_close([kept] {
            if (kept->on_close) kept->on_close();
        });
    }
    bool write(std::string bytes) override {
        Operation operation{Kind::bytes};
        operation.pieces[0].owned = std::move(bytes);
        return outlet_->push(std::move(operation));
    }
    size_t queued_bytes() const override { return outlet_->queued(); }
    void when_drained(size_t level, std::function<void()> function) override {
        outlet_->when_drained(level, std::move(function));
    }
    void close_write() override { outlet_->push({Kind::half_close}); }
    void close() override { outlet_->push({Kind::close}); }
    void pause_reading() override { outlet_->push({Kind::pause}); }
    void resume_reading() override { outlet_->push({Kind::resume}); }

private:
    std::shared_ptr<Outlet> outlet_;
};

} // namespace

Response render_error(const ServerOptions& options, int status, std::string message) {
    if (options.error_page) return options.error_page(status, std::move(message));
    return Response{status, {{"Content-Type", "text/plain; charset=utf-8"}}, message + "\n"};
}

Exchange::Exchange(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Exchange::~Exchange() {
    if (impl_->phase == Impl::Phase::open && !impl_->outlet->over())
        respond(render_error(*impl_->options, 500, "the request was dropped without an answer"));
    if (impl_->phase == Impl::Phase::streaming) abort();
}

const Request& Exchange::request() const { return impl_->request; }
Request& Exchange::mutable_request() { return impl_->request; }

void Exchange::respond(Response response) {
    if (!impl_->advance(Impl::Phase::open, Impl::Phase::done)) return;
    size_t length = response.shared_body ? response.shared_body->size() : response.body.size();
    Operation operation{Kind::last};
    auto& [head, body, tail] = operation.pieces;
    head.owned = format_head(impl_->frame, response.status, response.headers, length);
    if (!impl_->frame.head_request && status_has_body(response.status)) {
        if (length <= copied_size) {
            head.owned += response.shared_body ? *response.shared_body : response.body;
        } else {
            body.shared = std::move(response.shared_body);
            body.owned = std::move(response.body);
        }
    }
    impl_->outlet->push(std::move(operation));
}

void Exchange::start_stream(int status, Headers headers) {
    if (!impl_->advance(Impl::Phase::open, Impl::Phase::streaming)) return;
    Operation operation{Kind::head};
    AnswerFrame frame = impl_->frame;
    if (frame.http_1_0) frame.keep_alive = false;
    operation.pieces[0].owned = format_head(frame, status, headers, std::nullopt);
    impl_->outlet->push(std::move(operation));
}

/// False for what must not be sent: an empty chunk would end the stream.
bool Exchange::Impl::push_chunk(Piece piece) {
    if (phase != Phase::streaming) return false;
    size_t size = piece.bytes().size();
    if (size == 0 || frame.head_request) return !outlet->over();
    Operation operation{Kind::bytes};
    auto& [first, second, third] = operation.pieces;
    if (raw_body()) {
        first = std::move(piece);
    } else if (size <= copied_size) {
        first.owned = chunk_head(size);
        first.owned.append(piece.bytes()).append("\r\n");
    } else {
        first.owned = chunk_head(size);
        second = std::move(piece);
        third.owned = "\r\n";
    }
    return outlet->push(std::move(operation));
}

bool Exchange::write(SharedBytes bytes) { return impl_->push_chunk({{}, std::move(bytes)}); }
bool Exchange::write(std::string bytes) { return impl_->push_chunk({std::move(bytes), nullptr}); }

size_t Exchange::queued_bytes() const { return impl_->outlet->queued(); }

void Exchange::when_drained(size_t level, std::function<void()> function) {
    impl_->outlet->when_drained(level, std::move(function));
}

void Exchange::finish() {
    if (!impl_->advance(Impl::Phase::streaming, Impl::Phase::done)) return;
    Operation operation{Kind::last};
    if (!impl_->frame.head_request && !impl_->raw_body()) operation.pieces[0].owned = "0\r\n\r\n";
    impl_->outlet->push(std::move(operation));
}

void Exchange::abort() {
    impl_->phase = Impl::Phase::done;
    impl_->outlet->push({Kind::abort});
}

bool Exchange::closed() const { return impl_->outlet->over(); }

void Exchange::on_close(std::function<void()> function) {
    impl_->outlet->on_close(std::move(function));
}

Result<std::shared_ptr<ByteStream>> Exchange::upgrade(int status, Headers headers) {
    if (!impl_->advance(Impl::Phase::open, Impl::Phase::done))
        return fail(Code::cancelled, "the request was already answered");
    Operation operation{Kind::upgrade};
    operation.pieces[0].owned = format_upgrade(status, headers);
    if (!impl_->outlet->push(std::move(operation)))
        return fail(Code::cancelled, "the client is gone");
    return std::make_shared<ServerStream>(impl_->outlet);
}

} // namespace cloudlet::net
