#include "cloudlet/network/dns_server.h"

#include "test_world.h"

namespace cloudlet::network::testing {
namespace {

DnsRecords some_records() {
    DnsRecords records;
    records.services.push_back(
        {"web", "default", ip("10.96.0.50"), "", {{"http", Protocol::tcp, 80}}, {}});
    DnsService many{"many", "default", std::nullopt, "", {}, {}};
    for (uint32_t i = 2; i < 120; ++i) many.endpoints.push_back({{0x0AF40000 + i}, ""});
    records.services.push_back(many);
    records.services.push_back({"out", "default", std::nullopt, "example.org", {}, {}});
    return records;
}

std::unique_ptr<DnsServer> start(std::vector<std::string> upstreams, uint16_t port = 0,
                                 const char* address = "127.0.0.1") {
    DnsOptions options;
    options.listen = {ip(address)};
    options.port = port;
    options.upstreams = std::move(upstreams);
    options.upstream_timeout = std::chrono::milliseconds(300);
    auto server = DnsServer::start(options);
    EXPECT_TRUE(server) << server.error().to_string();
    (*server)->update(some_records());
    return std::move(*server);
}

std::string dig(const DnsServer& server, const std::string& arguments) {
    std::string command =
        "dig +tries=1 +time=5 @127.0.0.1 -p " + std::to_string(server.port()) + " ";
    return output_of({"/bin/sh", "-c", command + arguments});
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

TEST(DnsServer, GivenDigThenItUnderstandsEveryAnswer) {
    World world;
    auto server = start({});
    EXPECT_EQ(dig(*server, "+short web.default.svc.cluster.local"), "10.96.0.50\n");
    EXPECT_EQ(dig(*server, "+short +tcp web.default.svc.cluster.local"), "10.96.0.50\n");
    EXPECT_EQ(dig(*server, "+short -x 10.96.0.50"), "web.default.svc.cluster.local.\n");
    EXPECT_EQ(dig(*server, "+short _http._tcp.web.default.svc.cluster.local SRV"),
              "0 100 80 web.default.svc.cluster.local.\n");
    std::string absent = dig(*server, "nobody.default.svc.cluster.local");
    for (const char* part : {"NXDOMAIN", "SOA\tns.dns.cluster.local.", "flags: qr aa rd ra;"})
        EXPECT_TRUE(has(absent, part)) << absent;
    std::string no_ipv6 = dig(*server, "web.default.svc.cluster.local AAAA");
    EXPECT_TRUE(has(no_ipv6, "NOERROR") && has(no_ipv6, "ANSWER: 0, AUTHORITY: 1")) << no_ipv6;
    EXPECT_TRUE(has(dig(*server, "+edns=1 +noednsnegotiation cluster.local"), "BADVERS"));
    EXPECT_TRUE(has(dig(*server, "example.org"), "REFUSED")) << "nobody to ask";
    EXPECT_TRUE(has(dig(*server, "CH TXT version.bind"), "REFUSED"));
}

TEST(DnsServer, GivenAnAnswerTooLongForADatagramThenTheClientComesBackOverTcp) {
    World world;
    auto server = start({});
    EXPECT_TRUE(has(dig(*server, "+ignore +bufsize=512 many.default.svc.cluster.local"),
                    "flags: qr aa tc rd ra;"));
    std::string whole = dig(*server, "+short many.default.svc.cluster.local");
    EXPECT_EQ(std::count(whole.begin(), whole.end(), '\n'), 118);
}

TEST(DnsServer, GivenManyQuestionsOnOneTcpConnectionThenEachIsAnswered) {
    World world;
    auto server = start({});
    std::string out =
        dig(*server,
            "+tcp +keepopen +short web.default.svc.cluster.local web.default.svc.cluster.local "
            "web.default.svc.cluster.local");
    EXPECT_EQ(out, "10.96.0.50\n10.96.0.50\n10.96.0.50\n");
}

TEST(DnsServer, GivenAnUpstreamThenTheRestOfTheWorldIsAskedThere) {
    World world;
    DnsOptions upstream_options; // another of our servers, for another domain
    upstream_options.listen = {ip("127.0.0.53")};
    upstream_options.port = 0;
    upstream_options.domain = "org";
    upstream_options.upstreams.emplace();
    auto upstream = DnsServer::start(upstream_options).value();
    DnsRecords outside;
    outside.services.push_back(
        {"www", "example", ip("10.96.9.9"), "", {}, {}}); // www.example.svc.org
    DnsService many{"many", "example", std::nullopt, "", {}, {}};
    for (uint32_t i = 2; i < 120; ++i) many.endpoints.push_back({{0x0AF40000 + i}, ""});
    outside.services.push_back(many);
    upstream->update(outside);
    std::string live = "127.0.0.53#" + std::to_string(upstream->port());

    auto server = start({"127.0.0.99#9", live}); // nobody listens at the first
    EXPECT_EQ(dig(*server, "+short www.example.svc.org"), "10.96.9.9\n");
    EXPECT_TRUE(has(dig(*server, "nobody.example.svc.org"), "NXDOMAIN"));
    std::string whole = dig(*server, "+short many.example.svc.org");
    EXPECT_EQ(std::count(whole.begin(), whole.end(), '\n'), 118) << "over TCP all the way";
    DnsRecords records = some_records();
    records.services.push_back({"alias", "default", std::nullopt, "www.example.svc.org", {}, {}});
    server->update(records);
    EXPECT_EQ(dig(*server, "+short alias.default.svc.cluster.local"),
              "www.example.svc.org.\n10.96.9.9\n");
    EXPECT_GE(server->stats().forwarded, 4u);
}

TEST(DnsServer, GivenUpstreamsThatAreSilentThenServfailComesInTime) {
    World world;
    io::UniqueFd silent = socket_in(world.netns(), SOCK_DGRAM);
    ASSERT_TRUE(bind_to(silent.get(), ip("127.0.0.77"), 5300));
    auto server = start({"127.0.0.77#5300"});
    EXPECT_TRUE(has(dig(*server, "example.org"), "SERVFAIL"));
    auto other = start({"127.0.0.99#9"}); // refused by the kernel at once
    EXPECT_TRUE(has(dig(*other, "example.org"), "SERVFAIL"));
}

TEST(DnsServer, GivenResolvConfThenItIsFollowedAndNeverBackToUs) {
    World world;
    auto upstream = start({}, 53, "127.0.0.53");
    std::string folder = io::make_temporary_directory("/tmp/cloudlet-dns-test-").value();
    DnsOptions options;
    options.listen = {ip("127.0.0.1")};
    options.port = 0;
    options.domain = "other.local";
    options.resolv_conf = folder + "/resolv.conf";
    ASSERT_TRUE(io::write_file_atomic(options.resolv_conf,
                                      "nameserver 127.0.0.1\nnameserver 10.96.0.10\n"));
    auto server = DnsServer::start(options).value();
    EXPECT_TRUE(has(dig(*server, "web.default.svc.cluster.local"), "REFUSED"));
    ASSERT_TRUE(io::write_file_atomic(options.resolv_conf,
                                      "# moved\nsearch a b\nnameserver\t127.0.0.53 \n"));
    EXPECT_EQ(dig(*server, "+short web.default.svc.cluster.local"), "10.96.0.50\n");
    EXPECT_TRUE(io::remove_tree(folder));
}

TEST(DnsServer, GivenRecordsThatChangeWhileAskedThenEveryAnswerIsOldOrNew) {
    World world;
    auto server = start({});
    std::atomic<bool> stop = false;
    std::thread changer([&] {
        for (uint32_t i = 0; !stop; ++i) {
            DnsRecords records;
            Ipv4 one{0x0A600000 + i % 2};
            records.services.push_back(
                {"a", "default", std::nullopt, "", {}, {{one, ""}, {{one.value + 256}, ""}}});
            server->update(records);
        }
    });
    for (int i = 0; i < 20; ++i) {
        std::string answer =
            dig(*server, "+short a.default.svc.cluster.local | sort | tr '\\n' ' '");
        EXPECT_TRUE(answer == "10.96.0.0 10.96.1.0 " || answer == "10.96.0.1 10.96.1.1 " ||
                    (i == 0 && answer.empty()))
            << answer;
    }
    stop = true;
    changer.join();
}

TEST(DnsServer, GivenATakenPortThenTheErrorNamesIt) {
    World world;
    auto server = start({}, 5353);
    DnsOptions options;
    options.listen = {ip("127.0.0.1")};
    options.port = 5353;
    auto second = DnsServer::start(options);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::already_exists);
    EXPECT_TRUE(has(second.error().message, "127.0.0.1:5353")) << second.error().message;
    options.upstreams = {"not a server"};
    options.port = 0;
    EXPECT_EQ(DnsServer::start(options).error().code, Code::invalid);
}

TEST(DnsServer, GivenAPodThenGlibcAndBusyboxFindServicesThroughTheDnsServiceAddress) {
    World world;
    auto options = world.options();
    auto network = PodNetwork::open(options).value();
    auto proxy = ServiceProxy::open(options).value();
    ASSERT_TRUE(proxy->apply({}));
    Netns pod;
    ASSERT_TRUE(network->attach({"pod-1", pod.path(), {}}));
    auto server = start({}, 53, "10.244.0.1");
    std::string folder = io::make_temporary_directory("/tmp/cloudlet-dns-test-").value();
    ASSERT_TRUE(io::write_file_atomic(folder + "/resolv.conf",
                                      "nameserver 10.96.0.10\n"
                                      "search default.svc.cluster.local svc.cluster.local\n"));
    // A mount namespace of its own, as a pod has: resolv.conf is bound over the machine's.
    std::string mount = "unshare -m --propagation private sh -c 'mount --bind " + folder +
                        "/resolv.conf "
                        "/etc/resolv.conf && ";
    Result<> done = linux::run_in_netns(pod.fd(), [&]() -> Result<> {
        std::string found = output_of({"/bin/sh", "-c", mount + "getent ahostsv4 web'"});
        EXPECT_TRUE(has(found, "10.96.0.50")) << found;
        found = output_of({"/bin/sh", "-c",
                           mount + "busybox nslookup web.default.svc.cluster.local 10.96.0.10'"});
        EXPECT_TRUE(has(found, "10.96.0.50")) << found;
        found = output_of({"/bin/sh", "-c", mount + "getent hosts 10.96.0.50'"});
        EXPECT_TRUE(has(found, "web.default.svc.cluster.local")) << found;
        return {};
    });
    EXPECT_TRUE(done);
    EXPECT_TRUE(io::remove_tree(folder));
}

} // namespace
} // namespace cloudlet::network::testing
