#include "cloudlet/rados/planted_bug.h"

#include <set>

#include <gtest/gtest.h>

namespace cloudlet::rados {
namespace {

TEST(PlantedBug, is_found_by_its_name) {
    std::set<std::string_view> names;
    for (size_t i = 0; i < planted_bugs; ++i) {
        const auto bug = static_cast<PlantedBug>(i);
        EXPECT_EQ(planted_bug_named(name_of(bug)), bug);
        names.insert(name_of(bug));
    }
    EXPECT_EQ(names.size(), planted_bugs);
    EXPECT_EQ(name_of(PlantedBug::ack_before_replicas), "ack_before_replicas");
    EXPECT_EQ(name_of(PlantedBug::client_ignores_interval), "client_ignores_interval");
    EXPECT_FALSE(planted_bug_named("no_such_bug"));
}

TEST(PlantedBug, is_there_only_while_it_is_planted) {
    EXPECT_FALSE(planted(PlantedBug::read_unstable));
    {
        PlantBug bug(PlantedBug::read_unstable);
        EXPECT_TRUE(planted(PlantedBug::read_unstable));
        EXPECT_FALSE(planted(PlantedBug::half_a_list));
    }
    EXPECT_FALSE(planted(PlantedBug::read_unstable));
}

} // namespace
} // namespace cloudlet::rados
