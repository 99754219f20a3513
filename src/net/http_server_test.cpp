#include "cloudlet/net/http_server.h"

#include <sys/stat.h>

#include "test_support.h"

namespace cloudlet::net {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

TEST(HttpServer, AnswersARequestWithHeadersAndBody) {
    TestServer server(echo);
    auto response = server.get("/some%20path?x=1");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.headers.get("x-path"), "/some path");
    EXPECT_EQ(response.body, "hello /some path");
    EXPECT_THAT(std::string(response.headers.get("date")), EndsWith("GMT"));
}

TEST(HttpServer, KeepsAConnectionForManyRequests) {
    TestServer server(echo);
    auto connection = must(ClientConnection::create(server.client_options(), server.url()));
    for (int i = 0; i < 200; ++i) {
        Request request{.method = "POST",
                        .target = fmt::format("/{}", i),
                        .body = std::string(static_cast<size_t>(i * 100), 'b')};
        auto response = must(connection->request(request));
        EXPECT_EQ(response.status, 200);
        if (i) {
            EXPECT_EQ(response.body, request.body);
        }
    }
    EXPECT_EQ(server.server->connections(), 1u);
}

TEST(HttpServer, AnswersPipelinedRequestsInOrderAlsoWhenTheFirstIsSlow) {
    std::promise<void> gate;
    auto opened = gate.get_future().share();
    TestServer server([opened](std::shared_ptr<Exchange> exchange) {
        if (exchange->request().path == "/slow") opened.wait();
        echo(std::move(exchange));
    });
    RawClient client(server.server->port());
    client.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: "
                "x\r\nContent-Length: 3\r\n\r\nabc"
                "GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    gate.set_value();
    auto text = client.read_all();
    auto slow = text.find("hello /slow"), second = text.find("\r\n\r\nabc"),
         third = text.find("hello /c");
    EXPECT_LT(slow, second);
    EXPECT_LT(second, third);
    EXPECT_LT(third, text.size());
}

TEST(HttpServer, ServesThousandsOfPipelinedRequestsInlineAndFromThePool) {
    for (bool with_inline : {true, false}) {
        ServerOptions options;
        if (with_inline) {
            options.inline_handler = [](const std::shared_ptr<Exchange>& exchange) {
                echo(exchange);
                return true;
            };
        }
        TestServer server(echo, std::move(options));
        std::string all;
        constexpr int count = 3000;
        for (int i = 0; i < count; ++i)
            all += fmt::format("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", i);
        all += "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        RawClient client(server.server->port());
        std::thread writer([&] { client.send(all); });
        auto text = client.read_all();
        writer.join();
        size_t at = 0;
        for (int i = 0; i < count; ++i) {
            at = text.find(fmt::format("hello /{}", i), at);
            ASSERT_NE(at, std::string::npos) << "answer " << i;
        }
        EXPECT_THAT(text, EndsWith("hello /last"));
    }
}

TEST(HttpServer, TakesARequestByteByByte) {
    TestServer server(echo);
    RawClient client(server.server->port());
    for (char c : std::string("POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
                              "chunked\r\n\r\n3\r\nabc\r\n2;e=1\r\nde\r\n0\r\nT: v\r\n\r\n"))
        client.send({&c, 1});
    EXPECT_THAT(client.read_until("abcde"), HasSubstr("Content-Length: 5"));
}

TEST(HttpServer, AsksForABodyThatTheClientHoldsBack) {
    TestServer server(echo);
    RawClient client(server.server->port());
    client.send("PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body");
    EXPECT_THAT(client.read_until("\r\n\r\nbody"), StartsWith("HTTP/1.1 200 OK"));
}

TEST(HttpServer, RefusesAHeldBackBodyThatIsTooLargeWithoutAskingForIt) {
    TestServer server(echo, {.max_body_bytes = 1000});
    RawClient client(server.server->port());
    client.send(
        "PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n");
    auto text = client.read_all();
    EXPECT_THAT(text, StartsWith("HTTP/1.1 413 "));
    EXPECT_THAT(text, HasSubstr("1001 bytes is larger than 1000 bytes"));
}

struct Malformed {
    const char* name;
    std::string bytes;
    int status;
};

