#include "cloudlet/net/http_client.h"

#include <sys/wait.h>
#include <unistd.h>

#include "cloudlet/io/process.h"
#include "cloudlet/net/probe.h"
#include "test_support.h"

namespace cloudlet::net {
namespace {

using testing::HasSubstr;

/// Accepts connections and answers each with fixed bytes.
class ScriptedServer {
public:
    explicit ScriptedServer(std::vector<std::string> answers) : answers_(std::move(answers)) {
        auto address = must(tcp_address("127.0.0.1", 0));
        fd_ = io::UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        check(::bind(fd_.get(), address.get(), address.size) == 0 && ::listen(fd_.get(), 10) == 0,
              "a test listens");
        socklen_t size = sizeof address.storage;
        ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address.storage), &size);
        port_ = port_of(address.storage);
        thread_ = std::thread([this] {
            for (const auto& answer : answers_) {
                io::UniqueFd peer(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
                char buffer[65536];
                if (!peer || ::recv(peer.get(), buffer, sizeof buffer, 0) <= 0) continue;
                ::send(peer.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
            }
        });
    }
    ~ScriptedServer() {
        ::shutdown(fd_.get(), SHUT_RDWR);
        thread_.join();
    }
    std::string url() const { return fmt::format("http://127.0.0.1:{}/", port_); }
    uint16_t port() const { return port_; }

private:
    std::vector<std::string> answers_;
    io::UniqueFd fd_;
    uint16_t port_ = 0;
    std::thread thread_;
};

TEST(HttpClient, OpensAKeptConnectionAgainWhenTheServerClosedIt) {
    // Each connection is closed after its answer, though the answer does not say so.
    std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    ScriptedServer server({answer, answer, answer});
    auto connection = must(ClientConnection::create({}, server.url()));
    for (int i = 0; i < 3; ++i) EXPECT_EQ(must(connection->request({.target = "/"})).body, "ok");
}

TEST(HttpClient, SaysWhatIsWrongWithAnAnswer) {
    struct Case {
        std::string answer;
        Code code;
        const char* words;
    };
    for (const auto& wrong : std::vector<Case>{
             {"SSH-2.0-OpenSSH\r\n\r\n", Code::invalid, "not HTTP"},
             {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", Code::invalid,
              "middle of the answer"},
             {"", Code::io, "before the answer"},
             {"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + std::string(5000, 'x'),
              Code::too_large, "larger than 1000"},
             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Code::invalid,
              "chunked"}}) {
        ScriptedServer server({wrong.answer});
        ClientOptions options;
        options.max_body = 1000;
        auto answer = http_request(options, server.url());
        ASSERT_FALSE(answer);
        EXPECT_EQ(answer.error().code, wrong.code) << answer.error().to_string();
        EXPECT_THAT(answer.error().to_string(), HasSubstr(wrong.words));
    }
}

TEST(HttpClient, NamesWhereItCouldNotConnect) {
    uint16_t port = ScriptedServer({}).port(); // free again
    auto refused = http_request({}, fmt::format("http://127.0.0.1:{}/", port));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::unavailable);
    EXPECT_THAT(refused.error().to_string(), HasSubstr(fmt::format("127.0.0.1:{}", port)));
    EXPECT_EQ(http_request({}, "http://some.name/").error().code, Code::invalid);
    ClientOptions options;
    options.unix_path = "/nonexistent/socket";
    EXPECT_THAT(http_request(options, "http://x/").error().to_string(),
                HasSubstr("/nonexistent/socket"));
}

TEST(HttpClient, KeepsItsDeadline) {
    TestServer server([](std::shared_ptr<Exchange> exchange) {
        auto* raw = exchange.get();
        raw->on_close([exchange] {});
    });
    auto options = server.client_options();
    options.deadline = 30ms;
    EXPECT_EQ(http_request(options, server.url()).error().code, Code::timeout);
}

