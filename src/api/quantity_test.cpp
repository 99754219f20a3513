#include "cloudlet/api/quantity.h"

#include <gtest/gtest.h>

namespace cloudlet::api {
namespace {

std::string canonical(std::string_view text) {
    auto quantity = Quantity::parse(text);
    return quantity ? quantity->to_string() : "error";
}

TEST(Quantity, prints_in_the_canonical_form) {
    const std::pair<std::string_view, std::string_view> cases[] = {
        {"0", "0"},
        {"-0", "0"},
        {"0.000", "0"},
        {"100m", "100m"},
        {"0.1", "100m"},
        {"1000m", "1"},
        {"1500m", "1500m"},
        {"1.5", "1500m"},
        {"1000", "1k"},
        {"1024Mi", "1Gi"},
        {"1.5Gi", "1536Mi"},
        {"512", "512"},
        {"1025", "1025"},
        {"0.5Mi", "512Ki"},
        {"0.5Ki", "512"},
        {"0.25Ki", "256"},
        {"1Ki", "1Ki"},
        {"1e3", "1e3"},
        {"1E3", "1e3"},
        {"12e6", "12e6"},
        {"1e-3", "1e-3"},
        {"2e4", "20e3"},
        {"+5", "5"},
        {"-1.5Gi", "-1536Mi"},
        {"1M", "1M"},
        {"1000000k", "1G"},
        {"1n", "1n"},
        {"0.5n", "1n"},
        {"1u", "1u"},
        {"0.0001Ki", "102400u"},
        {"100E", "9223372036854775807"},
        {"9223372036854775807", "9223372036854775807"},
        {"99999999999999999999", "9223372036854775807"},
        {"8Ei", "9223372036854775807"},
        {".5", "500m"},
        {"5.", "5"},
        {"1E", "1E"},
        {"0.000000001", "1n"},
    };
    for (auto [text, expected] : cases) EXPECT_EQ(canonical(text), expected) << text;
}

TEST(Quantity, refuses_what_is_no_amount) {
    for (std::string_view text : {"", "abc", "1.5.0", "1 Gi", "Gi", "1gi", "1K", "--1", "1e",
                                  "1ee3", "1mi", ".", "+", "1Gi "})
        EXPECT_EQ(canonical(text), "error") << text;
    EXPECT_EQ(Quantity::parse("x").error().message,
              "quantities must match the regular expression "
              "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
}

TEST(Quantity, rounds_up_to_whole_and_to_milli_units) {
    EXPECT_EQ(Quantity::parse("100m")->value(), 1);
    EXPECT_EQ(Quantity::parse("1.5Gi")->value(), 1610612736);
    EXPECT_EQ(Quantity::parse("2500m")->milli_value(), 2500);
    EXPECT_EQ(Quantity::parse("1u")->milli_value(), 1);
    EXPECT_EQ(Quantity::parse("-1500m")->value(), -2);
    EXPECT_EQ(Quantity::parse("8Ei")->milli_value(), INT64_MAX);
}

TEST(Quantity, adds_subtracts_and_compares_amounts_whatever_their_spelling) {
    auto half = *Quantity::parse("500m");
    auto one = *Quantity::parse("1");
    EXPECT_EQ((half + half), one);
    EXPECT_EQ((one - half).to_string(), "500m");
    EXPECT_EQ((*Quantity::parse("1Gi") + *Quantity::parse("1Mi")).to_string(), "1025Mi");
    EXPECT_LT(*Quantity::parse("999Mi"), *Quantity::parse("1Gi"));
    EXPECT_TRUE((one - one - one).is_negative());
    EXPECT_EQ(*Quantity::parse("1000m"), one);
}

TEST(Quantity, what_it_prints_reads_back_as_the_same_amount) {
    for (std::string_view text :
         {"1", "7m", "13n", "3Ki", "1023Mi", "5Ei", "123456789.123456789", "12e9", "0.3Gi"}) {
        auto first = *Quantity::parse(text);
        auto second = Quantity::parse(first.to_string());
        ASSERT_TRUE(second.has_value()) << text;
        EXPECT_EQ(first, *second) << text;
        EXPECT_EQ(first.to_string(), second->to_string()) << text;
    }
}

} // namespace
} // namespace cloudlet::api
