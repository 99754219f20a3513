#include "cloudlet/linux/ipv4.h"

#include <gtest/gtest.h>

namespace cloudlet::linux {
namespace {

TEST(Ipv4, GivenAddressesThenTextAndValueCorrespond) {
    for (const char* text : {"0.0.0.0", "10.244.0.1", "255.255.255.255", "127.0.0.1"})
        EXPECT_EQ(parse_ipv4(text)->to_string(), text);
    EXPECT_EQ(parse_ipv4("1.2.3.4")->value, 0x01020304u);
    EXPECT_TRUE(parse_ipv4("127.1.2.3")->is_loopback());
}

TEST(Ipv4, GivenOtherTextThenItIsInvalidAndQuoted) {
    for (const char* text : {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.x",
                             " 1.2.3.4", "1.2.3.4 ", "::1"}) {
        auto parsed = parse_ipv4(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().code, Code::invalid);
        EXPECT_NE(parsed.error().message.find('"' + std::string(text) + '"'), std::string::npos);
    }
}

TEST(Ipv4Block, GivenABlockThenItContainsItsAddressesAndKnowsItsSize) {
    auto block = *parse_ipv4_block("10.244.0.0/24");
    EXPECT_EQ(block.size(), 256u);
    EXPECT_TRUE(block.contains(*parse_ipv4("10.244.0.255")));
    EXPECT_FALSE(block.contains(*parse_ipv4("10.244.1.0")));
    EXPECT_TRUE(block.overlaps(*parse_ipv4_block("10.0.0.0/8")));
    EXPECT_FALSE(block.overlaps(*parse_ipv4_block("10.244.1.0/24")));
    EXPECT_TRUE(parse_ipv4_block("0.0.0.0/0")->contains(*parse_ipv4("9.9.9.9")));
    EXPECT_EQ(parse_ipv4_block("1.2.3.4/32")->to_string(), "1.2.3.4/32");
}

TEST(Ipv4Block, GivenABlockWithHostBitsThenTheErrorShowsTheRightSpelling) {
    auto parsed = parse_ipv4_block("10.244.0.7/24");
    ASSERT_FALSE(parsed);
    EXPECT_NE(parsed.error().message.find("10.244.0.0/24"), std::string::npos);
    for (const char* text :
         {"10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "10.0.0.0/8/8", "/8"})
        EXPECT_EQ(parse_ipv4_block(text).error().code, Code::invalid) << text;
}

} // namespace
} // namespace cloudlet::linux