TEST(HttpClient, StreamsAWatchAndStopsWhenToldTo) {
    for (bool tls : {false, true}) {
        std::promise<void> gone;
        TestServer server(
            [&](std::shared_ptr<Exchange> exchange) {
                exchange->on_close([&] { gone.set_value(); });
                exchange->start_stream(200, {{"X-A", "b"}});
                for (int i = 0; exchange->write(fmt::format("event {}\n", i)); ++i)
                    while (exchange->queued_bytes() > 100'000) std::this_thread::yield();
            },
            {}, tls);
        std::string seen;
        must(http_stream(
            server.client_options(), server.url(), {},
            [](const Response& head) { return head.headers.get("x-a") == "b"; },
            [&](std::string_view bytes) {
                seen += bytes;
                return seen.find("event 999") == std::string::npos;
            }));
        EXPECT_THAT(seen, testing::StartsWith("event 0\nevent 1\n"));
        EXPECT_EQ(gone.get_future().wait_for(20s), std::future_status::ready);
    }
}

TEST(HttpClient, TalksToPythonsServer) {
    io::SpawnOptions options;
    auto out = must(io::make_pipe());
    options.argv = {"python3", "-u", "-c",
                    "import http.server,socketserver\n"
                    "class H(http.server.BaseHTTPRequestHandler):\n"
                    "  protocol_version='HTTP/1.1'\n"
                    "  def do_POST(self):\n"
                    "    body=self.rfile.read(int(self.headers['Content-Length']))\n"
                    "    self.send_response(201); self.send_header('Transfer-Encoding','chunked'); "
                    "self.end_headers()\n"
                    "    for part in (body[:3],body[3:]): "
                    "self.wfile.write(b'%x\\r\\n%s\\r\\n'%(len(part),part))\n"
                    "    self.wfile.write(b'0\\r\\n\\r\\n')\n"
                    "  def log_message(self,*a): pass\n"
                    "s=http.server.HTTPServer(('127.0.0.1',0),H)\n"
                    "print(s.server_port)\n"
                    "s.serve_forever()\n"};
    options.fds = {{out.write_end.get(), 1}};
    auto child = io::spawn(options);
    if (!child) GTEST_SKIP() << "no python3 here";
    out.write_end.reset();
    char line[16] = "";
    ASSERT_GT(::read(out.read_end.get(), line, sizeof line - 1), 0);
    auto connection =
        must(ClientConnection::create({}, fmt::format("http://127.0.0.1:{}/", std::stoi(line))));
    for (int i = 0; i < 3; ++i) {
        auto response = connection->request({.method = "POST", .target = "/", .body = "abcdef"});
        EXPECT_TRUE(response) << response.error().to_string();
        if (response) {
            EXPECT_EQ(response->body, "abcdef");
        }
    }
    must(io::send_signal(*child, 9));
    must(io::wait(*child, 20s));
}

/// Runs one probe on a loop of its own and returns what it said.
template <typename T, typename Begin>
Result<T> probe(Begin begin) {
    auto loop = must(io::EventLoop::create());
    std::optional<Result<T>> outcome;
    auto handle = begin(*loop, [&](Result<T> result) {
        outcome = std::move(result);
        loop->stop();
    });
    EXPECT_FALSE(outcome); // never from within the call
    loop->run();
    return *outcome;
}

Result<int> get(ProbeTarget target, Duration deadline = 20s) {
    return probe<int>(
        [&](io::EventLoop& loop, auto done) { return async_get(loop, target, deadline, done); });
}

TEST(Probe, ReportsTheStatusOfAGet) {
    for (bool tls : {false, true}) {
        TestServer server(
            [](std::shared_ptr<Exchange> exchange) {
                bool good = exchange->request().path == "/ready" &&
                            exchange->request().headers.get("x-probe") == "1";
                exchange->respond({good ? 204 : 503, {}, {}});
            },
            {}, tls);
        ProbeTarget target{.address = "127.0.0.1",
                           .port = server.server->port(),
                           .path = "/ready",
                           .headers = {{"X-Probe", "1"}},
                           .https = tls};
        EXPECT_EQ(must(get(target)), 204);
        target.path = "/other";
        EXPECT_EQ(must(get(target)), 503);
    }
}

TEST(Probe, ReportsRefusalSilenceAndGarbage) {
    uint16_t closed = ScriptedServer({}).port();
    EXPECT_FALSE(get({.address = "127.0.0.1", .port = closed}));
    EXPECT_EQ(get({.address = "no address", .port = 1}).error().code, Code::invalid);
    ScriptedServer garbage({"hello\r\n\r\n"});
    EXPECT_EQ(get({.address = "127.0.0.1", .port = garbage.port()}).error().code, Code::invalid);
    TestServer silent(
        [](std::shared_ptr<Exchange> exchange) { exchange->on_close([exchange] {}); });
    EXPECT_EQ(get({.address = "127.0.0.1", .port = silent.server->port()}, 20ms).error().code,
              Code::timeout);
}

TEST(Probe, ConnectsAndCanBeCancelled) {
    TestServer server(echo);
    auto connect = [](uint16_t port) {
        return probe<void>([port](io::EventLoop& loop, auto done) {
            return async_connect(loop, "127.0.0.1", port, 20s, done);
        });
    };
    EXPECT_TRUE(connect(server.server->port()));
    uint16_t closed = ScriptedServer({}).port();
    EXPECT_FALSE(connect(closed));
    auto loop = must(io::EventLoop::create());
    async_connect(*loop, "127.0.0.1", server.server->port(), 1s, [](Result<>) { FAIL(); }).reset();
    loop->after(5ms, [&] { loop->stop(); });
    loop->run();
}

} // namespace
} // namespace cloudlet::net
