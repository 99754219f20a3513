// Requests per second over loopback: `threads` clients' sockets are driven by one poll loop of our
// own, so that server and clients share the machine as they do in the promises of SPECIFICATION.md.

#include <benchmark/benchmark.h>

#include <poll.h>
#include <sys/resource.h>

#include <thread>

#include "openssl.h"
#include "test_support.h"

namespace cloudlet::net {
namespace {

/// One keep-alive connection with one request in flight, without waiting.
class LoadConnection {
public:
    LoadConnection(uint16_t port, TlsContext* tls) {
        auto address = must(tcp_address("127.0.0.1", port));
        fd_ = io::UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        check(::connect(fd_.get(), address.get(), address.size) == 0, "connect");
        if (tls) {
            ssl_ = must(make_ssl(*tls, fd_.get(), "127.0.0.1"));
            check(SSL_connect(ssl_.get()) == 1, "TLS handshake");
        }
        must(io::set_nonblocking(fd_.get(), true));
    }
    void send(std::string_view request) {
        auto sent = ssl_ ? SSL_write(ssl_.get(), request.data(), static_cast<int>(request.size()))
                         : static_cast<int>(::send(fd_.get(), request.data(), request.size(), 0));
        check(sent == static_cast<int>(request.size()), "a request fits the socket");
        got_ = 0;
    }
    /// True when `expected` bytes of the answer are here.
    bool read_answer(size_t expected) {
        char buffer[65536];
        for (;;) {
            int got = ssl_ ? SSL_read(ssl_.get(), buffer, sizeof buffer)
                           : static_cast<int>(::recv(fd_.get(), buffer, sizeof buffer, 0));
            if (got <= 0) return false;
            got_ += static_cast<size_t>(got);
            if (!expected) { // the first answer tells the size of all
                std::string_view text(buffer, static_cast<size_t>(got));
                size_ = text.size();
            }
            if (got_ >= (expected ? expected : size_)) return true;
        }
    }
    size_t size() const { return size_; }
    int fd() const { return fd_.get(); }

private:
    io::UniqueFd fd_;
    SslPtr ssl_;
    size_t got_ = 0;
    size_t size_ = 0;
};

/// Runs `rounds` requests over the connections and returns when all are answered.
void drive(std::vector<std::unique_ptr<LoadConnection>>& connections, size_t requests,
           size_t answer_size) {
    static const std::string request =
        "GET /api/v1/namespaces/default/configmaps/one HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "User-Agent: bench\r\nAccept: application/json\r\nAuthorization: Bearer " +
        std::string(800, 't') + "\r\n\r\n";
    std::vector<pollfd> entries;
    size_t started = 0, done = 0;
    for (auto& connection : connections) {
        entries.push_back({connection->fd(), POLLIN, 0});
        connection->send(request);
        ++started;
    }
    while (done < requests) {
        ::poll(entries.data(), entries.size(), 1000);
        for (size_t i = 0; i < entries.size(); ++i) {
            if (!entries[i].revents || !connections[i]->read_answer(answer_size)) continue;
            ++done;
            if (started >= requests) continue;
            connections[i]->send(request);
            ++started;
        }
    }
}

/// Of the whole process, client and server.
double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void get(benchmark::State& state, bool tls, bool inline_handler) {
    auto body = share(std::string(900, 'j'));
    ServerOptions options;
    auto answer = [body](const std::shared_ptr<Exchange>& exchange) {
        exchange->respond({200, {{"Content-Type", "application/json"}}, {}, body});
    };
    if (inline_handler) {
        options.inline_handler = [answer](const std::shared_ptr<Exchange>& exchange) {
            answer(exchange);
            return true;
        };
    }
    TestServer server([answer](std::shared_ptr<Exchange> exchange) { answer(exchange); },
                      std::move(options), tls);
    auto context = tls ? must(TlsContext::client(TestPki::get().client_tls(false))) : nullptr;
    std::vector<std::unique_ptr<LoadConnection>> connections;
    for (int i = 0; i < state.range(0); ++i)
        connections.push_back(
            std::make_unique<LoadConnection>(server.server->port(), context.get()));
    std::vector<std::unique_ptr<LoadConnection>> one;
    one.push_back(std::move(connections.back()));
    drive(one, 1, 0);
    size_t answer_size = one.front()->size();
    connections.back() = std::move(one.front());
    constexpr size_t batch = 5000;
    double before = cpu_seconds();
    for (auto _ : state) drive(connections, batch, answer_size);
    auto requests = static_cast<double>(state.iterations()) * batch;
    state.SetItemsProcessed(static_cast<int64_t>(requests));
    state.counters["cpu_us_per_request"] = (cpu_seconds() - before) * 1e6 / requests;
}

void BM_PlainGetInline(benchmark::State& state) { get(state, false, true); }
void BM_TlsGetInline(benchmark::State& state) { get(state, true, true); }
void BM_TlsGetFromPool(benchmark::State& state) { get(state, true, false); }
BENCHMARK(BM_PlainGetInline)->Arg(64)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(BM_TlsGetInline)->Arg(1)->Arg(64)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(BM_TlsGetFromPool)->Arg(64)->UseRealTime()->Unit(benchmark::kMillisecond);

void BM_TlsHandshake(benchmark::State& state) {
    TestServer server(echo, {}, true);
    auto context = must(TlsContext::client(TestPki::get().client_tls(true)));
    for (auto _ : state) LoadConnection(server.server->port(), context.get());
}
BENCHMARK(BM_TlsHandshake)->UseRealTime();

void BM_IssueCertificate(benchmark::State& state) {
    for (auto _ : state)
        benchmark::DoNotOptimize(
            issue(TestPki::get().authority, {.common_name = "node", .client = true}));
}
BENCHMARK(BM_IssueCertificate);

void BM_SignToken(benchmark::State& state) {
    auto key = must(Es256Key::load(must(make_key())));
    for (auto _ : state) benchmark::DoNotOptimize(key->sign("header.payload"));
}
BENCHMARK(BM_SignToken);

/// Bytes of resident memory that one idle watch over TLS costs the server (its kernel buffers
/// aside).
void BM_IdleWatchMemory(benchmark::State& state) {
    auto resident = [] {
        auto text = must(io::read_file("/proc/self/statm"));
        return std::stol(text.substr(text.find(' ') + 1)) * 4096;
    };
    std::mutex mutex;
    std::vector<std::shared_ptr<Exchange>> watches;
    TestServer server(
        [&](std::shared_ptr<Exchange> exchange) {
            exchange->start_stream(200, {{"Content-Type", "application/json"}});
            std::lock_guard lock(mutex);
            watches.push_back(std::move(exchange));
        },
        {}, true);
    auto context = must(TlsContext::client(TestPki::get().client_tls(state.range(0) != 0)));
    constexpr size_t count = 1000;
    for (auto _ : state) {
        long before = resident();
        std::vector<io::UniqueFd> sockets;
        for (size_t i = 0; i < count; ++i) {
            // The client's TLS state goes; its socket stays, so that only the server's side is
            // counted.
            LoadConnection connection(server.server->port(), context.get());
            connection.send("GET /watch HTTP/1.1\r\nHost: x\r\n\r\n");
            sockets.push_back(must(io::duplicate(connection.fd())));
            for (;;) {
                std::lock_guard lock(mutex);
                if (watches.size() > i) break;
            }
        }
        state.counters["bytes_per_watch"] = static_cast<double>(resident() - before) / count;
    }
}
BENCHMARK(BM_IdleWatchMemory)
    ->ArgName("client_certificate")
    ->Arg(0)
    ->Arg(1)
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

} // namespace
} // namespace cloudlet::net
