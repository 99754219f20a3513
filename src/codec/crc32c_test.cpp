#include "cloudlet/codec/crc32c.h"

#include <gtest/gtest.h>

#include <string>

#include "cloudlet/base/random.h"

namespace cloudlet::codec {
namespace {

TEST(Crc32c, HasThePublishedValues) { // RFC 3720, appendix B.4
    EXPECT_EQ(~crc32c(~0u, "123456789"), 0xe3069283u);
    EXPECT_EQ(~crc32c(~0u, std::string(32, '\0')), 0x8a9136aau);
    EXPECT_EQ(~crc32c(~0u, std::string(32, '\xff')), 0x62a8ab43u);
}

TEST(Crc32c, GoesOnFromAnyCut) {
    const std::string text = "the quick brown fox jumps over the lazy dog";
    for (size_t cut = 0; cut <= text.size(); ++cut)
        EXPECT_EQ(crc32c(crc32c(~0u, text.substr(0, cut)), text.substr(cut)), crc32c(~0u, text));
}

TEST(Crc32c, TheInstructionAndTheTablesAgreeAtAnyLengthAndPlace) {
    Random random(1);
    std::string bytes(200, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.below(256));
    for (size_t begin = 0; begin < 16; ++begin)
        for (size_t size = 0; begin + size <= bytes.size(); ++size) {
            const std::string_view part(bytes.data() + begin, size);
            const auto start = static_cast<uint32_t>(random.next());
            ASSERT_EQ(crc32c(start, part), crc32c_portable(start, part)) << begin << " " << size;
        }
}

} // namespace
} // namespace cloudlet::codec
