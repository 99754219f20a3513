#include "cloudlet/net/http_server.h"

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cloudlet/io/file.h"
#include "connection.h"
#include "exchange.h"
#include "sockets.h"

namespace cloudlet::net {
namespace {

constexpr int accepts_per_event = 64;

/// Lets handlers in while the server stands; its end waits for those that are inside.
class Gate {
public:
    bool enter() {
        std::lock_guard lock(mutex_);
        if (closed_) return false;
        ++inside_;
        return true;
    }
    void leave() {
        std::lock_guard lock(mutex_);
        if (--inside_ == 0) empty_.notify_all();
    }
    void close() {
        std::unique_lock lock(mutex_);
        closed_ = true;
        empty_.wait(lock, [&] { return inside_ == 0; });
    }

private:
    std::mutex mutex_;
    std::condition_variable empty_;
    size_t inside_ = 0;
    bool closed_ = false;
};

struct Listener {
    io::UniqueFd fd;
    io::EventLoop::WatchId watch = 0;
    std::shared_ptr<TlsContext> tls;
    std::string unix_path; // empty for TCP
};

} // namespace

struct HttpServer::Impl : ConnectionHost, std::enable_shared_from_this<Impl> {
    Impl(io::EventLoop& event_loop, io::WorkerPool& worker_pool, ServerOptions server_options,
         Handler request_handler)
        : event_loop_(event_loop), pool_(worker_pool),
          options_(std::make_shared<const ServerOptions>(std::move(server_options))),
          handler_(std::move(request_handler)), gate_(std::make_shared<Gate>()) {}

    Result<> add_listener(io::UniqueFd fd, std::shared_ptr<TlsContext> tls,
                          const std::string& unix_path);
    void accept_some(Listener& listener);
    void adopt(Listener& listener, io::UniqueFd fd, const sockaddr_storage& address);
    void pause_accepting(Duration span);
    void set_accepting(io::Events events);
    void sweep();
    void close_listeners();
    void end_connections();

    void dispatch(std::shared_ptr<Exchange> exchange) override;
    void remove(Connection& connection) override;
    const std::shared_ptr<const ServerOptions>& options() const override { return options_; }
    io::EventLoop& loop() override { return event_loop_; }

