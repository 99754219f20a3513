// The API server over TLS on loopback, from clients in the same process: durable creates of
// 600-byte ConfigMaps on 16 connections, GETs on 64. The rates are the counters "creates/s" and
// "gets/s".

#include <atomic>
#include <filesystem>
#include <stdexcept>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "cloudlet/codec/json.h"
#include "cloudlet/io/event_loop.h"
#include "cloudlet/io/worker_pool.h"
#include "cloudlet/kube/server/api_server.h"
#include "cloudlet/net/certificates.h"
#include "cloudlet/net/http_client.h"
#include "cloudlet/net/http_server.h"
#include "cloudlet/store/sqlite.h"

namespace cloudlet::kube::server {
namespace {

constexpr const char* token = "bench-token-of-an-administrator";
constexpr const char* config_maps = "/api/v1/namespaces/default/configmaps";

template <typename T>
T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().to_string());
    return std::move(*result);
}

/// A server on a fresh store; TLS on a free port.
class Cluster {
public:
    Cluster() {
        std::string pattern = "/tmp/cloudlet-bench-XXXXXX";
        folder_ = mkdtemp(pattern.data());
        authority_ = must(net::make_authority("bench-ca"));
        net::CertificateRequest wanted;
        wanted.common_name = "server";
        wanted.ip_addresses = {"127.0.0.1"};
        wanted.server = true;
        const net::KeyPair pair = must(net::issue(authority_, wanted));
        store::SqliteOptions store_options;
        store_options.path = folder_ + "/store.db";
        store_ = must(store::open_sqlite_store(store_options));
        loop_ = must(io::LoopThread::start("bench"));
        pool_ = std::make_unique<io::WorkerPool>("bench", 2, 4096);
        ApiServerOptions options;
        options.store = store_.get();
        options.loop = &loop_->loop();
        options.pool = pool_.get();
        options.service_account_key_pem = must(net::make_key());
        options.static_tokens = {{token, "admin", {"system:masters"}}};
        server_ = must(ApiServer::create(options));
        net::ServerOptions http;
        http.inline_handler = server_->inline_handler();
        http_ = must(net::HttpServer::create(loop_->loop(), *pool_, http, server_->handler()));
        auto tls =
            must(net::TlsContext::server({pair.cert_pem, pair.key_pem, authority_.cert_pem}));
        if (auto listening = http_->listen_tcp("127.0.0.1", 0, tls); !listening)
            throw std::runtime_error(listening.error().to_string());
    }
    ~Cluster() {
        server_->stop();
        http_.reset();
        pool_->stop();
        server_.reset();
        loop_.reset();
        store_.reset();
        std::filesystem::remove_all(folder_);
    }
    std::unique_ptr<net::ClientConnection> connect() const {
        net::ClientOptions options;
        options.tls.ca_pem = authority_.cert_pem;
        return must(net::ClientConnection::create(
            options, fmt::format("https://127.0.0.1:{}", http_->port())));
    }

private:
    std::string folder_;
    net::KeyPair authority_;
    std::unique_ptr<store::Store> store_;
    std::unique_ptr<io::LoopThread> loop_;
    std::unique_ptr<io::WorkerPool> pool_;
    std::unique_ptr<ApiServer> server_;
    std::unique_ptr<net::HttpServer> http_;
};

net::Request request_of(const std::string& method, std::string target, std::string body) {
    net::Request request;
    request.method = method;
    request.target = std::move(target);
    request.body = std::move(body);
    request.headers = {{"Authorization", std::string("Bearer ") + token},
                       {"Accept", "application/json"}};
    if (!request.body.empty()) request.headers.add("Content-Type", "application/json");
    return request;
}

std::string body_of(const std::string& name) {
    return fmt::format(
        R"({{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{}"}},"data":{{"key":"{}"}}}})",
        name, std::string(500, 'x'));
}

/// Runs `connections` clients until `count` requests were answered.
template <typename MakeRequest>
void load(const Cluster& cluster, int connections, int count, MakeRequest make_request) {
    std::atomic<int> next{0};
    std::atomic<int> refused{0};
    std::vector<std::thread> clients;
    for (int i = 0; i < connections; ++i)
        clients.emplace_back([&] {
            auto connection = cluster.connect();
            for (int at; (at = next++) < count;) {
                auto response = connection->request(make_request(at));
                if (!response || response->status >= 300) ++refused;
            }
        });
    for (std::thread& client : clients) client.join();
    if (refused)
        throw std::runtime_error(fmt::format("{} requests of {} failed", refused.load(), count));
}

void creates_at_16_connections(benchmark::State& state) {
    Cluster cluster;
    int made = 0;
    for (auto _ : state) {
        load(cluster, 16, 5000, [&](int at) {
            return request_of("POST", config_maps, body_of(fmt::format("c{}", made + at)));
        });
        made += 5000;
    }
    state.counters["creates/s"] = benchmark::Counter(made, benchmark::Counter::kIsRate);
}
BENCHMARK(creates_at_16_connections)->Unit(benchmark::kMillisecond)->UseRealTime();

void gets_at_64_connections(benchmark::State& state) {
    Cluster cluster;
    load(cluster, 16, 1000,
         [&](int at) { return request_of("POST", config_maps, body_of(fmt::format("c{}", at))); });
    int read = 0;
    for (auto _ : state) {
        load(cluster, 64, 30000, [&](int at) {
            return request_of("GET", fmt::format("{}/c{}", config_maps, at % 1000), {});
        });
        read += 30000;
    }
    state.counters["gets/s"] = benchmark::Counter(read, benchmark::Counter::kIsRate);
}
BENCHMARK(gets_at_64_connections)->Unit(benchmark::kMillisecond)->UseRealTime();

} // namespace
} // namespace cloudlet::kube::server
