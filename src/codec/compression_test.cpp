#include "cloudlet/codec/compression.h"

#include <random>

#include "cloudlet/base/bytes.h"
#include "cloudlet/codec/digest.h"

namespace cloudlet::codec {
namespace {

constexpr size_t large = 64 << 20;

std::string sample(size_t size) {
    std::mt19937 random(7);
    std::string bytes;
    while (bytes.size() < size)
        bytes += std::string(random() % 50, static_cast<char>('a' + random() % 26));
    bytes.resize(size);
    return bytes;
}

// A source that gives one byte at a time, as a slow peer does.
ByteSource trickle(std::string_view bytes) {
    return [bytes](std::span<char> buffer) mutable -> Result<size_t> {
        if (bytes.empty()) return 0;
        buffer[0] = bytes[0];
        bytes.remove_prefix(1);
        return 1;
    };
}

Result<std::string> read_through(Decompressor decompressor) {
    return read_all([&](std::span<char> buffer) { return decompressor.read(buffer); }, large);
}

TEST(Compression, IsDetectedAndUndone) {
    std::string bytes = sample(1 << 20);
    EXPECT_EQ(*decompress(gzip_compress(bytes), large), bytes);
    EXPECT_EQ(*decompress(zstd_compress(bytes), large), bytes);
    EXPECT_EQ(*decompress(bytes, large), bytes);
    EXPECT_EQ(*decompress("", large), "");
    EXPECT_EQ(*decompress(gzip_compress(""), large), "");
    EXPECT_EQ(detect_compression(zstd_compress(bytes)), Compression::zstd);
}

TEST(Compression, ConcatenatedMembersAndFramesAreOneStream) {
    EXPECT_EQ(*decompress(gzip_compress("one ") + gzip_compress("") + gzip_compress("two"), large),
              "one two");
    EXPECT_EQ(*decompress(zstd_compress("one ") + zstd_compress("two"), large), "one two");
    EXPECT_EQ(*decompress(gzip_compress("padded") + std::string(512, '\0'), large), "padded");
    std::string skippable("\x50\x2a\x4d\x18\x03\x00\x00\x00xyz", 11);
    EXPECT_EQ(*decompress(skippable + zstd_compress("data") + skippable, large), "data");
}

TEST(Compression, SlowSourcesGiveTheSameBytes) {
    std::string bytes = sample(3000);
    for (const auto& packed : {gzip_compress(bytes) + gzip_compress("tail"),
                               zstd_compress(bytes) + zstd_compress("tail"), bytes + "tail"})
        EXPECT_EQ(*read_through(Decompressor(trickle(packed), large)), bytes + "tail");
}

TEST(Compression, DamageIsAnError) {
    std::string bytes = sample(100'000);
    for (const auto& packed : {gzip_compress(bytes), zstd_compress(bytes)}) {
        for (size_t keep : {packed.size() - 1, packed.size() / 2, size_t{11}})
            EXPECT_FALSE(decompress(packed.substr(0, keep), large)) << keep;
        EXPECT_FALSE(decompress(packed + "garbage", large));
    }
    std::string flipped = gzip_compress(bytes);
    flipped[flipped.size() - 6] ^= 1; // the CRC
    EXPECT_EQ(decompress(flipped, large).error().message,
              "the gzip data is damaged (incorrect data check)");
}

TEST(Compression, BombsStopAtTheLimit) {
    std::string zeros(10 << 20, '\0');
    for (const auto& packed : {gzip_compress(zeros), zstd_compress(zeros), zeros}) {
        auto result = decompress(packed, 1 << 20);
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error().code, Code::too_large);
    }
    EXPECT_TRUE(decompress(gzip_compress(zeros), zeros.size()));
}

TEST(Compression, AnErrorOfTheSourceComesThrough) {
    Decompressor decompressor(
        [](std::span<char>) -> Result<size_t> { return fail(Code::timeout, "too slow"); }, large);
    char buffer[10];
    EXPECT_EQ(decompressor.read(buffer).error().code, Code::timeout);
}

TEST(Digest, MatchesTheStandardsExamples) { // FIPS 180-4 and RFC 3174 test vectors
    EXPECT_EQ(sha256_hex("abc"),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(sha512_hex("abc").substr(0, 32), "ddaf35a193617abacc417349ae204131");
    EXPECT_EQ(to_hex(sha1("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
}

TEST(Digest, PiecesGiveTheDigestOfTheWhole) {
    Sha256 digest;
    digest.update("a");
    digest.update("");
    digest.update("bc");
    EXPECT_EQ(digest.finish_hex(), sha256_hex("abc"));
    EXPECT_EQ(digest.finish_hex(), sha256_hex("")); // it starts anew
}

} // namespace
} // namespace cloudlet::codec
