// Durable small puts from concurrent committers, ours beside Debian's etcd on the same disk.
//
//   build/bench/store_bench
// The etcd rows need /usr/bin/etcd (Debian's etcd-server) and are skipped without it.

#include <arpa/inet.h>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "cloudlet/store/sqlite.h"

namespace cloudlet::store {
namespace {

std::string make_folder() {
    const char* base = std::getenv("CLOUDLET_BENCH_FOLDER");
    std::string name = fmt::format("{}/cloudlet-store-bench-XXXXXX", base ? base : "/var/tmp");
    if (!mkdtemp(name.data())) std::abort();
    return name;
}

void remove_folder(const std::string& folder) {
    if (std::system(fmt::format("rm -rf '{}'", folder).c_str()) != 0) std::abort();
}

struct World {
    std::string folder = make_folder();
    std::unique_ptr<Store> store = *open_sqlite_store({.path = folder + "/store.db"});
    ~World() {
        store.reset();
        remove_folder(folder);
    }
};

void durable_puts(benchmark::State& state) {
    static std::unique_ptr<World> world;
    if (state.thread_index() == 0) world = std::make_unique<World>();
    const SharedBytes value = share(std::string(600, 'x'));
    int64_t i = 0;
    for (auto _ : state) {
        auto done = world->store->commit_and_wait(
            {{},
             {Put{fmt::format("/registry/configmaps/bench/{}-{}", state.thread_index(), i++),
                  value}},
             {}});
        if (!done) state.SkipWithError(done.error().to_string().c_str());
    }
    state.SetItemsProcessed(state.iterations());
    if (state.thread_index() == 0) world.reset();
}
BENCHMARK(durable_puts)->Threads(1)->Threads(16)->Threads(64)->UseRealTime()->MinTime(2.0);

void latest_reads(benchmark::State& state) {
    World world;
    for (int i = 0; i < 10000; ++i)
        world.store->commit({{}, {Put{fmt::format("/k/{}", i), share(std::string(600, 'x'))}}, {}},
                            [](auto) {});
    (void)world.store->compact(world.store->revision());
    int64_t i = 0;
    for (auto _ : state)
        benchmark::DoNotOptimize(world.store->range({.key = fmt::format("/k/{}", i++ % 10000)}));
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(latest_reads);

/// Debian's etcd on loopback, with its data beside ours.
class Etcd {
public:
    Etcd() {
        const std::string client = fmt::format("http://127.0.0.1:{}", port);
        const std::string peer = fmt::format("http://127.0.0.1:{}", port + 1);
        std::vector<std::string> words{"/usr/bin/etcd",
                                       "--data-dir",
                                       folder,
                                       "--listen-client-urls",
                                       client,
                                       "--advertise-client-urls",
                                       client,
                                       "--listen-peer-urls",
                                       peer,
                                       "--initial-advertise-peer-urls",
                                       peer,
                                       "--initial-cluster",
                                       "default=" + peer,
                                       "--log-level",
                                       "error",
                                       "--logger",
                                       "zap"};
        std::vector<char*> argv;
        for (std::string& word : words) argv.push_back(word.data());
        argv.push_back(nullptr);
        if (posix_spawn(&pid_, argv[0], nullptr, nullptr, argv.data(), environ) != 0) std::abort();
    }
    ~Etcd() {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
        remove_folder(folder);
    }
    const int port = 20000 + getpid() % 20000;
    const std::string folder = make_folder();

private:
    pid_t pid_ = 0;
};

/// One keep-alive connection to etcd's JSON gateway.
class EtcdConnection {
public:
    explicit EtcdConnection(int port) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        for (int attempt = 0; attempt < 1000; ++attempt) {
            fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) break;
            close(fd_);
            usleep(10'000);
        }
        int on = 1;
        setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    ~EtcdConnection() { close(fd_); }

    bool put(std::string_view key, std::string_view value) {
        const std::string body =
            fmt::format(R"({{"key":"{}","value":"{}"}})", to_base64(key), to_base64(value));
        const std::string request =
            fmt::format("POST /v3/kv/put HTTP/1.1\r\nHost: e\r\nContent-Length: {}\r\n\r\n{}",
                        body.size(), body);
        if (write(fd_, request.data(), request.size()) != static_cast<ssize_t>(request.size()))
            return false;
        return read_answer();
    }

private:
    int fd_ = -1;

    bool read_answer() {
        std::string answer;
        char buffer[4096];
        for (;;) {
            const ssize_t got = read(fd_, buffer, sizeof buffer);
            if (got <= 0) return false;
            answer.append(buffer, static_cast<size_t>(got));
            const size_t head = answer.find("\r\n\r\n");
            const size_t field = answer.find("Content-Length: ");
            if (head == std::string::npos || field == std::string::npos) continue;
            if (answer.size() >= head + 4 + std::strtoul(answer.c_str() + field + 16, nullptr, 10))
                return answer.starts_with("HTTP/1.1 200");
        }
    }
};

void etcd_puts(benchmark::State& state) {
    static std::unique_ptr<Etcd> etcd;
    if (access("/usr/bin/etcd", X_OK) != 0)
        return state.SkipWithError("/usr/bin/etcd is not installed");
    if (state.thread_index() == 0) {
        etcd = std::make_unique<Etcd>();
        EtcdConnection probe(etcd->port);
        while (!probe.put("probe", "x")) usleep(10'000);
    }
    static std::atomic<int> port{0};
    if (state.thread_index() == 0) port = etcd->port;
    std::unique_ptr<EtcdConnection> connection;
    const std::string value(600, 'x');
    int64_t i = 0;
    for (auto _ : state) {
        if (!connection) connection = std::make_unique<EtcdConnection>(port);
        const auto key = fmt::format("/registry/configmaps/bench/{}-{}", state.thread_index(), i++);
        if (!connection->put(key, value)) state.SkipWithError("etcd refused a put");
    }
    state.SetItemsProcessed(state.iterations());
    if (state.thread_index() == 0) etcd.reset();
}
BENCHMARK(etcd_puts)->Threads(1)->Threads(16)->UseRealTime()->MinTime(2.0);

} // namespace
} // namespace cloudlet::store
