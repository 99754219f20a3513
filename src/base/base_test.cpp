#include <cerrno>

#include "cloudlet/base/bytes.h"
#include "cloudlet/base/clock.h"
#include "cloudlet/base/id.h"
#include "cloudlet/base/random.h"
#include "cloudlet/base/result.h"

namespace cloudlet {
namespace {

Result<int> half(int n) {
    if (n % 2) return fail(Code::invalid, "odd");
    return n / 2;
}

Result<int> quarter(int n) {
    int once = TRY(with_context(half(n), "first half"));
    return TRY(with_context(half(once), "second half"));
}

TEST(Result, TryReturnsTheFirstErrorWithItsContext) {
    EXPECT_EQ(*quarter(8), 2);
    EXPECT_EQ(quarter(3).error().to_string(), "first half: odd");
    EXPECT_EQ(quarter(6).error().to_string(), "second half: odd");
}

TEST(Result, ErrnoChoosesTheCode) {
    Result<> missing = fail_errno("open /x", ENOENT);
    EXPECT_EQ(missing.error().code, Code::not_found);
    EXPECT_EQ(missing.error().os_errno, ENOENT);
    EXPECT_EQ(missing.error().message, "open /x: No such file or directory");
    EXPECT_EQ(Result<>(fail_errno("write", ENOSPC)).error().code, Code::exhausted);
}

TEST(Base64, RoundTripsEveryLengthAndRefusesGarbage) {
    std::string bytes;
    for (int i = 0; i < 300; ++i) {
        EXPECT_EQ(*from_base64(to_base64(bytes)), bytes);
        EXPECT_EQ(*from_base64(to_base64url(bytes)), bytes);
        bytes += static_cast<char>(i * 7);
    }
    EXPECT_EQ(to_base64("foob"), "Zm9vYg=="); // RFC 4648 section 10
    EXPECT_FALSE(from_base64("Zm9v!"));
    EXPECT_FALSE(from_base64("Zm9vY"));
    EXPECT_FALSE(from_base64("Zm9vYg="));
}

TEST(Hex, RoundTripsAndRefusesGarbage) {
    EXPECT_EQ(to_hex(std::string("\x00\xff\x10", 3)), "00ff10");
    EXPECT_EQ(*from_hex("00FF10"), std::string("\x00\xff\x10", 3));
    EXPECT_FALSE(from_hex("0"));
    EXPECT_FALSE(from_hex("0g"));
}

TEST(Time, FormatsAndParsesRfc3339) {
    auto time = *parse_time("2026-01-02T03:04:05.000006007Z");
    EXPECT_EQ(format_time(time), "2026-01-02T03:04:05Z");
    EXPECT_EQ(format_micro_time(time), "2026-01-02T03:04:05.000006Z");
    EXPECT_EQ(format_nano_time(time), "2026-01-02T03:04:05.000006007Z");
    EXPECT_FALSE(parse_time("2501-10-31T22:22:56Z")) << "more nanoseconds than 64 bits hold";
    EXPECT_FALSE(parse_time("0001-01-01T00:00:00Z"));
    EXPECT_TRUE(parse_time("1678-01-01T00:00:00+23:59"));
    EXPECT_TRUE(parse_time("2261-12-31T23:59:60.999999999-23:59"));
    EXPECT_EQ(*parse_time("2026-01-02T05:04:05+02:00"), *parse_time("2026-01-02T03:04:05Z"));
    for (auto bad :
         {"", "2026", "2026-13-02T03:04:05Z", "2026-02-30T03:04:05Z", "2026-01-02T03:04:05",
          "2026-01-02T03:04:05.Z", "2026-01-02 03:04:05Z", "2026-01-02T24:04:05Z"})
        EXPECT_FALSE(parse_time(bad)) << bad;
}

TEST(Time, AgesReadAsKubectlPrintsThem) {
    using namespace std::chrono_literals;
    EXPECT_EQ(format_age(0s), "0s");
    EXPECT_EQ(format_age(119s), "119s");
    EXPECT_EQ(format_age(125s), "2m5s");
    EXPECT_EQ(format_age(11min + 5s), "11m");
    EXPECT_EQ(format_age(3h + 5min), "3h5m");
    EXPECT_EQ(format_age(49h), "2d1h");
    EXPECT_EQ(format_age(24h * 20), "20d");
}

TEST(Random, OneSeedGivesOneSequence) {
    Random a(42), b(42), c(43);
    EXPECT_EQ(a.next(), b.next());
    EXPECT_NE(a.next(), c.next());
    for (int i = 0; i < 1000; ++i) EXPECT_LT(a.below(7), 7u);
}

TEST(Ids, LookAsTheirFormatsSay) {
    EXPECT_THAT(new_uuid(),
                testing::MatchesRegex(
                    "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
    EXPECT_EQ(new_hex_id(64).size(), 64u);
    EXPECT_THAT(new_name_suffix(), testing::MatchesRegex("[bcdfghjklmnpqrstvwxz2456789]{5}"));
}

} // namespace
} // namespace cloudlet
