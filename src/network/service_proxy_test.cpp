#include "cloudlet/network/service_proxy.h"

#include <netinet/in.h>

#include <algorithm>
#include <set>

#include "cloudlet/linux/conntrack.h"
#include "cloudlet/linux/nftables.h"
#include "ruleset.h"
#include "service_rules.h"
#include "test_world.h"

namespace cloudlet::network::testing {
namespace {

using Names = std::set<std::string>;

ServicePort service(const char* cluster_ip, uint16_t port, std::vector<Endpoint> endpoints) {
    ServicePort made;
    made.name = "default/web";
    made.cluster_ip = ip(cluster_ip);
    made.port = port;
    made.endpoints = std::move(endpoints);
    return made;
}

// A node with three web pods, a client pod, and the proxy.
struct Cluster {
    World world;
    NetworkOptions options = world.options();
    std::unique_ptr<PodNetwork> network = PodNetwork::open(options).value();
    std::unique_ptr<ServiceProxy> proxy = ServiceProxy::open(options).value();
    Netns netns[4];
    std::vector<Ipv4> address;
    std::vector<std::unique_ptr<Server>> servers;

    Cluster() {
        for (int i = 0; i < 4; ++i)
            address.push_back(
                network->attach({"pod" + std::to_string(i), netns[i].path(), {}}).value().address);
        for (int i = 0; i < 3; ++i)
            servers.push_back(
                std::make_unique<Server>(netns[i].fd(), "web" + std::to_string(i), 80));
    }
    int client() const { return netns[3].fd(); }
    std::vector<Endpoint> webs(std::vector<int> which) const {
        std::vector<Endpoint> endpoints;
        for (int i : which) endpoints.push_back({address[static_cast<size_t>(i)], 80});
        return endpoints;
    }
    // Who answers, over many new connections.
    static Names answers(int from, Ipv4 to, uint16_t port, int connections = 60) {
        Names names;
        for (int i = 0; i < connections; ++i) {
            std::string text = ask(from, to, port);
            names.insert(text.starts_with("error") ? text : text.substr(0, text.find(' ')));
        }
        return names;
    }
    size_t elements(const char* map) const {
        auto socket = linux::NetlinkSocket::open(12 /* NETLINK_NETFILTER */).value();
        return linux::nft::list_elements(socket, table_family, options.table(), map).value().size();
    }
};

TEST(ServiceProxy, GivenThreeEndpointsThenPodsAndTheNodeSeeAllOfThemAndTheClientsAddressIsKept) {
    Cluster c;
    ASSERT_TRUE(c.proxy->apply({service("10.96.0.50", 8080, c.webs({0, 1, 2}))}));
    EXPECT_EQ(Cluster::answers(c.client(), ip("10.96.0.50"), 8080),
              (Names{"web0", "web1", "web2"}));
    EXPECT_EQ(Cluster::answers(c.world.netns(), ip("10.96.0.50"), 8080),
              (Names{"web0", "web1", "web2"}));
    std::string text = ask(c.client(), ip("10.96.0.50"), 8080);
    EXPECT_EQ(text.substr(text.find(' ') + 1), c.address[3].to_string());
}

TEST(ServiceProxy, GivenAPodThatIsItsServicesOnlyEndpointThenItReachesItself) {
    Cluster c;
    ASSERT_TRUE(c.proxy->apply({service("10.96.0.50", 80, c.webs({0}))}));
    EXPECT_EQ(ask(c.netns[0].fd(), ip("10.96.0.50"), 80), "web0 10.244.0.1");
    EXPECT_EQ(ask(c.netns[1].fd(), ip("10.96.0.50"), 80), "web0 10.244.0.3")
        << "others keep their address";
}

TEST(ServiceProxy, GivenANodePortThenEveryAddressOfTheNodeHasItAlsoLoopback) {
    Cluster c;
    auto web = service("10.96.0.50", 80, c.webs({0, 1}));
    web.node_port = 30080;
    ASSERT_TRUE(c.proxy->apply({web}));
    EXPECT_EQ(Cluster::answers(c.world.netns(), ip("127.0.0.1"), 30080), (Names{"web0", "web1"}));
    EXPECT_EQ(Cluster::answers(c.client(), c.options.gateway(), 30080), (Names{"web0", "web1"}));
    EXPECT_EQ(ask(c.client(), c.address[0], 30080), "error: Connection refused")
        << "a pod's address is no node's";
    web.node_port = 0;
    ASSERT_TRUE(c.proxy->apply({web}));
    EXPECT_EQ(ask(c.world.netns(), ip("127.0.0.1"), 30080), "error: Connection refused");
}

TEST(ServiceProxy, GivenNoReadyEndpointOrNoServiceThenConnectionsAreRefusedAtOnce) {
    Cluster c;
    auto web = service("10.96.0.50", 80, c.webs({0}));
    web.endpoints[0].ready = false;
    ASSERT_TRUE(c.proxy->apply({web}));
    for (int from : {c.client(), c.world.netns()}) {
        EXPECT_EQ(ask(from, ip("10.96.0.50"), 80), "error: Connection refused");
        EXPECT_EQ(ask(from, ip("10.96.0.51"), 80), "error: Connection refused");
    }
    UdpClient udp(c.client());
    auto where = socket_address(ip("10.96.0.50"), 80);
    io::UniqueFd connected = socket_in(c.client(), SOCK_DGRAM);
    ASSERT_EQ(::connect(connected.get(), reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
    ASSERT_EQ(::send(connected.get(), "?", 1, 0), 1);
    char byte;
    EXPECT_EQ(::recv(connected.get(), &byte, 1, 0), -1);
    EXPECT_EQ(errno, ECONNREFUSED) << "ICMP port unreachable";
}

TEST(ServiceProxy,
     GivenARemovedEndpointWhenApplyHasReturnedThenNoNewConnectionGoesThereAndOldOnesGoOn) {
    Cluster c;
    Server late(c.netns[0].fd(), "old", 81);
    ASSERT_TRUE(c.proxy->apply({service("10.96.0.50", 80, c.webs({0, 1, 2}))}));
    // A connection to web0 that outlives the change.
    io::UniqueFd listener = socket_in(c.netns[0].fd(), SOCK_STREAM);
    ASSERT_TRUE(bind_to(listener.get(), Ipv4{}, 90) && ::listen(listener.get(), 1) == 0);
    auto slow = service("10.96.0.60", 90, {{c.address[0], 90}});
    ASSERT_TRUE(c.proxy->update({slow}, {}));
    io::UniqueFd flow = socket_in(c.client(), SOCK_STREAM);
    auto where = socket_address(ip("10.96.0.60"), 90);
    ASSERT_EQ(::connect(flow.get(), reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
    io::UniqueFd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));

    ASSERT_TRUE(c.proxy->apply({service("10.96.0.50", 80, c.webs({1, 2}))}));
    EXPECT_EQ(Cluster::answers(c.client(), ip("10.96.0.50"), 80), (Names{"web1", "web2"}));
    EXPECT_EQ(ask(c.client(), ip("10.96.0.60"), 90), "error: Connection refused");
    ASSERT_TRUE(io::write_all(accepted.get(), "still here"));
    char buffer[10];
    EXPECT_EQ(::recv(flow.get(), buffer, 10, MSG_WAITALL), 10);
}

TEST(ServiceProxy, GivenAUdpClientThatKeepsItsPortWhenItsEndpointGoesThenItIsSentToAnother) {
    Cluster c;
    auto dns = service("10.96.0.50", 53, c.webs({0}));
    dns.protocol = Protocol::udp;
    dns.node_port = 30053;
    ASSERT_TRUE(c.proxy->apply({dns}));
    UdpClient client(c.client()), by_node_port(c.client());
    EXPECT_EQ(client.ask(ip("10.96.0.50"), 53), "web0 10.244.0.5");
    EXPECT_EQ(by_node_port.ask(c.options.gateway(), 30053), "web0 10.244.0.5");
    dns.endpoints = c.webs({1});
    ASSERT_TRUE(c.proxy->apply({dns}));
    EXPECT_EQ(client.ask(ip("10.96.0.50"), 53), "web1 10.244.0.5");
    EXPECT_EQ(by_node_port.ask(c.options.gateway(), 30053), "web1 10.244.0.5");
    ASSERT_TRUE(c.proxy->apply({}));
    auto connections = linux::ConntrackSocket::open()->list(IPPROTO_UDP).value();
    EXPECT_TRUE(std::ranges::none_of(connections, [&](const linux::Connection& connection) {
        return connection.original.destination == ip("10.96.0.50") ||
               connection.original.destination_port == 30053;
    }));
}

TEST(ServiceProxy, GivenClientAffinityThenAClientStaysUntilItsEndpointGoes) {
    Cluster c;
    auto web = service("10.96.0.50", 80, c.webs({0, 1, 2}));
    web.node_port = 30080;
    web.affinity = std::chrono::hours(3);
    ASSERT_TRUE(c.proxy->apply({web}));
    Names first = Cluster::answers(c.client(), ip("10.96.0.50"), 80);
    Names by_node_port = Cluster::answers(c.client(), c.options.gateway(), 30080);
    ASSERT_EQ(first.size(), 1u);
    EXPECT_EQ(by_node_port.size(), 1u);
    std::vector<Endpoint> others;
    for (int i = 0; i < 3; ++i)
        if (!first.contains("web" + std::to_string(i)))
            others.push_back({c.address[static_cast<size_t>(i)], 80});
    web.endpoints = others;
    ASSERT_TRUE(c.proxy->apply({web}));
    Names second = Cluster::answers(c.client(), ip("10.96.0.50"), 80);
    EXPECT_EQ(second.size(), 1u);
    EXPECT_NE(second, first);
    EXPECT_FALSE(second.begin()->starts_with("error")) << *second.begin();
}

TEST(ServiceProxy, GivenSamePortOverTcpAndUdpThenTheyAreTwoServices) {
    Cluster c;
    auto tcp = service("10.96.0.50", 53, c.webs({0})), udp = service("10.96.0.50", 53, c.webs({1}));
    udp.protocol = Protocol::udp;
    ASSERT_TRUE(c.proxy->apply({tcp, udp}));
    EXPECT_EQ(ask(c.client(), ip("10.96.0.50"), 53), "web0 10.244.0.5");
    EXPECT_EQ(UdpClient(c.client()).ask(ip("10.96.0.50"), 53), "web1 10.244.0.5");
}

TEST(ServiceProxy, GivenTheDnsServiceThenItsPortLeadsToTheGatewayWhateverTheServiceObjectSays) {
    Cluster c;
    Server dns(c.world.netns(), "dns", 53);
    ASSERT_TRUE(c.proxy->apply({service("10.96.0.10", 53, {})}));
    EXPECT_EQ(ask(c.client(), ip("10.96.0.10"), 53), "dns 10.244.0.5");
    EXPECT_EQ(UdpClient(c.client()).ask(ip("10.96.0.10"), 53), "dns 10.244.0.5");
    EXPECT_EQ(ask(c.world.netns(), ip("10.96.0.10"), 53), "dns 10.244.0.1");
}

TEST(ServiceProxy, GivenAProcessThatEndedWhenOpenedAgainThenOnlyTheDifferenceIsChanged) {
    Cluster c;
    auto web = service("10.96.0.50", 80, c.webs({0, 1})),
         gone = service("10.96.0.51", 80, c.webs({2}));
    ASSERT_TRUE(c.proxy->apply({web, gone}));
    std::string before = output_of({"nft", "list", "ruleset"});
    c.proxy = ServiceProxy::open(c.options).value(); // as kill -9: nothing is undone
    EXPECT_EQ(Cluster::answers(c.client(), ip("10.96.0.50"), 80), (Names{"web0", "web1"}));
    ASSERT_TRUE(c.proxy->apply({web, gone}));
    EXPECT_EQ(c.proxy->stats().elements_changed, 0u);
    EXPECT_EQ(output_of({"nft", "list", "ruleset"}), before);

    c.proxy = ServiceProxy::open(c.options).value();
    ASSERT_TRUE(c.proxy->apply({web}));
    EXPECT_EQ(c.proxy->stats().elements_changed, 2u) << "one verdict and one endpoint leave";
    EXPECT_EQ(ask(c.client(), ip("10.96.0.51"), 80), "error: Connection refused");
    EXPECT_EQ(c.elements(names::hairpins), 2u);
}

TEST(ServiceProxy, GivenAFlushedRulesetWhenTheNextChangeComesThenEverythingIsMadeAgain) {
    Cluster c;
    auto web = service("10.96.0.50", 80, c.webs({0})),
         other = service("10.96.0.51", 80, c.webs({1}));
    ASSERT_TRUE(c.proxy->apply({web, other}));
    ASSERT_EQ(output_of({"nft", "flush", "ruleset"}), "");
    other.endpoints = c.webs({2});
    ASSERT_TRUE(c.proxy->apply({web, other}));
    EXPECT_EQ(ask(c.client(), ip("10.96.0.50"), 80), "web0 10.244.0.5");
    EXPECT_EQ(ask(c.client(), ip("10.96.0.51"), 80), "web2 10.244.0.5");
}

TEST(ServiceProxy, GivenTwoServicesWithOneAddressOrNodePortThenTheSecondIsNamedAndNothingChanges) {
    Cluster c;
    auto web = service("10.96.0.50", 80, c.webs({0})),
         other = service("10.96.0.51", 80, c.webs({1}));
    web.node_port = other.node_port = 30080;
    other.name = "default/other";
    auto refused = c.proxy->apply({web, other});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::invalid);
    EXPECT_NE(refused.error().message.find("default/other"), std::string::npos);
    EXPECT_NE(refused.error().message.find("30080"), std::string::npos);
    EXPECT_FALSE(c.proxy->apply({web, web}));
    EXPECT_EQ(c.elements(names::node_ports), 0u);
    ASSERT_TRUE(c.proxy->apply({web}));
    EXPECT_FALSE(c.proxy->update({other}, {}));
    ASSERT_TRUE(c.proxy->update({other}, {{web.cluster_ip, Protocol::tcp, 80}}))
        << "the port moves in one step";
    EXPECT_EQ(ask(c.world.netns(), ip("127.0.0.1"), 30080), "web1 10.244.0.1");
}

TEST(ServiceProxy, GivenConnectionsAllTheTimeWhenEndpointsChangeThenNoneFails) {
    Cluster c;
    auto web = service("10.96.0.50", 80, c.webs({0, 1, 2}));
    ASSERT_TRUE(c.proxy->apply({web}));
    std::atomic<bool> stop = false;
    std::atomic<int> failures = 0, asked = 0;
    std::thread client([&] {
        while (!stop || asked < 50) {
            std::string text = ask(c.client(), ip("10.96.0.50"), 80);
            if (text.starts_with("error") && ++failures == 1) ADD_FAILURE() << text;
            ++asked;
        }
    });
    const std::vector<std::vector<int>> states{{0}, {1, 2}, {0, 1, 2}, {2}, {0, 2}};
    for (int round = 0; round < 200; ++round) {
        web.endpoints = c.webs(states[static_cast<size_t>(round) % states.size()]);
        EXPECT_TRUE(c.proxy->apply({web}));
    }
    stop = true;
    client.join();
    EXPECT_EQ(failures, 0) << "of " << asked;
}

TEST(ServiceProxy, GivenTheRulesWhenNftListsThemThenItReadsWhatWeMeant) {
    Cluster c;
    auto web = service("10.96.0.50", 80, c.webs({0, 1}));
    web.affinity = std::chrono::seconds(100);
    web.node_port = 30080;
    ASSERT_TRUE(c.proxy->apply({web, service("10.96.0.51", 443, c.webs({2}))}));
    std::string text = output_of({"nft", "list", "table", "ip", "cloudlet-test1"});
    for (const char* wanted :
         {"ip daddr . meta l4proto . th dport vmap @services", "10.96.0.50 . tcp . 80 : goto c64s",
          "10.96.0.51 . tcp . 443 : goto c1", "tcp . 30080 : goto n64s",
          "10.96.0.51 . tcp . 443 . 0x00000000 : 10.244.0.4 . 80",
          "type nat hook prerouting priority dstnat; policy accept;",
          "type nat hook output priority -100; policy accept;",
          "type nat hook postrouting priority srcnat; policy accept;",
          "ip daddr 10.96.0.0/16 reject with tcp reset", "fib daddr type != local return",
          "jhash ip saddr mod 64 seed 0x636c6f75 map @endpoints",
          "dnat ip to meta l4proto . th dport map @host_ports_any"})
        EXPECT_NE(text.find(wanted), std::string::npos) << wanted << "\n" << text;
    EXPECT_EQ(text.find("invalid"), std::string::npos) << text;
}

TEST(ServiceRules, GivenTheSameEndpointsInAnotherOrderThenTheElementsAreEqual) {
    auto one = service("10.96.0.50", 80,
                       {{ip("10.0.0.1"), 1}, {ip("10.0.0.2"), 1}, {ip("10.0.0.9"), 1, false}});
    auto two =
        service("10.96.0.50", 80, {{ip("10.0.0.2"), 1}, {ip("10.0.0.1"), 1}, {ip("10.0.0.1"), 1}});
    auto changes = difference(elements_of(one), elements_of(two));
    EXPECT_TRUE(changes.added.empty());
    EXPECT_TRUE(changes.removed.empty());
    EXPECT_EQ(elements_of(one).size(), 3u);
}

TEST(ServiceRules, GivenOneMoreEndpointThenTwoElementsAreAddedAndTheVerdictIsReplaced) {
    auto one = service("10.96.0.50", 80, {{ip("10.0.0.1"), 1}});
    auto two = service("10.96.0.50", 80, {{ip("10.0.0.1"), 1}, {ip("10.0.0.2"), 1}});
    auto changes = difference(elements_of(one), elements_of(two));
    ASSERT_EQ(changes.removed.size(), 1u);
    EXPECT_EQ(changes.removed[0].value, "c1");
    EXPECT_EQ(changes.added.size(), 2u);
}

TEST(ServiceRules, GivenAffinityWhenAnEndpointJoinsThenOnlyItsShareOfThePlacesMoves) {
    std::vector<Endpoint> endpoints;
    for (uint32_t i = 1; i <= 9; ++i) endpoints.push_back({Ipv4{0x0AF40000 + i}, 80});
    auto web = service("10.96.0.50", 80, endpoints);
    web.affinity = std::chrono::hours(3);
    auto before = places_of(web);
    web.endpoints.push_back({ip("10.244.0.77"), 80});
    auto after = places_of(web);
    ASSERT_EQ(before.size(), 64u);
    ASSERT_EQ(after.size(), 64u);
    size_t moved = 0;
    for (size_t i = 0; i < 64; ++i)
        if (before[i] != after[i]) {
            ++moved;
            EXPECT_EQ(after[i].address, ip("10.244.0.77"));
        }
    EXPECT_GT(moved, 0u);
    EXPECT_LT(moved, 20u);
    for (const Endpoint& endpoint : endpoints) EXPECT_GT(std::ranges::count(before, endpoint), 0);
}

TEST(ServiceRules, GivenChainNamesThenOnlyOursAreRead) {
    EXPECT_EQ(chain_name(false, 3, false), "c3");
    EXPECT_EQ(chain_name(true, 64, true), "n64s");
    for (const char* name : {"c1", "n12", "c256s"}) EXPECT_TRUE(is_service_chain(name)) << name;
    for (const char* name :
         {"c", "c0", "cs", "cx", "guard", "c3_", "c3ss", "c3x", "layout_1", "n", ""})
        EXPECT_FALSE(is_service_chain(name)) << name;
}

} // namespace
} // namespace cloudlet::network::testing
