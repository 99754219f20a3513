#include "cloudlet/network/pod_network.h"

#include "test_world.h"

namespace cloudlet::network::testing {
namespace {

struct PodOnNode {
    Netns netns;
    PodAttachment at;
};

PodOnNode attach(PodNetwork& network, const std::string& id, std::vector<HostPort> ports = {}) {
    PodOnNode pod;
    auto attached = network.attach({id, pod.netns.path(), std::move(ports)});
    EXPECT_TRUE(attached) << attached.error().to_string();
    if (attached) pod.at = *attached;
    return pod;
}

// Everything a teardown must leave as it was, as text.
std::string picture() {
    std::string text;
    for (const char* command :
         {"ip -o link", "ip -o addr", "ip route show table all", "ip neigh", "nft list ruleset",
          "grep -r . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf"})
        text +=
            output_of({"/bin/sh", "-c", std::string(command) + " | sed 's/valid_lft.*//' | sort"});
    return text;
}

TEST(PodNetwork, GivenTwoPodsThenTheyReachEachOtherTheNodeAndNobodyAsksForMacAddresses) {
    World world;
    auto network = PodNetwork::open(world.options()).value();
    auto one = attach(*network, "pod-1"), two = attach(*network, "pod-2");
    Server server(two.netns.fd(), "two", 80);
    Server node_server(world.netns(), "node", 8080);

    EXPECT_EQ(one.at.address, ip("10.244.0.2"));
    EXPECT_EQ(ask(one.netns.fd(), two.at.address, 80), "two 10.244.0.2");
    EXPECT_EQ(ask(world.netns(), two.at.address, 80), "two 10.244.0.1");
    EXPECT_EQ(ask(one.netns.fd(), one.at.gateway, 8080), "node 10.244.0.2");
    auto neighbours = linux::RouteSocket::open_in(one.netns.fd())->permanent_neighbours().value();
    ASSERT_EQ(neighbours.size(), 1u);
    EXPECT_EQ(neighbours[0].address, one.at.gateway);
}

TEST(PodNetwork, GivenAnAttachedIdWhenAttachedAgainThenTheAnswerIsTheSame) {
    World world;
    auto network = PodNetwork::open(world.options()).value();
    auto pod = attach(*network, "pod-1");
    auto again = network->attach({"pod-1", pod.netns.path(), {}});
    ASSERT_TRUE(again);
    EXPECT_EQ(again->address, pod.at.address);
    EXPECT_EQ(network->attachments().size(), 1u);
}

TEST(PodNetwork, GivenAPathThatIsNoNamespaceThenTheErrorSaysSoAndNothingIsLeft) {
    World world;
    auto network = PodNetwork::open(world.options()).value();
    std::string before = picture();
    EXPECT_EQ(network->attach({"a", "/nowhere/net", {}}).error().code, Code::not_found);
    EXPECT_EQ(network->attach({"a", "/proc/self/ns/uts", {}}).error().code, Code::invalid);
    EXPECT_EQ(network->attach({"a", "/dev/null", {}}).error().code, Code::invalid);
    Netns taken;
    auto other = attach(*network, "b");
    auto twice = network->attach({"c", other.netns.path(), {}}); // eth0 is there already
    EXPECT_EQ(twice.error().code, Code::already_exists) << twice.error().to_string();
    ASSERT_TRUE(network->detach("b"));
    EXPECT_EQ(picture(), before);
}

TEST(PodNetwork, GivenAHostPortThenThePodAnswersOnEveryNodeAddressAndToItself) {
    World world;
    auto network = PodNetwork::open(world.options()).value();
    auto pod = attach(*network, "web", {{std::nullopt, 8080, 80, Protocol::tcp}});
    auto client = attach(*network, "client");
    Server server(pod.netns.fd(), "web", 80);

    EXPECT_EQ(ask(world.netns(), ip("127.0.0.1"), 8080), "web 10.244.0.1");
    EXPECT_EQ(ask(client.netns.fd(), pod.at.gateway, 8080), "web 10.244.0.3");
    EXPECT_EQ(ask(pod.netns.fd(), pod.at.gateway, 8080), "web 10.244.0.1") << "hairpin";
    auto clash =
        network->attach({"late", Netns().path(), {{ip("10.0.0.1"), 8080, 80, Protocol::tcp}}});
    EXPECT_EQ(clash.error().code, Code::conflict);
    ASSERT_TRUE(network->detach("web"));
    EXPECT_EQ(ask(world.netns(), ip("127.0.0.1"), 8080), "error: Connection refused");
}

TEST(PodNetwork, GivenAHostPortOnOneAddressThenOtherAddressesDoNotHaveIt) {
    World world;
    auto network = PodNetwork::open(world.options()).value();
    auto pod = attach(*network, "web", {{ip("127.0.0.2"), 8080, 80, Protocol::tcp}});
    Server server(pod.netns.fd(), "web", 80);
    EXPECT_EQ(ask(world.netns(), ip("127.0.0.2"), 8080), "web 10.244.0.1");
    EXPECT_EQ(ask(world.netns(), ip("127.0.0.1"), 8080), "error: Connection refused");
}

// A machine beside the node, on a link of its own.
struct Outside {
    Netns netns;
    explicit Outside(Ipv4 node, Ipv4 self) {
        auto routes = linux::RouteSocket::open().value();
        linux::VethPair pair{"uplink",           {2, 0, 0, 0, 0, 1}, "eth0",
                             {2, 0, 0, 0, 0, 2}, netns.fd(),         1400};
        EXPECT_TRUE(routes.create_veth(pair));
        int index = routes.find_link("uplink")->index;
        EXPECT_TRUE(routes.set_up(index, {.route_localnet = false, .no_ipv6_address = true}));
        EXPECT_TRUE(routes.add_address({index, node, 24}));
        auto inside = linux::RouteSocket::open_in(netns.fd()).value();
        index = inside.find_link("eth0")->index;
        EXPECT_TRUE(inside.set_up(index, {.route_localnet = false, .no_ipv6_address = true}));
        EXPECT_TRUE(inside.add_address({index, self, 24}));
        EXPECT_TRUE(routes.set_route(
            {Ipv4Block{{}, 0}, routes.find_link("uplink")->index, self, std::nullopt}));
    }
};

TEST(PodNetwork, GivenAMachineOutsideThenPodsReachItBehindTheNodesAddress) {
    World world;
    Outside outside(ip("192.0.2.1"), ip("192.0.2.9"));
    auto network = PodNetwork::open(world.options()).value();
    auto pod = attach(*network, "pod-1", {{std::nullopt, 8080, 80, Protocol::tcp}});
    Server server(outside.netns.fd(), "outside", 80), web(pod.netns.fd(), "web", 80);

    EXPECT_EQ(pod.at.mtu, 1400u) << "that of the link with the default route";
    EXPECT_EQ(ask(pod.netns.fd(), ip("192.0.2.9"), 80), "outside 192.0.2.1");
    EXPECT_EQ(ask(outside.netns.fd(), ip("192.0.2.1"), 8080), "web 192.0.2.9")
        << "the host port keeps the client";
}

TEST(PodNetwork, GivenAPodWhenItUsesTheLoopbackNetworkOrAnothersAddressThenTheNodeDropsIt) {
    World world;
    auto network = PodNetwork::open(world.options()).value();
    auto pod = attach(*network, "pod-1");
    Server server(world.netns(), "node", 8080);
    auto inside = linux::RouteSocket::open_in(pod.netns.fd()).value();
    int eth0 = inside.find_link("eth0")->index;
    ASSERT_TRUE(inside.add_address({eth0, ip("10.244.0.77"), 32}));
    io::UniqueFd spoofer = socket_in(pod.netns.fd(), SOCK_DGRAM);
    ASSERT_TRUE(bind_to(spoofer.get(), ip("10.244.0.77"), 0));
    sockaddr_in where = socket_address(pod.at.gateway, 8080);
    ASSERT_EQ(::connect(spoofer.get(), reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
    ASSERT_EQ(::send(spoofer.get(), "?", 1, 0), 1);
    UdpClient honest(pod.netns.fd()); // the links and the node keep the order of packets
    EXPECT_EQ(honest.ask(pod.at.gateway, 8080), "node 10.244.0.2");
    char byte;
    EXPECT_EQ(::recv(spoofer.get(), &byte, 1, MSG_DONTWAIT), -1);
    EXPECT_NE(
        output_of({"nft", "list", "chain", "ip", "cloudlet-test1", "guard"}).find("127.0.0.0/8"),
        std::string::npos);
}

TEST(PodNetwork, GivenAProcessThatEndedWhenOpenedAgainThenPodsFlowsAndHostPortsAreAdopted) {
    World world;
    auto options = world.options();
    auto network = PodNetwork::open(options).value();
    auto web = attach(*network, "web", {{std::nullopt, 8080, 80, Protocol::tcp}});
    auto client = attach(*network, "client");
    Server server(web.netns.fd(), "web", 80), listener(web.netns.fd(), "web", 81);
    io::UniqueFd flow = socket_in(client.netns.fd(), SOCK_STREAM);
    sockaddr_in where = socket_address(web.at.address, 81);
    ASSERT_EQ(::connect(flow.get(), reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
    network.reset(); // as kill -9: nothing is undone

    network = PodNetwork::open(options).value();
    auto adopted = network->attachments();
    ASSERT_EQ(adopted.size(), 2u);
    EXPECT_EQ(adopted[1].id, "web");
    EXPECT_EQ(adopted[1].host_ports, web.at.host_ports);
    EXPECT_EQ(io::read_all(flow.get(), 100).value(), "web 10.244.0.3");
    EXPECT_EQ(ask(world.netns(), ip("127.0.0.1"), 8080), "web 10.244.0.1");
    EXPECT_EQ(attach(*network, "next").at.address, ip("10.244.0.4"));
    EXPECT_EQ(network->reconcile({"web"}).value(), (std::vector<std::string>{"client", "next"}));
    EXPECT_EQ(network->attachments().size(), 1u);
    EXPECT_EQ(ask(world.netns(), web.at.address, 80), "web 10.244.0.1");
}

TEST(PodNetwork, GivenALinkThatWasHalfMadeWhenOpenedAgainThenItIsRemoved) {
    World world;
    auto options = world.options();
    auto network = PodNetwork::open(options).value();
    auto routes = linux::RouteSocket::open().value();
    Netns pod;
    ASSERT_TRUE(
        routes.create_veth({options.link_prefix() + "0007", {2}, "eth0", {6}, pod.fd(), 1500}));
    network = PodNetwork::open(options).value();
    EXPECT_EQ(routes.find_link(options.link_prefix() + "0007").error().code, Code::not_found);
    EXPECT_TRUE(network->attachments().empty());
}

TEST(PodNetwork, GivenAPodWhoseNamespaceVanishedWhenAttachedAgainThenItIsConnectedAnew) {
    World world;
    auto network = PodNetwork::open(world.options()).value();
    {
        auto pod = attach(*network, "pod-1");
        ASSERT_TRUE(linux::RouteSocket::open_in(pod.netns.fd())->delete_link("eth0"));
    }
    auto again = attach(*network, "pod-1");
    Server server(again.netns.fd(), "again", 80);
    EXPECT_EQ(ask(world.netns(), again.at.address, 80), "again 10.244.0.1");
}

TEST(PodNetwork, GivenTwoInstancesWhenBothEndThenTheMachineIsAsBefore) {
    World world;
    Outside outside(ip("192.0.2.1"), ip("192.0.2.9"));
    std::string before = picture();
    auto first = world.options("one");
    auto second = world.options("secondwithalongid");
    second.pod_block = block("10.9.0.0/24");
    second.cluster_block = block("10.9.0.0/16");
    second.service_block = block("10.10.0.0/16");
    second.dns_service = ip("10.10.0.10");
    {
        auto network = PodNetwork::open(first).value();
        auto other = PodNetwork::open(second).value();
        auto clash = PodNetwork::open(world.options("three"));
        ASSERT_FALSE(clash);
        EXPECT_EQ(clash.error().code, Code::conflict);
        auto pod = attach(*network, "a", {{std::nullopt, 8080, 80, Protocol::udp}});
        auto neighbour = attach(*other, "a");
        Server server(neighbour.netns.fd(), "other", 80);
        ASSERT_TRUE(network->teardown());
        EXPECT_EQ(ask(outside.netns.fd(), ip("10.9.0.2"), 80), "error: Network is unreachable");
        auto client = attach(*other, "b");
        EXPECT_EQ(ask(client.netns.fd(), neighbour.at.address, 80), "other 10.9.0.3")
            << "forwarding is still on";
    }
    ASSERT_TRUE(io::append_file(first.run_dir + "/.sysctl-1.tmp-0123456789ab", "net/"))
        << "what a killed start half wrote";
    ASSERT_TRUE(PodNetwork::teardown(second));
    ASSERT_TRUE(PodNetwork::teardown(second)) << "again is no error";
    EXPECT_EQ(picture(), before);
    EXPECT_FALSE(io::exists(first.run_dir));
}

TEST(PodNetwork, GivenOtherBlocksInTheConfigurationThenOpeningIsRefusedWithTheWayOut) {
    World world;
    auto options = world.options();
    ASSERT_TRUE(PodNetwork::open(options));
    options.pod_block = block("10.244.7.0/24");
    auto refused = PodNetwork::open(options);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::conflict);
    EXPECT_NE(refused.error().message.find("--purge"), std::string::npos);
}

TEST(PodNetwork, GivenAForwardChainThatDropsThenTheWarningNamesTheFixAndTheFixHelps) {
    World world;
    auto network = PodNetwork::open(world.options()).value();
    EXPECT_TRUE(network->warnings().empty());
    ASSERT_EQ(output_of({"nft", "add table inet fw; add chain inet fw forward "
                                "{ type filter hook forward priority 0; policy drop; }"}),
              "");
    auto warnings = network->warnings();
    ASSERT_EQ(warnings.size(), 1u);
    EXPECT_NE(warnings[0].find("inet fw forward"), std::string::npos);
    auto one = attach(*network, "pod-1"), two = attach(*network, "pod-2");
    Server server(two.netns.fd(), "two", 80);
    std::string fix = warnings[0].substr(warnings[0].find("nft insert"));
    ASSERT_EQ(output_of({"/bin/sh", "-c", fix}), "");
    EXPECT_EQ(ask(one.netns.fd(), two.at.address, 80), "two 10.244.0.2");
    EXPECT_TRUE(network->warnings().empty());
}

TEST(PodNetwork, GivenAFlushedRulesetWhenReconciledThenHostPortsWorkAgain) {
    World world;
    auto network = PodNetwork::open(world.options()).value();
    auto pod = attach(*network, "web", {{std::nullopt, 8080, 80, Protocol::tcp}});
    Server server(pod.netns.fd(), "web", 80);
    ASSERT_EQ(output_of({"nft", "flush", "ruleset"}), "");
    EXPECT_EQ(ask(world.netns(), ip("127.0.0.1"), 8080), "error: Connection refused");
    ASSERT_TRUE(network->reconcile({"web"}));
    EXPECT_EQ(ask(world.netns(), ip("127.0.0.1"), 8080), "web 10.244.0.1");
}

TEST(NetworkOptions, GivenWrongValuesThenTheErrorNamesThem) {
    NetworkOptions good;
    good.instance_id = "a1";
    ASSERT_TRUE(validate(good));
    auto message = [](NetworkOptions options) { return validate(options).error().message; };
    auto bad = good;
    bad.instance_id = "A/b";
    EXPECT_NE(message(bad).find("instance id A/b"), std::string::npos);
    bad = good;
    bad.pod_block = block("10.244.0.0/31");
    EXPECT_NE(message(bad).find("10.244.0.0/31"), std::string::npos);
    bad = good;
    bad.service_block = block("10.244.0.0/20");
    EXPECT_NE(message(bad).find("overlaps"), std::string::npos);
    bad = good;
    bad.dns_service = ip("1.2.3.4");
    EXPECT_NE(message(bad).find("1.2.3.4"), std::string::npos);
    EXPECT_LE((NetworkOptions{.instance_id = "averyveryverylongid"}.link_prefix() + "ffff").size(),
              15u);
}

} // namespace
} // namespace cloudlet::network::testing
