#include "cloudlet/net/http_client.h"

#include "blocking_socket.h"
#include "http_parser.h"
#include "sockets.h"
#include "text.h"

namespace cloudlet::net {
namespace {

std::string format_request(const Request& request, const Url& url) {
    std::string target = request.target;
    if (target.empty())
        target = request.path.empty() ? url.target : percent_encode(request.path, "/:@!$&'()*+,;=");
    if (request.target.empty() && !request.query.empty()) target += "?" + request.query.to_string();
    bool default_port = url.port == (url.scheme == "https" ? 443 : 80);
    std::string out = fmt::format("{} {} HTTP/1.1\r\n", request.method, target);
    if (!request.headers.has("host"))
        out += fmt::format("Host: {}\r\n",
                           default_port ? url.host : host_and_port(url.host, url.port));
    for (const auto& [name, value] : request.headers)
        if (!equal_ignoring_case(name, "content-length"))
            out += fmt::format("{}: {}\r\n", name, value);
    bool has_body = !request.body.empty() || request.method == "POST" || request.method == "PUT" ||
                    request.method == "PATCH";
    if (has_body && !request.headers.has("transfer-encoding"))
        out += fmt::format("Content-Length: {}\r\n", request.body.size());
    out += "\r\n";
    return out + request.body;
}

/// The bytes after a 101, starting with those that came along with its head.
class UpgradedStream final : public BlockingStream {
public:
    UpgradedStream(std::unique_ptr<BlockingSocket> socket, std::shared_ptr<TlsContext> tls,
                   std::string first)
        : tls_(std::move(tls)), socket_(std::move(socket)), first_(std::move(first)) {}
    Result<std::string> read(Duration deadline) override {
        if (!first_.empty()) return std::exchange(first_, {});
        return socket_->read(deadline_after(deadline));
    }
    Result<> write(std::string_view bytes) override {
        return socket_->write(bytes, deadline_after(std::chrono::seconds(60)));
    }
    void close_write() override { socket_->close_write(); }

private:
    std::shared_ptr<TlsContext> tls_;
    std::unique_ptr<BlockingSocket> socket_;
    std::string first_;
};

bool always(const Response&) { return true; }

} // namespace

struct ClientConnection::Impl {
    ClientOptions options;
    Url url;
    std::shared_ptr<TlsContext> tls;
    std::unique_ptr<BlockingSocket> socket;
    std::string rest; // bytes behind the last answer
    bool anything_came = false;

