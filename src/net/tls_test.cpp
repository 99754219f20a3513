#include "cloudlet/net/tls.h"

#include "cloudlet/io/process.h"
#include "openssl.h"
#include "test_support.h"

namespace cloudlet::net {
namespace {

using testing::HasSubstr;

void who(std::shared_ptr<Exchange> exchange) {
    const auto& peer = exchange->request().peer;
    std::string text = peer.has_certificate ? peer.common_name : "nobody";
    for (const auto& organization : peer.organizations) text += "," + organization;
    exchange->respond({200, {}, text + "@" + peer.address});
}

TEST(Tls, KnowsAClientByItsCertificateAndServesOneWithout) {
    TestServer server(who, {}, true);
    EXPECT_EQ(must(http_request(server.client_options(true), server.url())).body,
              "admin,system:masters,ops@127.0.0.1");
    EXPECT_EQ(must(http_request(server.client_options(false), server.url())).body,
              "nobody@127.0.0.1");
}

TEST(Tls, AResumedSessionKeepsTheIdentity) {
    TestServer server(who, {}, true);
    auto context = must(TlsContext::client(TestPki::get().client_tls(true)));
    auto address = must(tcp_address("127.0.0.1", server.server->port()));
    for (bool resumed : {false, true, true}) {
        io::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        ASSERT_EQ(::connect(fd.get(), address.get(), address.size), 0);
        auto ssl = must(make_ssl(*context, fd.get(), "127.0.0.1"));
        ASSERT_EQ(SSL_connect(ssl.get()), 1) << openssl_reason();
        EXPECT_EQ(SSL_session_reused(ssl.get()) == 1, resumed);
        std::string request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n", text(4096, '\0');
        SSL_write(ssl.get(), request.data(), static_cast<int>(request.size()));
        int got = SSL_read(ssl.get(), text.data(), static_cast<int>(text.size()));
        ASSERT_GT(got, 0);
        EXPECT_THAT(text, HasSubstr("admin,system:masters"));
        keep_session(*context, ssl.get());
    }
}

TEST(Tls, AClientOfAnotherAuthorityIsTurnedAway) {
    TestServer server(who, {}, true);
    auto other = must(make_authority("somebody else"));
    auto forged = must(issue(
        other, {.common_name = "admin", .organizations = {"system:masters"}, .client = true}));
    auto options = server.client_options();
    options.tls.cert_pem = forged.cert_pem;
    options.tls.key_pem = forged.key_pem;
    auto answer = http_request(options, server.url());
    EXPECT_FALSE(answer);
    EXPECT_EQ(must(http_request(server.client_options(), server.url())).status, 200);
}

TEST(Tls, AServerCertificateIsNotGoodForAClient) {
    TestServer server(who, {}, true);
    auto options = server.client_options();
    options.tls.cert_pem = TestPki::get().server.cert_pem;
    options.tls.key_pem = TestPki::get().server.key_pem;
    EXPECT_FALSE(http_request(options, server.url()));
}

TEST(Tls, AClientChecksAuthorityAndName) {
    TestServer server(who, {}, true);
    auto options = server.client_options();
    options.tls.ca_pem = must(make_authority("somebody else")).cert_pem;
    auto stranger = http_request(options, server.url());
    ASSERT_FALSE(stranger);
    EXPECT_EQ(stranger.error().code, Code::unauthenticated);
    EXPECT_THAT(stranger.error().to_string(), HasSubstr("certificate is not accepted"));
    options = server.client_options();
    options.tls.server_name = "elsewhere.test";
    EXPECT_FALSE(http_request(options, server.url()));
    options.tls.server_name = "cloud.test";
    EXPECT_TRUE(http_request(options, server.url()));
}

TEST(Tls, MovesLargeBodiesBothWays) {
    TestServer server(echo, {.max_body_bytes = 32 << 20}, true);
    std::string body(20 << 20, 'b');
    for (size_t i = 0; i < body.size(); i += 4099) body[i] = static_cast<char>('a' + i % 26);
    auto answer = must(http_request(server.client_options(), server.url("/big"),
                                    {.method = "POST", .body = body}));
    EXPECT_TRUE(answer.body == body);
}

TEST(Tls, PlainHttpOnATlsPortGetsAHint) {
    TestServer server(who, {}, true);
    RawClient client(server.server->port());
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(client.read_all(), HasSubstr("This port speaks HTTPS"));
}

TEST(Tls, GarbageAndAbortedHandshakesLeaveTheServerWell) {
    TestServer server(who, {}, true);
    for (int i = 0; i < 20; ++i) {
        RawClient client(server.server->port());
        client.send(std::string("\x16\x03\x01\x00\xff", 5) +
                    std::string(static_cast<size_t>(i * 20), 'g'));
        if (i % 2) client.cut();
    }
    EXPECT_EQ(must(http_request(server.client_options(), server.url())).status, 200);
}

TEST(Tls, ReloadsItsCertificate) {
    auto thread = must(io::LoopThread::start());
    io::WorkerPool pool("worker", 1, 10);
    auto server = must(HttpServer::create(thread->loop(), pool, {}, who));
    auto context = must(TlsContext::server(TestPki::get().server_tls()));
    must(server->listen_tcp("127.0.0.1", 0, context));
    auto other = must(make_authority("next authority"));
    auto cert = must(
        issue(other, {.common_name = "server", .ip_addresses = {"127.0.0.1"}, .server = true}));
    EXPECT_FALSE(context->reload({cert.cert_pem, TestPki::get().server.key_pem, ""}));
    must(context->reload({cert.cert_pem, cert.key_pem, other.cert_pem}));
    ClientOptions options;
    options.tls.ca_pem = other.cert_pem;
    EXPECT_TRUE(http_request(options, fmt::format("https://127.0.0.1:{}/", server->port())));
}

TEST(Tls, CurlIsServedOverTlsWithACertificate) {
    TestServer server(who, {}, true);
    auto folder = must(io::make_temporary_directory("/tmp/cloudlet-net-test-"));
    const auto& pki = TestPki::get();
    must(io::write_file_atomic(folder + "/ca", pki.authority.cert_pem));
    must(io::write_file_atomic(folder + "/cert", pki.client.cert_pem));
    must(io::write_file_atomic(folder + "/key", pki.client.key_pem));
    auto output =
        io::run({"curl", "-sS", "--noproxy", "*", "--cacert", folder + "/ca", "--cert",
                 folder + "/cert", "--key", folder + "/key", server.url("/a"), server.url("/b")},
                30s);
    must(io::remove_tree(folder));
    if (!output && output.error().code == Code::not_found) GTEST_SKIP() << "no curl here";
    ASSERT_TRUE(output) << output.error().to_string();
    EXPECT_EQ(output->out, "admin,system:masters,ops@127.0.0.1admin,system:masters,ops@127.0.0.1")
        << output->err;
}

TEST(Tls, SpeaksVersion13AndNothingOlderThan12) {
    TestServer server(who, {}, true);
    auto ask = [&](const std::vector<std::string>& versions) {
        std::vector<std::string> argv = {"curl", "-sSvk", "--noproxy", "*", server.url("/")};
        argv.insert(argv.end(), versions.begin(), versions.end());
        return io::run(argv, 30s);
    };
    auto newest = ask({});
    if (!newest && newest.error().code == Code::not_found) GTEST_SKIP() << "no curl here";
    ASSERT_TRUE(newest) << newest.error().to_string();
    EXPECT_THAT(newest->err, testing::HasSubstr("SSL connection using TLSv1.3"));
    EXPECT_EQ(ask({"--tls-max", "1.2"})->exit_status.code, 0);
    EXPECT_NE(ask({"--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"})->exit_status.code, 0);
}

TEST(Curl, IsServedUploadsHeadAndKeepAlive) {
    TestServer server(echo, {.max_body_bytes = 8 << 20});
    auto folder = must(io::make_temporary_directory("/tmp/cloudlet-net-test-"));
    std::string body(4 << 20, '~');
    must(io::write_file_atomic(folder + "/body", body));
    auto output = io::run({"curl",
                           "-sS",
                           "--noproxy",
                           "*",
                           "--data-binary",
                           "@" + folder + "/body",
                           server.url("/up"),
                           "--next",
                           "-sS",
                           "-T",
                           folder + "/body",
                           "-H",
                           "Transfer-Encoding: chunked",
                           server.url("/chunked"),
                           "--next",
                           "-sS",
                           "-I",
                           server.url("/head"),
                           "--next",
                           "-sS",
                           "-w",
                           "%{num_connects}",
                           server.url("/kept")},
                          60s);
    must(io::remove_tree(folder));
    if (!output && output.error().code == Code::not_found) GTEST_SKIP() << "no curl here";
    ASSERT_TRUE(output) << output.error().to_string();
    EXPECT_EQ(static_cast<size_t>(std::count(output->out.begin(), output->out.end(), '~')),
              2 * body.size())
        << output->err;
    EXPECT_THAT(output->out, HasSubstr("X-Method: HEAD"));
    EXPECT_THAT(output->out, testing::EndsWith("hello /kept0"));
}

} // namespace
} // namespace cloudlet::net
