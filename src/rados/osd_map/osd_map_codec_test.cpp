#include "cloudlet/rados/osd_map_codec.h"

#include <filesystem>

#include "cloudlet/io/file.h"
#include "cloudlet/rados/osd_map_create.h"
#include "crush/crush_random_map.h"
#include "osd_map_random.h"

namespace cloudlet::rados {
namespace {

using testing::HasSubstr;

/// The life of a small cluster, recorded from a monitor of Ceph 16.2.15: one step for each epoch.
std::string recorded(const std::string& name) {
    return *io::read_file(std::string(CLOUDLET_CORPUS) + "/osd_map/" + name);
}

std::string step_name(Epoch epoch) { return fmt::format("step_{:02}", epoch); }

constexpr Epoch recorded_epochs = 76;

TEST(OsdMapCodec, follows_a_recorded_cluster_step_by_step_to_the_checksum_of_each_epoch) {
    OsdMap map;
    for (Epoch epoch = 1; epoch <= recorded_epochs; ++epoch) {
        SCOPED_TRACE(epoch);
        auto step = decode_osd_map_incremental(recorded(step_name(epoch)));
        ASSERT_TRUE(step) << step.error().to_string();
        ASSERT_NE(step->full_crc, 0u);
        auto next = apply_checked(map, *step);
        ASSERT_TRUE(next) << next.error().to_string();
        map = std::move(*next);
    }
    EXPECT_EQ(encode_osd_map(map), recorded("full_76"));
}

TEST(OsdMapCodec, writes_every_recorded_file_back_byte_for_byte) {
    size_t files = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(std::string(CLOUDLET_CORPUS) + "/osd_map")) {
        std::string name = entry.path().filename();
        SCOPED_TRACE(name);
        std::string bytes = *io::read_file(entry.path());
        if (name.starts_with("full")) {
            auto map = decode_osd_map(bytes);
            ASSERT_TRUE(map) << map.error().to_string();
            map->crush_bytes = nullptr; // with our own encoding of the hierarchy
            EXPECT_EQ(encode_osd_map(*map), bytes);
        } else if (name.starts_with("step")) {
            auto step = decode_osd_map_incremental(bytes);
            ASSERT_TRUE(step) << step.error().to_string();
            EXPECT_EQ(encode_osd_map_incremental(*step), bytes);
        }
        ++files;
    }
    EXPECT_GT(files, recorded_epochs);
}

TEST(OsdMapCodec, reads_what_it_writes) {
    for (uint64_t seed = 1; seed <= 300; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        OsdMap map = random_osd_map(random);
        std::string bytes = encode_osd_map(map);
        auto again = decode_osd_map(bytes);
        ASSERT_TRUE(again) << again.error().to_string();
        EXPECT_EQ(again->pools, map.pools);
        EXPECT_EQ(again->pg_temp, map.pg_temp);
        EXPECT_EQ(*again->crush, *map.crush);
        EXPECT_EQ(encode_osd_map(*again), bytes);

        OsdMapIncremental step = random_step(random, map);
        std::string step_bytes = encode_osd_map_incremental(step);
        auto step_again = decode_osd_map_incremental(step_bytes);
        ASSERT_TRUE(step_again) << step_again.error().to_string();
        EXPECT_EQ(encode_osd_map_incremental(*step_again), step_bytes);
    }
}

TEST(OsdMapCodec, keeps_what_newer_releases_append) {
    OsdMap map = *create_simple_map({.osds = 2, .with_default_pool = true});
    map.osd_part.version = 12;
    map.osd_part.tail = "what comes after pacific";
    map.client_part.tail = "and this";
    map.pools[1].envelope = {31, 5, "a new field"};
    auto again = decode_osd_map(encode_osd_map(map));
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_EQ(again->osd_part.tail, map.osd_part.tail);
    EXPECT_EQ(again->pools[1].envelope.tail, "a new field");
    EXPECT_EQ(encode_osd_map(*again), encode_osd_map(map));
}

TEST(OsdMapCodec, refuses_a_map_cut_anywhere_and_says_where) {
    std::string bytes = encode_osd_map(*create_simple_map({.osds = 3, .with_default_pool = true}));
    for (size_t size = 0; size < bytes.size(); ++size) {
        auto map = decode_osd_map(bytes.substr(0, size));
        ASSERT_FALSE(map) << size;
        EXPECT_THAT(map.error().to_string(), HasSubstr("offset"));
    }
    auto longer = decode_osd_map(bytes + "x");
    EXPECT_THAT(longer.error().to_string(), HasSubstr("1 bytes too many at offset"));
}

TEST(OsdMapCodec, refuses_any_flipped_byte) {
    std::string bytes = encode_osd_map(*create_simple_map({.osds = 3, .with_default_pool = true}));
    for (size_t i = 0; i < bytes.size(); ++i) {
        std::string flipped = bytes;
        flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
        EXPECT_FALSE(decode_osd_map(flipped)) << i;
    }
    std::string step = recorded(step_name(5));
    for (size_t i = 0; i < step.size(); ++i) {
        std::string flipped = step;
        flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
        EXPECT_FALSE(decode_osd_map_incremental(flipped)) << i;
    }
}

TEST(OsdMapCodec, names_the_checksum_that_does_not_fit) {
    std::string bytes = encode_osd_map(*create_simple_map({.osds = 1}));
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    EXPECT_THAT(decode_osd_map(bytes).error().to_string(),
                HasSubstr("the checksum at offset " + std::to_string(bytes.size() - 4)));
}

TEST(OsdMapCodec, allocates_nothing_for_a_count_that_the_bytes_cannot_hold) {
    std::string bytes = encode_osd_map(*create_simple_map({.osds = 1}));
    constexpr size_t pool_count = 6 + 6 + 16 + 4 + 8 + 8;
    bytes.replace(pool_count, 4, "\xff\xff\xff\xff");
    EXPECT_THAT(decode_osd_map(bytes).error().to_string(),
                HasSubstr("4294967295 items cannot fit into the rest of the bytes at offset 48"));
}

TEST(OsdMapCodec, refuses_columns_of_another_length_than_max_osd) {
    OsdMap map = *create_simple_map({.osds = 3});
    map.osd_weight.pop_back();
    EXPECT_THAT(decode_osd_map(encode_osd_map(map)).error().to_string(),
                HasSubstr("2 weights for a max_osd of 3"));
}

TEST(OsdMapCodec, refuses_a_step_that_does_not_fit_the_map) {
    OsdMap map = *create_simple_map({.osds = 3});
    OsdMapIncremental step;
    step.fsid = map.fsid;
    step.epoch = 5;
    EXPECT_THAT(apply_incremental(map, step).error().to_string(),
                HasSubstr("epoch 5 does not follow epoch 1"));
    step.epoch = 2;
    step.fsid.bytes[0] = 1;
    EXPECT_THAT(apply_incremental(map, step).error().to_string(), HasSubstr("belongs to cluster"));
    step.fsid = map.fsid;
    step.new_weight[3] = 0;
    EXPECT_THAT(apply_incremental(map, step).error().to_string(),
                HasSubstr("new_weight names osd.3, max_osd is 3"));
    step.new_weight.clear();
    step.new_pools[1] = Pool(); // no PGs
    EXPECT_THAT(apply_incremental(map, step).error().to_string(), HasSubstr("pg_num 0"));
    step.new_pools.clear();
    step.full_crc = 1;
    EXPECT_THAT(apply_checked(map, step).error().to_string(), HasSubstr("have diverged"));
}

} // namespace
} // namespace cloudlet::rados
