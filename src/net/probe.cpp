#include "cloudlet/net/probe.h"

#include "http_parser.h"
#include "sockets.h"
#include "transport.h"

namespace cloudlet::net {
namespace {

/// One probe: a transport, a timer, and a callback that runs once.
class Probe final : public TransportUser, public std::enable_shared_from_this<Probe> {
public:
    using Finish = std::function<void(Result<int>)>;
    Probe(io::EventLoop& loop, Finish finish)
        : loop_(loop), finish_(std::move(finish)), parser_(false, {64 << 10, SIZE_MAX}) {}

    void start(const ProbeTarget& target, Duration deadline, bool speak_http) {
        timer_ = loop_.after(
            deadline, [this] { finish(fail(Code::timeout, "no answer before the deadline")); });
        auto begun = connect(target, speak_http);
        if (begun) return;
        loop_.post([weak = weak_from_this(), error = begun.error()] { // never from within start()
            if (auto self = weak.lock()) self->finish(tl::unexpected(error));
        });
    }

    void cancel() {
        loop_.cancel(std::exchange(timer_, 0));
        if (transport_) transport_->close();
        finish_ = nullptr;
    }

    void on_ready() override {
        if (request_.empty()) return finish(0);
        transport_->push({request_, nullptr});
        transport_->flush();
    }
    void on_bytes(std::string_view bytes) override {
        parser_.feed(bytes);
        parser_.body().clear();
        if (parser_.state() == ResponseParser::State::failed)
            return finish(fail(Code::invalid, parser_.message()));
        if (parser_.state() != ResponseParser::State::head) finish(parser_.response().status);
    }
    void on_end() override { finish(fail(Code::io, "the connection ended before the answer")); }
    void on_written() override {}
    void on_broken(const std::string& why) override { finish(fail(Code::unavailable, why)); }

private:
    Result<> connect(const ProbeTarget& target, bool speak_http) {
        auto shown = host_and_port(target.address, target.port);
        auto fd = TRY(begin_connect(TRY(tcp_address(target.address, target.port)), shown));
        if (target.https) tls_ = TRY(TlsContext::client({.insecure = true}));
        transport_ = TRY(Transport::create(loop_, std::move(fd), tls_.get(), target.address));
        if (speak_http) {
            request_ = fmt::format("GET {} HTTP/1.1\r\n", target.path.empty() ? "/" : target.path);
            if (!target.headers.has("host")) request_ += fmt::format("Host: {}\r\n", shown);
            if (!target.headers.has("user-agent"))
                request_ += "User-Agent: kube-probe/cloudlet\r\n";
            for (const auto& [name, value] : target.headers)
                request_ += fmt::format("{}: {}\r\n", name, value);
            request_ += "Accept: */*\r\nConnection: close\r\n\r\n";
        }
        transport_->start(this);
        return {};
    }

    void finish(Result<int> result) {
        if (!finish_) return;
        auto self = shared_from_this();
        auto callback = std::exchange(finish_, nullptr);
        cancel();
        callback(std::move(result));
    }

    io::EventLoop& loop_;
    Finish finish_;
    ResponseParser parser_;
    std::shared_ptr<TlsContext> tls_;
    std::shared_ptr<Transport> transport_;
    io::EventLoop::TimerId timer_ = 0;
    std::string request_;
};

class Handle final : public ProbeHandle {
public:
    explicit Handle(std::shared_ptr<Probe> probe) : probe_(std::move(probe)) {}
    ~Handle() override { probe_->cancel(); }

private:
    std::shared_ptr<Probe> probe_;
};

std::unique_ptr<ProbeHandle> begin(io::EventLoop& loop, const ProbeTarget& target,
                                   Duration deadline, bool speak_http, Probe::Finish finish) {
    auto probe = std::make_shared<Probe>(loop, std::move(finish));
    probe->start(target, deadline, speak_http);
    return std::make_unique<Handle>(std::move(probe));
}

} // namespace

std::unique_ptr<ProbeHandle> async_get(io::EventLoop& loop, ProbeTarget target, Duration deadline,
                                       std::function<void(Result<int>)> callback) {
    return begin(loop, target, deadline, true, std::move(callback));
}

std::unique_ptr<ProbeHandle> async_connect(io::EventLoop& loop, const std::string& address,
                                           uint16_t port, Duration deadline,
                                           std::function<void(Result<>)> callback) {
    return begin(loop, {.address = address, .port = port}, deadline, false,
                 [callback = std::move(callback)](Result<int> result) {
                     callback(result ? Result<>() : Result<>(tl::unexpected(result.error())));
                 });
}

} // namespace cloudlet::net