    io::EventLoop& event_loop_;
    io::WorkerPool& pool_;
    std::shared_ptr<const ServerOptions> options_;
    Handler handler_;
    std::shared_ptr<Gate> gate_;
    std::vector<std::unique_ptr<Listener>> listeners_;                         // loop thread
    std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_; // loop thread
    io::EventLoop::TimerId sweep_timer_ = 0;
    io::EventLoop::TimerId accept_timer_ = 0;
    bool accepting_ = true;
    std::atomic<uint16_t> port_ = 0;
    std::mutex count_mutex_;
    std::condition_variable none_left_;
    size_t count_ = 0; // of connections_, under count_mutex_
};

Result<> HttpServer::Impl::add_listener(io::UniqueFd fd, std::shared_ptr<TlsContext> tls,
                                        const std::string& unix_path) {
    auto listener = std::make_unique<Listener>();
    listener->fd = std::move(fd);
    listener->tls = std::move(tls);
    listener->unix_path = unix_path;
    Result<> outcome;
    event_loop_.call([&] {
        auto watched =
            event_loop_.watch(listener->fd.get(), io::Events::readable,
                              [this, raw = listener.get()](io::Events) { accept_some(*raw); });
        if (!watched) {
            outcome = tl::unexpected(watched.error());
            return;
        }
        listener->watch = *watched;
        listeners_.push_back(std::move(listener));
    });
    return outcome;
}

void HttpServer::Impl::accept_some(Listener& listener) {
    auto self = shared_from_this();
    for (int i = 0; i < accepts_per_event && accepting_; ++i) {
        if (connections_.size() >= options_->max_connections) {
            accepting_ = false; // until one leaves
            return set_accepting(io::Events::none);
        }
        sockaddr_storage address{};
        socklen_t size = sizeof address;
        io::UniqueFd fd(::accept4(listener.fd.get(), reinterpret_cast<sockaddr*>(&address), &size,
                                  SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!fd && (errno == ECONNABORTED || errno == EINTR)) continue;
        if (!fd && errno != EAGAIN) {
            log_warning("net", "accept: {}; trying again soon",
                        fail_errno("accept4").value().message);
            pause_accepting(std::chrono::milliseconds(100));
        }
        if (!fd) return;
        adopt(listener, std::move(fd), address);
    }
}

void HttpServer::Impl::adopt(Listener& listener, io::UniqueFd fd, const sockaddr_storage& address) {
    PeerIdentity peer;
    peer.address = address_text(address);
    peer.control_socket = !listener.unix_path.empty();
    int on = 1, idle = 30, interval = 15,
        count = 4; // a dead peer of an idle stream is noticed in 90 s
    ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    auto transport = Transport::create(event_loop_, std::move(fd), listener.tls.get());
    if (!transport)
        return log_warning("net", "a new connection was dropped: {}",
                           transport.error().to_string());
    auto connection = std::make_shared<Connection>(*this, std::move(*transport), std::move(peer));
    connections_.emplace(connection.get(), connection);
    {
        std::lock_guard lock(count_mutex_);
        count_ = connections_.size();
    }
    connection->start();
    if (!sweep_timer_)
        sweep_timer_ = event_loop_.after(std::chrono::milliseconds(500), [this] { sweep(); });
}

void HttpServer::Impl::pause_accepting(Duration span) {
    accepting_ = false;
    set_accepting(io::Events::none);
    if (accept_timer_) return;
    accept_timer_ = event_loop_.after(span, [this] {
        accept_timer_ = 0;
        accepting_ = true;
        set_accepting(io::Events::readable);
    });
}

void HttpServer::Impl::set_accepting(io::Events events) {
    for (const auto& listener : listeners_) event_loop_.update(listener->watch, events);
}

/// Deadlines need no timer each: a few hundred milliseconds more do not matter to any of them.
void HttpServer::Impl::sweep() {
    sweep_timer_ = 0;
    auto now = system_clock().monotonic();
    std::vector<std::shared_ptr<Connection>> all;
    all.reserve(connections_.size());
    for (const auto& [raw, connection] : connections_) all.push_back(connection);
    for (const auto& connection : all) connection->check_deadline(now);
    if (!connections_.empty())
        sweep_timer_ = event_loop_.after(std::chrono::milliseconds(500), [this] { sweep(); });
}

void HttpServer::Impl::dispatch(std::shared_ptr<Exchange> exchange) {
    if (options_->inline_handler && options_->inline_handler(exchange)) return;
    bool queued = pool_.submit([gate = gate_, this, exchange]() mutable {
        if (!gate->enter()) return; // `this` may be gone
        handler_(std::move(exchange));
        gate->leave();
    });
    if (queued) return;
    auto busy = render_error(*options_, 503, "the server is busy; try again in a second");
    busy.headers.set("Retry-After", "1");
    exchange->respond(std::move(busy));
}

void HttpServer::Impl::remove(Connection& connection) {
    connections_.erase(&connection);
    {
        std::lock_guard lock(count_mutex_);
        count_ = connections_.size();
        if (!count_) none_left_.notify_all();
    }
    if (accepting_ || accept_timer_ || connections_.size() >= options_->max_connections) return;
    accepting_ = true;
    set_accepting(io::Events::readable);
}

void HttpServer::Impl::close_listeners() {
    for (auto& listener : listeners_) {
        event_loop_.unwatch(listener->watch);
        if (!listener->unix_path.empty()) ::unlink(listener->unix_path.c_str());
    }
    listeners_.clear();
    event_loop_.cancel(std::exchange(accept_timer_, 0));
    std::vector<std::shared_ptr<Connection>> all;
    for (const auto& [raw, connection] : connections_) all.push_back(connection);
    for (const auto& connection : all) connection->retire();
}

void HttpServer::Impl::end_connections() {
    while (!connections_.empty()) {
        auto connection = connections_.begin()->second;
        connection->end();
    }
    event_loop_.cancel(std::exchange(sweep_timer_, 0));
}

HttpServer::HttpServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::create(io::EventLoop& loop, io::WorkerPool& pool,
                                                       ServerOptions options, Handler handler) {
    if (!handler) return fail(Code::invalid, "an HTTP server needs a handler");
    auto impl = std::make_shared<Impl>(loop, pool, std::move(options), std::move(handler));
    return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::~HttpServer() { shutdown(Duration::zero()); }

Result<> HttpServer::listen_tcp(const std::string& address, uint16_t port,
                                std::shared_ptr<TlsContext> tls) {
    auto where = TRY(tcp_address(address, port));
    io::UniqueFd fd(::socket(where.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return fail_errno("make a socket");
    int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (where.family() == AF_INET6)
        ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    auto shown = host_and_port(address, port);
    if (::bind(fd.get(), where.get(), where.size) != 0 || ::listen(fd.get(), 1024) != 0) {
        if (errno != EADDRINUSE) return fail_errno("listen on " + shown);
        return fail(
            Code::conflict,
            fmt::format("{} is taken by another program: stop it or choose another port", shown));
    }
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &size);
    TRY(impl_->add_listener(std::move(fd), std::move(tls), {}));
    uint16_t none = 0;
    impl_->port_.compare_exchange_strong(none, port_of(bound));
    return {};
}

uint16_t HttpServer::port() const { return impl_->port_; }

Result<> HttpServer::listen_unix(const std::string& path, unsigned mode) {
    auto where = TRY(unix_address(path));
    if (io::exists(path)) {
        io::UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (::connect(probe.get(), where.get(), where.size) == 0 || errno == EAGAIN)
            return fail(Code::conflict, fmt::format("{} is served by another process", path));
        if (errno != ECONNREFUSED)
            return fail(Code::conflict, fmt::format("{} is in the way and no socket", path));
        TRY(io::remove_file(path));
    }
    io::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return fail_errno("make a socket");
    if (::bind(fd.get(), where.get(), where.size) != 0) return fail_errno("bind " + path);
    // Nobody can connect before listen(): the mode is right from the start.
    if (::chmod(path.c_str(), mode) != 0) return fail_errno("set the mode of " + path);
    if (::listen(fd.get(), 1024) != 0) return fail_errno("listen on " + path);
    return impl_->add_listener(std::move(fd), nullptr, path);
}

void HttpServer::shutdown(Duration grace) {
    auto& loop = impl_->event_loop_;
    loop.call([&] { impl_->close_listeners(); });
    if (grace > Duration::zero() && !loop.in_loop_thread()) {
        std::unique_lock lock(impl_->count_mutex_);
        impl_->none_left_.wait_for(lock, grace, [&] { return impl_->count_ == 0; });
    }
    loop.call([&] { impl_->end_connections(); });
    impl_->gate_->close();
}

size_t HttpServer::connections() const {
    std::lock_guard lock(impl_->count_mutex_);
    return impl_->count_;
}

} // namespace cloudlet::net
