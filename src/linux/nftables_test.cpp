#include "cloudlet/linux/nftables.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <set>

#include <linux/netlink.h>

#include "cloudlet/io/process.h"
#include "cloudlet/linux/conntrack.h"
#include "test_netns.h"

namespace cloudlet::linux::testing {
namespace {

using namespace nft;

NetlinkSocket netfilter() { return NetlinkSocket::open(NETLINK_NETFILTER).value(); }

std::string nft_says(const std::string& arguments) {
    auto result = io::run({"/bin/sh", "-c", "nft " + arguments}, std::chrono::seconds(20));
    return result ? result->out + result->err : result.error().to_string();
}

Batch with_table() {
    Batch batch(Family::ip, "t");
    batch.add_table();
    return batch;
}

TEST(Nftables, GivenATableWithAMapWhenNftListsItThenItReadsWhatWasWritten) {
    InNewNetns here;
    auto socket = netfilter();
    Batch batch = with_table();
    batch.add_set({"m",
                   {DataType::ipv4, DataType::inet_proto, DataType::inet_service},
                   {DataType::ipv4, DataType::inet_service},
                   false});
    batch.add_set({"v", {DataType::ipv4}, {}, true});
    batch.add_chain("target");
    batch.add_base_chain({"base", "nat", Hook::prerouting, -100});
    batch.add_element("m", {field(ip("10.0.0.1")) + field_u8(6) + field_be16(80),
                            field(ip("10.0.0.2")) + field_be16(8080),
                            {}});
    batch.add_element("v", {field(ip("10.0.0.9")), {}, "target"});
    Expressions rule;
    rule.load_ip_destination(reg(0)).load_protocol(reg(1)).load_destination_port(reg(2));
    batch.add_rule("base", rule.map("m", reg(0), reg(8)).dnat(reg(8), reg(9)));
    batch.add_rule("target",
                   Expressions().when_source(block("10.0.0.0/9")).when_output("eth9").drop());
    auto committed = batch.commit(socket);
    ASSERT_TRUE(committed) << committed.error().to_string();
    std::string text = nft_says("list table ip t");
    for (const char* wanted : {"10.0.0.1 . tcp . 80 : 10.0.0.2 . 8080", "10.0.0.9 : goto target",
                               "dnat ip to ip daddr . meta l4proto . th dport map @m",
                               "ip saddr 10.0.0.0/9 oifname \"eth9\" drop",
                               "type nat hook prerouting priority dstnat; policy accept;"})
        EXPECT_NE(text.find(wanted), std::string::npos) << wanted << "\n" << text;
}

TEST(Nftables, GivenElementsWhenDumpedThenTheyAreTheOnesWritten) {
    InNewNetns here;
    auto socket = netfilter();
    Batch batch = with_table();
    batch.add_set({"m", {DataType::ipv4}, {DataType::mark}, false});
    std::vector<Element> written;
    for (uint32_t i = 0; i < 5000; ++i)
        written.push_back({field(Ipv4{0x0A000000 + i}), field_u32(i), {}});
    for (const Element& element : written) batch.add_element("m", element);
    ASSERT_TRUE(batch.commit(socket));
    auto read = list_elements(socket, Family::ip, "t", "m").value();
    auto by_key = [](const Element& a, const Element& b) { return a.key < b.key; };
    std::ranges::sort(read, by_key);
    std::ranges::sort(written, by_key);
    EXPECT_EQ(read, written);
    EXPECT_EQ(list_elements(socket, Family::ip, "t", "absent").error().code, Code::not_found);
}

// The kernel's table of a set grows in a worker of its own, and a list that is read meanwhile
// begins anew in the bigger table.
TEST(Nftables, GivenASetThatIsStillGrowingInTheKernelThenEveryListIsWhole) {
    InNewNetns here;
    auto socket = netfilter();
    Batch batch = with_table();
    batch.add_set({"m", {DataType::ipv4}, {DataType::mark}, false});
    ASSERT_TRUE(batch.commit(socket));
    uint32_t held = 0;
    for (uint32_t more : {700u, 100u, 700u, 200u, 1400u, 300u, 2800u, 400u, 5600u, 700u}) {
        Batch growth(Family::ip, "t");
        for (uint32_t i = 0; i < more; ++i, ++held)
            growth.add_element("m", {field(Ipv4{0x0A000000 + held}), field_u32(held), {}});
        ASSERT_TRUE(growth.commit(socket));
        auto read = list_elements(socket, Family::ip, "t", "m");
        ASSERT_TRUE(read) << read.error().to_string();
        std::set<std::string> keys;
        for (const Element& element : *read) keys.insert(element.key);
        EXPECT_EQ(read->size(), held);
        EXPECT_EQ(keys.size(), held);
    }
}

TEST(Nftables, GivenABatchWithOneWrongChangeThenNothingOfItHappensAndTheErrorNamesTheChange) {
    InNewNetns here;
    auto socket = netfilter();
    Batch good = with_table();
    good.add_set({"s", {DataType::ipv4}, {}, false});
    ASSERT_TRUE(good.commit(socket));
    Batch bad(Family::ip, "t");
    bad.add_element("s", {field(ip("10.0.0.1")), {}, {}});
    bad.add_chain("c");
    bad.add_rule("c", Expressions().jump("nowhere"));
    auto refused = bad.commit(socket);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::not_found);
    EXPECT_NE(refused.error().message.find("rule in nft chain c of t"), std::string::npos)
        << refused.error().message;
    EXPECT_TRUE(list_elements(socket, Family::ip, "t", "s")->empty());
    EXPECT_TRUE(list_chains(socket, Family::ip)->empty());
}

TEST(Nftables, GivenAnElementWhenItsValueChangesInOneBatchThenTheNewOneStands) {
    InNewNetns here;
    auto socket = netfilter();
    Batch batch = with_table();
    batch.add_set({"m", {DataType::ipv4}, {DataType::mark}, false});
    batch.add_element("m", {field(ip("10.0.0.1")), field_u32(1), {}});
    ASSERT_TRUE(batch.commit(socket));
    Batch conflict(Family::ip, "t");
    conflict.add_element("m", {field(ip("10.0.0.1")), field_u32(2), {}});
    EXPECT_FALSE(conflict.commit(socket));
    Batch change(Family::ip, "t");
    change.delete_element("m", field(ip("10.0.0.1")));
    change.add_element("m", {field(ip("10.0.0.1")), field_u32(2), {}});
    ASSERT_TRUE(change.commit(socket));
    EXPECT_EQ(list_elements(socket, Family::ip, "t", "m")->at(0).value, field_u32(2));
    Batch flush(Family::ip, "t");
    flush.flush_set("m");
    ASSERT_TRUE(flush.commit(socket));
    EXPECT_TRUE(list_elements(socket, Family::ip, "t", "m")->empty());
    Batch gone(Family::ip, "t");
    gone.delete_set("m");
    gone.delete_table();
    ASSERT_TRUE(gone.commit(socket));
    EXPECT_TRUE(list_tables(socket)->empty());
    EXPECT_TRUE(Batch(Family::ip, "t").commit(socket)) << "nothing to do is done";
}

TEST(Nftables, GivenChainsThatNftMadeThenTheirHooksAndPoliciesAreRead) {
    InNewNetns here;
    auto socket = netfilter();
    ASSERT_EQ(nft_says("'add table inet fw; add chain inet fw f { type filter hook forward "
                       "priority 5; policy drop; }; "
                       "add chain inet fw plain; add rule inet fw f iifname \"abc*\" accept'"),
              "");
    auto chains = list_chains(socket).value();
    ASSERT_EQ(chains.size(), 2u);
    auto base = std::ranges::find(chains, "f", &Chain::name);
    ASSERT_NE(base, chains.end());
    EXPECT_EQ(base->family, Family::inet);
    EXPECT_EQ(base->hook, static_cast<uint32_t>(Hook::forward));
    EXPECT_EQ(base->priority, 5);
    EXPECT_EQ(base->type, "filter");
    EXPECT_TRUE(base->drops_by_default);
    auto rules = list_rule_bytes(socket, *base).value();
    ASSERT_EQ(rules.size(), 1u);
    EXPECT_NE(rules[0].find("abc"), std::string::npos);
}

TEST(Conntrack, GivenAUdpConnectionThenItIsListedAndForgotten) {
    InNewNetns here;
    auto rules = netfilter();
    Batch batch = with_table(); // a rule that translates makes the kernel track connections
    batch.add_base_chain({"base", "nat", Hook::postrouting, 100});
    batch.add_rule("base", Expressions().when_output("nowhere").masquerade());
    ASSERT_TRUE(batch.commit(rules));
    io::UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)),
        server(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(4444);
    where.sin_addr.s_addr = htonl(0x7F000001);
    ASSERT_EQ(::bind(server.get(), reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
    ASSERT_EQ(::sendto(fd.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&where), sizeof where), 1);
    auto socket = ConntrackSocket::open().value();
    auto list = socket.list(IPPROTO_UDP).value();
    ASSERT_EQ(list.size(), 1u);
    EXPECT_EQ(list[0].original.destination_port, 4444);
    EXPECT_EQ(list[0].reply.source, ip("127.0.0.1"));
    EXPECT_FALSE(list[0].destination_changed());
    EXPECT_TRUE(socket.list(IPPROTO_TCP)->empty());
    ASSERT_TRUE(socket.forget(list[0]));
    EXPECT_TRUE(socket.list(IPPROTO_UDP)->empty());
    EXPECT_TRUE(socket.forget(list[0])) << "gone already is done";
}

} // namespace
} // namespace cloudlet::linux::testing
