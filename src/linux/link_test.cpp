#include "cloudlet/linux/link.h"

#include <algorithm>

#include "cloudlet/linux/sysctl.h"
#include "test_netns.h"

namespace cloudlet::linux::testing {
namespace {

VethPair pair_into(int netns) {
    return {"out0", {2, 0, 0, 0, 0, 1}, "in0", {2, 0, 0, 0, 0, 2}, netns, 1400};
}

TEST(RouteSocket, GivenAVethPairIntoAnotherNamespaceThenBothEndsAreAsAskedFor) {
    InNewNetns here;
    auto there = create_netns().value();
    auto routes = RouteSocket::open().value();
    ASSERT_TRUE(routes.create_veth(pair_into(there.get())));
    auto inside = RouteSocket::open_in(there.get()).value();
    Link out = routes.find_link("out0").value(), in = inside.find_link("in0").value();
    EXPECT_EQ(out.kind, "veth");
    EXPECT_EQ(out.mtu, 1400u);
    EXPECT_EQ(in.mtu, 1400u);
    EXPECT_EQ(to_string(in.mac), "02:00:00:00:00:02");
    EXPECT_FALSE(out.is_up());
    EXPECT_EQ(routes.find_link("in0").error().code, Code::not_found);
    ASSERT_TRUE(routes.set_alias(out.index, "whose"));
    EXPECT_EQ(routes.find_link("out0")->alias, "whose");
    ASSERT_TRUE(routes.delete_link("out0"));
    EXPECT_FALSE(inside.find_link("in0")) << "the peer goes too";
    EXPECT_TRUE(routes.delete_link("out0")) << "gone already is done";
}

TEST(RouteSocket, GivenATakenNameThenTheErrorNamesTheLinkAndSaysWhatTheKernelSays) {
    InNewNetns here;
    auto routes = RouteSocket::open().value();
    ASSERT_TRUE(routes.create_bridge("out0"));
    auto refused = routes.create_veth(pair_into(-1));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::already_exists);
    EXPECT_NE(refused.error().message.find("out0"), std::string::npos);
    auto too_long = pair_into(-1);
    too_long.name = "sixteencharacter";
    EXPECT_EQ(routes.create_veth(too_long).error().code, Code::invalid);
    // A route over a link that is down is refused with a reason in words (extended
    // acknowledgement).
    Route wrong{block("10.1.0.0/16"), routes.find_link("out0")->index, ip("10.1.0.2"), {}};
    auto explained = routes.add_route(wrong);
    ASSERT_FALSE(explained);
    EXPECT_NE(explained.error().message.find("10.1.0.0/16"), std::string::npos);
    EXPECT_NE(explained.error().message.find('('), std::string::npos) << explained.error().message;
}

TEST(RouteSocket, GivenALinkThatComesUpWithSettingsThenTheSysctlsShowThem) {
    InNewNetns here;
    auto routes = RouteSocket::open().value();
    ASSERT_TRUE(routes.create_veth(pair_into(-1)));
    int index = routes.find_link("out0")->index;
    ASSERT_TRUE(routes.set_up(index, {.forwards = true,
                                      .strict_source = true,
                                      .route_localnet = true,
                                      .no_ipv6_address = true}));
    ASSERT_TRUE(routes.set_up(routes.find_link("in0")->index));
    EXPECT_TRUE(routes.find_link("out0")->is_up());
    for (const char* name : {"forwarding", "rp_filter", "route_localnet"})
        EXPECT_EQ(read_sysctl(std::string("net/ipv4/conf/out0/") + name).value(), "1") << name;
    ASSERT_TRUE(routes.set_down(index));
    EXPECT_FALSE(routes.find_link("out0")->is_up());
}

TEST(RouteSocket, GivenAddressesRoutesAndNeighboursThenDumpsShowThemUntilTheyAreDeleted) {
    InNewNetns here;
    auto routes = RouteSocket::open().value();
    ASSERT_TRUE(routes.create_veth(pair_into(-1)));
    int index = routes.find_link("out0")->index;
    ASSERT_TRUE(routes.set_up(index));
    Address address{index, ip("10.1.0.1"), 32};
    Route direct{block("10.1.0.2/32"), index, std::nullopt, ip("10.1.0.1")};
    Route onward{Ipv4Block{{}, 0}, index, ip("10.1.0.2"), std::nullopt}; // onlink
    ASSERT_TRUE(routes.add_address(address));
    ASSERT_TRUE(routes.add_address(address)) << "there already is done";
    ASSERT_TRUE(routes.set_route(direct));
    ASSERT_TRUE(routes.set_route(onward));
    ASSERT_TRUE(routes.set_route(onward)) << "replaces itself";
    EXPECT_EQ(routes.add_route(direct).error().code, Code::already_exists);
    ASSERT_TRUE(routes.set_neighbour({index, ip("10.1.0.2"), {2, 3, 4, 5, 6, 7}}));

    auto present = routes.addresses().value();
    EXPECT_NE(std::ranges::find(present, address), present.end());
    auto table = routes.routes().value();
    EXPECT_NE(std::ranges::find(table, direct), table.end());
    EXPECT_NE(std::ranges::find(table, onward), table.end());
    auto neighbours = routes.permanent_neighbours().value();
    ASSERT_EQ(neighbours.size(), 1u);
    EXPECT_EQ(to_string(neighbours[0].mac), "02:03:04:05:06:07");

    for (int twice = 0; twice < 2; ++twice) {
        ASSERT_TRUE(routes.delete_route(onward));
        ASSERT_TRUE(routes.delete_route(direct));
        ASSERT_TRUE(routes.delete_address(address));
    }
    EXPECT_TRUE(routes.routes()->empty());
}

TEST(RouteSocket, GivenLinksThatComeAndGoWhileTheyAreListedThenEveryListIsWhole) {
    InNewNetns here;
    auto routes = RouteSocket::open().value();
    for (int i = 0; i < 40; ++i) ASSERT_TRUE(routes.create_bridge("keep" + std::to_string(i)));
    std::atomic<bool> stop = false;
    std::thread busy([&, netns = here.fd()] {
        auto other = RouteSocket::open_in(netns).value();
        while (!stop) {
            EXPECT_TRUE(other.create_bridge("flicker"));
            EXPECT_TRUE(other.delete_link("flicker"));
        }
    });
    for (int round = 0; round < 30; ++round) {
        auto links = routes.links();
        ASSERT_TRUE(links) << links.error().to_string();
        EXPECT_EQ(std::ranges::count_if(
                      *links, [](const Link& link) { return link.name.starts_with("keep"); }),
                  40);
    }
    stop = true;
    busy.join();
}

TEST(Netns, GivenPathsThenOnlyNetworkNamespacesAreOpened) {
    EXPECT_TRUE(open_netns("/proc/self/ns/net"));
    EXPECT_EQ(open_netns("/proc/self/ns/uts").error().code, Code::invalid);
    EXPECT_EQ(open_netns("/etc/hostname").error().code, Code::invalid);
    EXPECT_EQ(open_netns("/nowhere").error().code, Code::not_found);
}

TEST(Sysctl, GivenNamesThenValuesAreReadWrittenAndRefusedByName) {
    InNewNetns here;
    ASSERT_TRUE(write_sysctl("net/ipv4/ip_forward", "1"));
    EXPECT_EQ(read_sysctl("net/ipv4/ip_forward").value(), "1");
    auto absent = read_sysctl("net/ipv4/no_such_thing");
    EXPECT_EQ(absent.error().code, Code::not_found);
    EXPECT_NE(absent.error().message.find("no_such_thing"), std::string::npos);
    EXPECT_FALSE(write_sysctl("net/ipv4/ip_forward", "many"));
}

} // namespace
} // namespace cloudlet::linux::testing