    Result<> open(MonotonicTime deadline);
    Result<> exchange(const Request& request, ResponseParser& parser, const OnHead& on_head,
                      const OnChunk* on_chunk, Duration idle);
    Result<> receive(ResponseParser& parser, const OnHead& on_head, const OnChunk* on_chunk,
                     MonotonicTime deadline, Duration idle);
    Result<bool> pass_on(ResponseParser& parser, const OnHead& on_head, const OnChunk* on_chunk,
                         bool& head_given);
};

ClientConnection::ClientConnection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ClientConnection::~ClientConnection() = default;

Result<std::unique_ptr<ClientConnection>> ClientConnection::create(const ClientOptions& options,
                                                                   const std::string& base_url) {
    auto impl = std::make_unique<Impl>();
    impl->options = options;
    impl->url = TRY(parse_url(base_url));
    if (impl->url.scheme == "https") impl->tls = TRY(TlsContext::client(options.tls));
    return std::make_unique<ClientConnection>(std::move(impl));
}

Result<> ClientConnection::Impl::open(MonotonicTime deadline) {
    rest.clear();
    socket =
        TRY(BlockingSocket::connect(options.unix_path, url.host, url.port, tls.get(), deadline));
    return {};
}

/// Hands out what the parser has; false when the caller wants no more.
Result<bool> ClientConnection::Impl::pass_on(ResponseParser& parser, const OnHead& on_head,
                                             const OnChunk* on_chunk, bool& head_given) {
    if (parser.state() == ResponseParser::State::failed)
        return fail(parser.too_large() ? Code::too_large : Code::invalid, parser.message());
    if (parser.state() == ResponseParser::State::head) return true;
    if (!std::exchange(head_given, true) && !on_head(parser.response())) return false;
    if (!on_chunk || parser.body().empty()) return true;
    std::string piece = std::exchange(parser.body(), {});
    return (*on_chunk)(piece);
}

Result<> ClientConnection::Impl::receive(ResponseParser& parser, const OnHead& on_head,
                                         const OnChunk* on_chunk, MonotonicTime deadline,
                                         Duration idle) {
    bool head_given = false;
    while (parser.state() != ResponseParser::State::complete) {
        auto bytes = socket->read(head_given && on_chunk ? deadline_after(idle) : deadline);
        if (!bytes) return tl::unexpected(bytes.error());
        anything_came = anything_came || !bytes->empty();
        if (bytes->empty() && parser.state() == ResponseParser::State::head)
            return fail(Code::io, "the connection ended before the answer");
        std::string_view input = *bytes;
        if (bytes->empty()) parser.end_of_input();
        // A streaming caller takes each piece before the next is parsed, so nothing is kept.
        parser.feed(input);
        if (!TRY(pass_on(parser, on_head, on_chunk, head_given))) {
            socket.reset();
            return {};
        }
        rest.assign(input);
    }
    return {};
}

Result<> ClientConnection::Impl::exchange(const Request& request, ResponseParser& parser,
                                          const OnHead& on_head, const OnChunk* on_chunk,
                                          Duration idle) {
    auto deadline = deadline_after(options.deadline);
    std::string text = format_request(request, url);
    if (socket && (!rest.empty() || socket->stale())) socket.reset();
    bool reused = socket != nullptr;
    if (!socket) TRY(open(deadline));
    anything_came = false;
    auto outcome = socket->write(text, deadline);
    // A server that refuses early answers before it has read all: its answer is worth more than
    // EPIPE.
    auto received = receive(parser, on_head, on_chunk, deadline, idle);
    bool repeatable = request.method != "POST" && request.method != "PATCH";
    if (!received && reused && repeatable && !anything_came && received.error().code == Code::io) {
        TRY(open(deadline)); // the kept connection was closed at that moment
        outcome = socket->write(text, deadline);
        received = receive(parser, on_head, on_chunk, deadline, idle);
    }
    bool switched = received && parser.response().status == 101;
    if (!received || !outcome || (!parser.keep_alive() && !switched)) socket.reset();
    return received;
}

Result<Response> ClientConnection::request(const Request& request) {
    ResponseParser parser(request.method == "HEAD", {64 << 10, impl_->options.max_body});
    auto outcome = impl_->exchange(request, parser, always, nullptr, Duration::max());
    if (!outcome)
        return with_context(Result<Response>(tl::unexpected(outcome.error())),
                            fmt::format("{} {}", request.method, impl_->url.host));
    if (parser.response().status == 101) impl_->socket.reset();
    return std::move(parser.response());
}

Result<> ClientConnection::stream(const Request& request, const OnHead& on_head,
                                  const OnChunk& on_chunk, Duration idle) {
    ResponseParser parser(request.method == "HEAD", {64 << 10, SIZE_MAX});
    auto outcome = impl_->exchange(request, parser, on_head, &on_chunk, idle);
    return with_context(std::move(outcome), fmt::format("{} {}", request.method, impl_->url.host));
}

Result<ClientConnection::Upgraded> ClientConnection::upgrade(const Request& request) {
    Request asked = request;
    if (!asked.headers.has("connection")) asked.headers.add("Connection", "Upgrade");
    ResponseParser parser(false, {64 << 10, impl_->options.max_body});
    TRY(impl_->exchange(asked, parser, always, nullptr, Duration::max()));
    Upgraded result{std::move(parser.response()), nullptr};
    if (result.head.status == 101)
        result.stream = std::make_unique<UpgradedStream>(std::move(impl_->socket), impl_->tls,
                                                         std::move(impl_->rest));
    return result;
}

void ClientConnection::close() { impl_->socket.reset(); }

/// The URL's target goes into the request unless that names its own.
static Result<std::unique_ptr<ClientConnection>>
connection_for(const ClientOptions& options, const std::string& url, Request& request) {
    auto parsed = TRY(parse_url(url));
    if (request.target.empty() && request.path.empty()) request.target = parsed.target;
    return ClientConnection::create(options, url);
}

Result<Response> http_request(const ClientOptions& options, const std::string& url,
                              Request request) {
    auto connection = TRY(connection_for(options, url, request));
    if (!request.headers.has("connection")) request.headers.add("Connection", "close");
    return connection->request(request);
}

Result<> http_stream(const ClientOptions& options, const std::string& url, Request request,
                     const ClientConnection::OnHead& on_head,
                     const ClientConnection::OnChunk& on_chunk) {
    auto connection = TRY(connection_for(options, url, request));
    return connection->stream(request, on_head, on_chunk);
}

Result<ClientConnection::Upgraded> http_upgrade(const ClientOptions& options,
                                                const std::string& url, Request request) {
    auto connection = TRY(connection_for(options, url, request));
    return connection->upgrade(request);
}

} // namespace cloudlet::net
