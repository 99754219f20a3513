#include "cloudlet/rados/crush_codec.h"

#include "cloudlet/base/random.h"
#include "cloudlet/rados/crush_builder.h"
#include "cloudlet/rados/crush_mapper.h"
#include "crush_random_map.h"

namespace cloudlet::rados {
namespace {

CrushMap small_map() {
    const CrushLayer layers[] = {{"host", BucketAlg::straw2, 2}, {"root", BucketAlg::straw2, 0}};
    return *build_crush_map(4, layers);
}

std::string refusal(const CrushMap& map) {
    auto decoded = decode_crush_map(encode_crush_map(map));
    return decoded ? "accepted" : decoded.error().to_string();
}

TEST(CrushCodec, refuses_a_file_cut_anywhere_with_the_offset) {
    std::string bytes = encode_crush_map(small_map());
    size_t accepted = 0;
    for (size_t length = 0; length < bytes.size(); ++length) {
        auto decoded = decode_crush_map(std::string_view(bytes).substr(0, length));
        accepted += decoded.has_value();
        if (decoded) continue;
        EXPECT_THAT(decoded.error().to_string(), testing::HasSubstr("at byte"));
    }
    // Older releases ended before the tunables, and before each of those added later.
    EXPECT_EQ(accepted, 8u);
}

TEST(CrushCodec, reads_old_files_with_the_tunables_of_their_time) {
    CrushMap map = small_map();
    std::string bytes = encode_crush_map(map);
    size_t classes_and_args = 4 * 4, tunables = 3 * 4 + 4 + 1 + 1 + 4 + 1;
    auto old = decode_crush_map(bytes.substr(0, bytes.size() - classes_and_args - tunables));
    ASSERT_TRUE(old) << old.error().to_string();
    EXPECT_EQ(old->tunables, *CrushTunables::profile("legacy"));
}

TEST(CrushCodec, says_which_bucket_is_wrong_and_how) {
    CrushMap map = small_map();
    map.bucket(-1)->items[0] = -7;
    EXPECT_THAT(refusal(map),
                testing::HasSubstr("bucket -1 (host0) holds bucket -7, which does not"));
    map = small_map();
    map.bucket(-1)->items[0] = 400;
    EXPECT_THAT(refusal(map), testing::HasSubstr("holds device 400; the map has only 4 devices"));
    map = small_map();
    map.bucket(-1)->items[0] = -3;
    EXPECT_THAT(refusal(map), testing::HasSubstr("lies below itself"));
    map = small_map();
    map.bucket(-2)->hash = 3;
    EXPECT_THAT(refusal(map), testing::HasSubstr("bucket -2 (host1) uses hash 3"));
    map = small_map();
    map.choose_args[0][-1].weight_sets = {{1, 2, 3}};
    EXPECT_THAT(refusal(map), testing::HasSubstr("a weight set of 3 in choose_args 0"));
}

TEST(CrushCodec, believes_no_count) {
    std::string bytes = encode_crush_map(small_map());
    for (size_t at = 0; at + 4 <= bytes.size(); ++at) {
        std::string hostile = bytes;
        hostile.replace(at, 4, "\xff\xff\xff\x7f");
        auto decoded = decode_crush_map(hostile);
        if (!decoded) continue;
        EXPECT_EQ(*decode_crush_map(encode_crush_map(*decoded)), *decoded);
    }
}

TEST(CrushCodec, refuses_or_survives_any_flipped_bit) {
    Random random(1);
    std::string bytes = encode_crush_map(random_crush_map(random));
    CrushWorkspace work;
    std::vector<uint32_t> reweights(64, crush_weight_one);
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        std::string flipped = bytes;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
        auto decoded = decode_crush_map(flipped);
        if (!decoded) continue;
        auto mapper = CrushMapper::prepare(*decoded);
        ASSERT_TRUE(mapper) << mapper.error().to_string();
        mapper->map(work, {.rule = 0, .result_max = 3, .reweights = reweights}, 1);
    }
}

TEST(CrushCodec, refuses_more_than_a_map_may_hold) {
    CrushMap map = small_map();
    map.buckets.resize(crush_max_buckets + 1);
    EXPECT_THAT(refusal(map), testing::HasSubstr("65537 bucket slots; at most 65536"));
    EXPECT_EQ(check_crush_map(map).error().code, Code::too_large);
}

} // namespace
} // namespace cloudlet::rados