TEST(HttpServer, RefusesWhatIsMalformedOrAmbiguousAndCloses) {
    const std::string start = "GET / HTTP/1.1\r\nHost: x\r\n";
    const std::vector<Malformed> cases = {
        {"both lengths", start + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400},
        {"two lengths", start + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400},
        {"a list of lengths", start + "Content-Length: 3, 3\r\n\r\nabc", 400},
        {"a signed length", start + "Content-Length: +3\r\n\r\nabc", 400},
        {"a huge length", start + "Content-Length: 99999999999999999999\r\n\r\n", 400},
        {"two codings", start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
         400},
        {"another coding", start + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400},
        {"a bare line feed", "GET / HTTP/1.1\nHost: x\n\n", 400},
        {"a bare line feed between headers", start + "A: b\nC: d\r\n\r\n", 400},
        {"a folded header", start + "A: b\r\n  c\r\n\r\n", 400},
        {"a space before the colon", start + "A : b\r\n\r\n", 400},
        {"a NUL in a header", start + std::string("A: b\0c\r\n\r\n", 10), 400},
        {"a carriage return in a header", start + "A: b\rc\r\n\r\n", 400},
        {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
        {"two hosts", start + "Host: y\r\n\r\n", 400},
        {"two spaces", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"no version", "GET /\r\nHost: x\r\n\r\n", 400},
        {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505},
        {"the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"a broken escape", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"an encoded NUL", "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"no slash", "GET x HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"CONNECT", "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 501},
        {"a chunk without a size", start + "Transfer-Encoding: chunked\r\n\r\n\r\n", 400},
        {"a chunk size with a sign", start + "Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400},
        {"a chunk size with 0x",
         start + "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 400},
        {"a chunk that is longer than it says",
         start + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", 400},
        {"a bare line feed after a chunk size",
         start + "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", 400},
        {"an expectation that we do not know", start + "Expect: miracles\r\n\r\n", 417},
        {"a head that is too large", start + "A: " + std::string(70'000, 'a') + "\r\n\r\n", 431},
        {"too many headers",
         [&] {
             std::string text = start;
             for (int i = 0; i < 300; ++i) text += "A: b\r\n";
             return text + "\r\n";
         }(),
         431},
        {"TLS to a plain port", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", 13),
         400},
    };
    TestServer server(
        [](std::shared_ptr<Exchange> exchange) {
            exchange->respond({200, {}, "reached the handler"});
        },
        {.error_page = [](int status, std::string message) {
            return Response{status, {{"Content-Type", "text/x-error"}}, "error: " + message};
        }});
    for (const auto& malformed : cases) {
        SCOPED_TRACE(malformed.name);
        RawClient client(server.server->port());
        client.send(malformed.bytes + "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
        auto text = client.read_all();
        EXPECT_THAT(text, StartsWith(fmt::format("HTTP/1.1 {} ", malformed.status)));
        EXPECT_THAT(text, HasSubstr("Connection: close"));
        EXPECT_THAT(text, HasSubstr("error: "));
        EXPECT_THAT(text, Not(HasSubstr("reached the handler")));
    }
}

TEST(HttpServer, AClientThatSendsTenMegabytesStillReadsTheRefusal) {
    TestServer server(echo);
    RawClient client(server.server->port());
    std::string body(10 << 20, 'x');
    client.send(
        fmt::format("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.size()));
    client.send(body);
    client.end_writing();
    EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 413 "));
    // Without a length it is noticed on the way.
    RawClient chunked(server.server->port());
    chunked.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    chunked.send(fmt::format("{:x}\r\n", body.size()) + body + "\r\n0\r\n\r\n");
    chunked.end_writing();
    EXPECT_THAT(chunked.read_all(), StartsWith("HTTP/1.1 413 "));
}

TEST(HttpServer, HeadHasTheHeadersOfGetAndNoBody) {
    TestServer server(echo);
    RawClient client(server.server->port());
    client.send("HEAD /x HTTP/1.1\r\nHost: x\r\n\r\nGET /y HTTP/1.1\r\nHost: x\r\nConnection: "
                "close\r\n\r\n");
    auto text = client.read_all();
    EXPECT_THAT(text, HasSubstr("Content-Length: 8\r\n"));
    EXPECT_THAT(text, Not(HasSubstr("hello /x")));
    EXPECT_THAT(text, EndsWith("hello /y"));
}

TEST(HttpServer, SpeaksHttp10AndClosesUnlessAskedToKeep) {
    TestServer server(echo);
    RawClient client(server.server->port());
    client.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_THAT(client.read_until("hello /a"), HasSubstr("Connection: keep-alive"));
    client.send("GET /b HTTP/1.0\r\n\r\n");
    EXPECT_THAT(client.read_all(), EndsWith("hello /b"));
}

TEST(HttpServer, AHalfClosedClientStillGetsItsAnswers) {
    TestServer server(echo);
    RawClient client(server.server->port());
    client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    client.end_writing();
    auto text = client.read_all();
    EXPECT_THAT(text, HasSubstr("hello /a"));
    EXPECT_THAT(text, HasSubstr("hello /b"));
}

TEST(HttpServer, AnExchangeThatNobodyAnswersBecomes500) {
    TestServer server([](std::shared_ptr<Exchange>) {});
    EXPECT_EQ(server.get("/").status, 500);
}

TEST(HttpServer, ABusyPoolBecomes503WithRetryAfter) {
    auto thread = must(io::LoopThread::start());
    io::WorkerPool pool("tiny", 1, 1);
    std::promise<void> gate;
    auto opened = gate.get_future().share();
    auto server = must(
        HttpServer::create(thread->loop(), pool, {}, [opened](std::shared_ptr<Exchange> exchange) {
            opened.wait();
            exchange->respond({200, {}, "late"});
        }));
    must(server->listen_tcp("127.0.0.1", 0));
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 8; ++i) {
        clients.push_back(std::make_unique<RawClient>(server->port()));
        clients.back()->send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    }
    // One runs, one waits, the others are turned away at once.
    auto turned_away = clients.back()->read_all();
    EXPECT_THAT(turned_away, StartsWith("HTTP/1.1 503 "));
    EXPECT_THAT(turned_away, HasSubstr("Retry-After: 1"));
    gate.set_value();
    EXPECT_THAT(clients.front()->read_all(), EndsWith("late"));
}

TEST(HttpServer, HeadersOfAProgramCannotSplitAnAnswer) {
    TestServer server([](std::shared_ptr<Exchange> exchange) {
        exchange->respond({200, {{"X-A", "b\r\nSet-Cookie: evil"}, {"bad name", "x"}}, "ok"});
    });
    auto response = server.get("/");
    EXPECT_FALSE(response.headers.has("set-cookie"));
    EXPECT_EQ(response.headers.get("x-a"), "b  Set-Cookie: evil");
}

TEST(HttpServer, LetsIdleAndSlowClientsGo) {
    TestServer server(echo, {.header_timeout = 10ms, .idle_timeout = 10ms});
    RawClient idle(server.server->port()), slow(server.server->port()), kept(server.server->port());
    slow.send("GET / HT");
    kept.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(idle.read_all(), "");
    EXPECT_EQ(slow.read_all(), "");
    EXPECT_THAT(kept.read_all(), EndsWith("hello /x"));
}

TEST(HttpServer, HoldsBackConnectionsBeyondItsLimitUntilOneLeaves) {
    TestServer server(echo, {.max_connections = 2});
    auto first = std::make_unique<RawClient>(server.server->port());
    RawClient second(server.server->port()), third(server.server->port());
    for (RawClient* client : {first.get(), &second}) {
        client->send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
        client->read_until("hello /x");
    }
    EXPECT_EQ(server.server->connections(), 2u);
    third.send("GET /third HTTP/1.1\r\nHost: x\r\n\r\n");
    first.reset();
    EXPECT_THAT(third.read_until("hello /third"), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServer, ServesAUnixSocketWithItsModeAndRemovesIt) {
    auto folder = must(io::make_temporary_directory("/tmp/cloudlet-net-test-"));
    std::string path = folder + "/control.sock";
    {
        TestServer server([](std::shared_ptr<Exchange> exchange) {
            bool control = exchange->request().peer.control_socket;
            exchange->respond({200, {}, control ? "control" : "network"});
        });
        must(server.server->listen_unix(path));
        struct stat facts;
        ASSERT_EQ(::stat(path.c_str(), &facts), 0);
        EXPECT_EQ(facts.st_mode & 0777, 0600u);
        ClientOptions options;
        options.unix_path = path;
        EXPECT_EQ(must(http_request(options, "http://cloudlet/")).body, "control");
        EXPECT_EQ(server.get("/").body, "network");
        auto taken = server.server->listen_unix(path);
        ASSERT_FALSE(taken);
        EXPECT_EQ(taken.error().code, Code::conflict);
    }
    EXPECT_FALSE(io::exists(path));
    must(io::remove_tree(folder));
}

TEST(HttpServer, NamesThePortThatIsTaken) {
    TestServer server(echo);
    auto again = server.server->listen_tcp("127.0.0.1", server.server->port());
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, Code::conflict);
    EXPECT_THAT(again.error().message,
                HasSubstr(fmt::format("127.0.0.1:{} is taken", server.server->port())));
}

TEST(HttpServer, ShutdownLetsAnExchangeEndAndTurnsNewClientsAway) {
    std::promise<void> entered, gate;
    auto opened = gate.get_future().share();
    TestServer server([&, opened](std::shared_ptr<Exchange> exchange) {
        entered.set_value();
        opened.wait();
        echo(std::move(exchange));
    });
    RawClient client(server.server->port()), idle(server.server->port());
    client.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
    entered.get_future().wait();
    std::thread stopper([&] { server.server->shutdown(20s); });
    EXPECT_EQ(idle.read_all(), "");
    gate.set_value();
    EXPECT_THAT(client.read_all(), EndsWith("hello /x"));
    stopper.join();
    EXPECT_EQ(server.server->connections(), 0u);
}

} // namespace
} // namespace cloudlet::net
