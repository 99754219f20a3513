#include "pg/object_id.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "cloudlet/base/random.h"
#include "test_seeds.h"

namespace cloudlet::rados {
namespace {

/// Few letters, zero bytes and those that escape them among them, so that prefixes meet.
PgObject random_object(Random& random) {
    auto text = [&] {
        constexpr std::string_view letters("\0\0\1\xff"
                                           "a",
                                           5);
        std::string made(random.below(4), '\0');
        for (char& byte : made) byte = letters[random.below(letters.size())];
        return made;
    };
    const uint32_t hashes[] = {0, 1, 2, 0x80000000, static_cast<uint32_t>(random.next())};
    const uint64_t snaps[] = {0, 1, 255, 256, snap_head};
    return {hashes[random.below(5)], text(), text(), text(), snaps[random.below(5)]};
}

TEST(ObjectId, sorts_as_the_objects_of_the_pg_do) {
    const uint64_t seed = first_seed();
    SCOPED_TRACE(fmt::format("CLOUDLET_SEED={}", seed));
    Random random(seed);
    for (uint64_t left = seeds_to_run(20'000); left > 0 && !HasFailure(); --left) {
        const PgObject a = random_object(random), b = random_object(random);
        EXPECT_EQ(a <=> b, to_object_id(a) <=> to_object_id(b))
            << testing::PrintToString(to_object_id(a).to_string()) << " and "
            << testing::PrintToString(to_object_id(b).to_string());
    }
}

TEST(ObjectId, is_read_back_as_the_object_it_was_made_of) {
    const uint64_t seed = first_seed();
    SCOPED_TRACE(fmt::format("CLOUDLET_SEED={}", seed));
    Random random(seed);
    for (uint64_t left = seeds_to_run(5'000); left > 0 && !HasFailure(); --left) {
        const PgObject object = random_object(random);
        EXPECT_EQ(from_object_id(to_object_id(object)), object);
    }
}

TEST(ObjectId, keeps_the_parts_of_a_name_apart) {
    const PgObject as_name{.name = "ab"}, as_key{.name = "b", .locator_key = std::string("a")},
        as_space{.name = "b", .name_space = std::string("a")};
    EXPECT_NE(to_object_id(as_name), to_object_id(as_key));
    EXPECT_NE(to_object_id(as_key), to_object_id(as_space));
}

TEST(ObjectId, refuses_a_name_that_it_does_not_make) {
    const ObjectId good = to_object_id({.hash = 7, .name = "a"});
    for (size_t length = 0; length < good.name.size(); ++length)
        EXPECT_FALSE(from_object_id({good.hash, good.name.substr(0, length)})) << length;
    EXPECT_FALSE(from_object_id({good.hash, good.name + "x"}));
    EXPECT_FALSE(from_object_id({0, "pg 1.0"})) << "a record of the OSD's own";
    std::string odd = good.name;
    odd.insert(0, std::string("\0\x07", 2));
    EXPECT_FALSE(from_object_id({good.hash, odd})) << "a zero byte is escaped in one way only";
}

} // namespace
} // namespace cloudlet::rados
