#include "cloudlet/network/address_pool.h"

#include <gtest/gtest.h>

namespace cloudlet::network {
namespace {

linux::Ipv4Block block(const char* text) { return *linux::parse_ipv4_block(text); }
linux::Ipv4 ip(const char* text) { return *linux::parse_ipv4(text); }

TEST(AddressPool, GivenAFreshBlockThenTheFirstPodGetsTheAddressAfterTheGateway) {
    AddressPool pool(block("10.244.0.0/24"));
    EXPECT_EQ(pool.allocate()->to_string(), "10.244.0.2");
    EXPECT_EQ(pool.allocate()->to_string(), "10.244.0.3");
    EXPECT_EQ(pool.capacity(), 253u);
}

TEST(AddressPool, GivenAReleasedAddressWhenAnotherIsAskedForThenItIsNotReusedAtOnce) {
    AddressPool pool(block("10.244.0.0/24"));
    auto first = pool.allocate();
    pool.release(*first);
    EXPECT_NE(*pool.allocate(), *first);
}

TEST(AddressPool, GivenASmallBlockWhenItIsFullThenTheErrorNamesItAndAReleaseHelps) {
    AddressPool pool(block("10.1.0.0/29"));
    for (int i = 2; i <= 6; ++i) EXPECT_EQ(pool.allocate()->value & 7, static_cast<uint32_t>(i));
    auto full = pool.allocate();
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().code, Code::exhausted);
    EXPECT_NE(full.error().message.find("10.1.0.0/29"), std::string::npos);
    pool.release(ip("10.1.0.4"));
    EXPECT_EQ(pool.allocate()->to_string(), "10.1.0.4");
}

TEST(AddressPool, GivenAdoptedAddressesThenTheyAreNotHandedOut) {
    AddressPool pool(block("10.1.0.0/29"));
    ASSERT_TRUE(pool.take(ip("10.1.0.3")));
    EXPECT_EQ(pool.take(ip("10.1.0.3")).error().code, Code::already_exists);
    std::set<std::string> rest;
    while (auto address = pool.allocate()) rest.insert(address->to_string());
    EXPECT_EQ(rest, (std::set<std::string>{"10.1.0.2", "10.1.0.4", "10.1.0.5", "10.1.0.6"}));
}

TEST(AddressPool, GivenAddressesThatNoPodMayHaveThenTakingThemIsInvalid) {
    AddressPool pool(block("10.1.0.0/29"));
    for (const char* text : {"10.1.0.0", "10.1.0.1", "10.1.0.7", "10.1.0.8", "9.255.255.255"})
        EXPECT_EQ(pool.take(ip(text)).error().code, Code::invalid) << text;
}

} // namespace
} // namespace cloudlet::network
