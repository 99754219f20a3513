#pragma once
// A server on loopback in one line, and a client that sends exactly the bytes a test gives it.

#include <condition_variable>
#include <future>
#include <mutex>
#include <string>

#include <poll.h>
#include <sys/socket.h>

#include <fmt/format.h>

#include "cloudlet/base/check.h"
#include "cloudlet/io/fd.h"
#include "cloudlet/io/file.h"
#include "cloudlet/net/certificates.h"
#include "cloudlet/net/http_client.h"
#include "cloudlet/net/http_server.h"
#include "sockets.h"

namespace cloudlet::net {

using namespace std::chrono_literals;

template <typename T>
T must(Result<T> result) {
    if (!result) {
        std::fprintf(stderr, "%s\n", result.error().to_string().c_str());
        check(false, "a test's preparation succeeds");
    }
    return std::move(*result);
}
inline void must(const Result<>& result) {
    if (!result) std::fprintf(stderr, "%s\n", result.error().to_string().c_str());
    check(result.has_value(), "a test's preparation succeeds");
}

/// One authority with a server and a client certificate, made once.
struct TestPki {
    KeyPair authority = must(make_authority("test authority"));
    KeyPair server = must(issue(authority, {.common_name = "server",
                                            .dns_names = {"localhost", "cloud.test"},
                                            .ip_addresses = {"127.0.0.1"},
                                            .server = true}));
    KeyPair client = must(issue(
        authority,
        {.common_name = "admin", .organizations = {"system:masters", "ops"}, .client = true}));
    static const TestPki& get() {
        static const TestPki pki;
        return pki;
    }
    ServerTls server_tls() const { return {server.cert_pem, server.key_pem, authority.cert_pem}; }
    ClientTls client_tls(bool with_certificate) const {
        ClientTls tls{.ca_pem = authority.cert_pem};
        if (with_certificate) {
            tls.cert_pem = client.cert_pem;
            tls.key_pem = client.key_pem;
        }
        return tls;
    }
};

/// A server with a loop thread and a pool of its own.
struct TestServer {
    std::unique_ptr<io::LoopThread> thread = must(io::LoopThread::start("test-loop"));
    io::WorkerPool pool{"test-worker", 4, 1000};
    std::unique_ptr<HttpServer> server;
    bool tls = false;

    explicit TestServer(Handler handler, ServerOptions options = {}, bool with_tls = false)
        : tls(with_tls) {
        server =
            must(HttpServer::create(thread->loop(), pool, std::move(options), std::move(handler)));
        must(server->listen_tcp("127.0.0.1", 0,
                                with_tls ? must(TlsContext::server(TestPki::get().server_tls()))
                                         : nullptr));
    }
    ~TestServer() { server.reset(); }
    std::string url(const std::string& target = "/") const {
        return fmt::format("{}://127.0.0.1:{}{}", tls ? "https" : "http", server->port(), target);
    }
    ClientOptions client_options(bool with_certificate = false) const {
        ClientOptions options;
        if (tls) options.tls = TestPki::get().client_tls(with_certificate);
        return options;
    }
    Response get(const std::string& target) const {
        return must(http_request(client_options(), url(target)));
    }
};

/// A plain socket: what is written is what the server sees.
class RawClient {
public:
    explicit RawClient(uint16_t port) {
        auto address = must(tcp_address("127.0.0.1", port));
        fd_ = io::UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        check(::connect(fd_.get(), address.get(), address.size) == 0, "the test's client connects");
    }
    RawClient& send(std::string_view bytes) {
        while (!bytes.empty()) {
            ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) break; // the server may have closed: the test looks at the answer
            bytes.remove_prefix(static_cast<size_t>(sent));
        }
        return *this;
    }
    /// Reads until the text so far ends with or contains `until`, or the end of the connection.
    std::string read_until(std::string_view until) {
        size_t looked =
            received_.size(); // large answers come in many pieces: none is searched twice
        auto end = received_.find(until);
        while (end == std::string::npos && read_more()) {
            end = received_.find(until, looked - std::min(looked, until.size()));
            looked = received_.size();
        }
        size_t size = end == std::string::npos ? received_.size() : end + until.size();
        std::string text = received_.substr(0, size);
        received_.erase(0, size);
        return text;
    }
    std::string read_all() {
        while (read_more()) {
        }
        return std::exchange(received_, {});
    }
    bool read_more() {
        pollfd entry{fd_.get(), POLLIN, 0};
        if (::poll(&entry, 1, 20'000) != 1) return false;
        char buffer[65536];
        ssize_t got = ::recv(fd_.get(), buffer, sizeof buffer, 0);
        if (got <= 0) return false;
        received_.append(buffer, static_cast<size_t>(got));
        return true;
    }
    void end_writing() { ::shutdown(fd_.get(), SHUT_WR); }
    /// RST instead of FIN.
    void cut() {
        linger option{1, 0};
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &option, sizeof option);
        fd_.reset();
    }
    void close() { fd_.reset(); }
    int fd() const { return fd_.get(); }

private:
    io::UniqueFd fd_;
    std::string received_;
};

inline void echo(std::shared_ptr<Exchange> exchange) {
    const auto& request = exchange->request();
    Response response{200, {{"X-Method", request.method}, {"X-Path", request.path}}};
    response.body = request.body.empty() ? "hello " + request.path : request.body;
    exchange->respond(std::move(response));
}

} // namespace cloudlet::net
