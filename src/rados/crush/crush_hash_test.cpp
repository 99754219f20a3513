#include "cloudlet/rados/crush_hash.h"

#include <cmath>

namespace cloudlet::rados {
namespace {

// All values are what libceph-common 16.2.15 answers.
TEST(CrushHash, mixes_one_to_five_words_as_the_format_says) {
    EXPECT_EQ(crush_hash32(1), 0xd5082851u);
    EXPECT_EQ(crush_hash32(1, 2), 0xb78dee9cu);
    EXPECT_EQ(crush_hash32(1, 2, 3), 0x735ad42bu);
    EXPECT_EQ(crush_hash32(1, 2, 3, 4), 0x696d1f16u);
    EXPECT_EQ(crush_hash32(1, 2, 3, 4, 5), 0x4b42a1a1u);
    auto big = [](uint32_t n) { return 0xdeadbeefu * n; };
    EXPECT_EQ(crush_hash32(big(1)), 0x711d6883u);
    EXPECT_EQ(crush_hash32(big(1), big(2)), 0x4b43921du);
    EXPECT_EQ(crush_hash32(big(1), big(2), big(3)), 0xaadbe02eu);
    EXPECT_EQ(crush_hash32(big(1), big(2), big(3), big(4)), 0x3f022f5fu);
    EXPECT_EQ(crush_hash32(big(1), big(2), big(3), big(4), big(5)), 0x115b9118u);
}

TEST(CrushHash, hashes_object_names_of_every_length) {
    EXPECT_EQ(hash_name_rjenkins(""), 0xbd49d10du);
    EXPECT_EQ(hash_name_rjenkins("a"), 0x29eec818u);
    EXPECT_EQ(hash_name_rjenkins("root-id_rsa"), 0x38e001efu);
    EXPECT_EQ(hash_name_rjenkins("test-object-1"), 0x74dc35e2u);
    EXPECT_EQ(hash_name_rjenkins("0123456789ab"), 0x92f31ad0u);
    EXPECT_EQ(hash_name_rjenkins("rbd_data.1234567890ab.0000000000000001"), 0x4df393f2u);
    EXPECT_EQ(hash_name_rjenkins("\xff\xfe\x80"
                                 "binary"),
              0x301ee230u);
}

TEST(CrushHash, hashes_object_names_of_old_pools) {
    EXPECT_EQ(hash_name_linux(""), 0u);
    EXPECT_EQ(hash_name_linux("a"), 0x42f2u);
    EXPECT_EQ(hash_name_linux("root-id_rsa"), 0xef7f295du);
    EXPECT_EQ(hash_name_linux("\xff\xfe\x80"
                              "binary"),
              0xcaf2f4b8u);
}

TEST(CrushLn, is_close_to_the_logarithm_everywhere) {
    for (uint32_t x = 0; x <= 0xffff; ++x) {
        double exact = std::ldexp(std::log2(x + 1.0), 44);
        ASSERT_NEAR(static_cast<double>(crush_ln(x)), exact, std::ldexp(1.0, 30)) << x;
    }
}

TEST(CrushLn, ends_where_the_format_ends) {
    EXPECT_EQ(crush_ln(0), 0u);
    EXPECT_EQ(crush_ln(0xffff), 0xfffff0000000u);
}

} // namespace
} // namespace cloudlet::rados
