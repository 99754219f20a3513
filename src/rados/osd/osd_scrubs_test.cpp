#include <gtest/gtest.h>

#include "osd/local_cluster.h"
#include "osd/osd_core.h"
#include "test_world.h"

namespace cloudlet::rados {
namespace {

using std::chrono::hours;

struct OsdScrubs : testing::Test, StoreListener {
    void committed(uint64_t) override {}
    void failed(const Error&) override {}

    static constexpr PgId one{1, 0}, other{1, 1}, third{1, 2};
    TestWorld world;
    MemoryStore store{*this};
    MapCache maps;
    OsdCore osd{0, Uuid{{7}}, world, store, maps, {.most_scrubs = 2}};
};

TEST_F(OsdScrubs, are_as_many_at_once_as_may_be) {
    EXPECT_TRUE(osd.take_scrub_slot(one));
    EXPECT_TRUE(osd.take_scrub_slot(other));
    EXPECT_TRUE(osd.take_scrub_slot(one)) << "it has one";
    EXPECT_FALSE(osd.take_scrub_slot(third));
    osd.give_back_scrub_slot(third);
    EXPECT_FALSE(osd.take_scrub_slot(third)) << "it had none to give back";
    osd.give_back_scrub_slot(one);
    EXPECT_TRUE(osd.take_scrub_slot(third));
}

TEST_F(OsdScrubs, do_not_begin_while_something_is_recovered) {
    for (int32_t for_osd : {0, 3}) { // here, and here for another one
        osd.ask_slot(one, for_osd, 180);
        EXPECT_FALSE(osd.take_scrub_slot(other));
        osd.give_back_slot(one, for_osd);
        EXPECT_TRUE(osd.take_scrub_slot(other));
        osd.give_back_scrub_slot(other);
    }
}

TEST(OsdScrubsOfAll, come_once_a_day_for_every_pg_and_not_at_once_for_new_ones) {
    LocalCluster cluster(test_map(3, 1, 8, 3));
    auto scrubs = [&](size_t osd) {
        std::vector<uint64_t> all;
        for (const PgReport& report : cluster.osd(osd).reports())
            all.push_back(report.history.scrubs);
        return all;
    };
    auto live = [&](Duration time) {
        constexpr Duration step = std::chrono::seconds(5);
        for (; time > Duration(0); time -= step) cluster.pass(step);
    };
    live(hours(23));
    for (size_t osd : {0, 1, 2})
        for (uint64_t count : scrubs(osd)) EXPECT_EQ(count, 0u);
    live(hours(14));
    size_t pgs = 0;
    for (size_t osd : {0, 1, 2})
        for (uint64_t count : scrubs(osd)) {
            EXPECT_EQ(count, 1u);
            ++pgs;
        }
    EXPECT_EQ(pgs, 8u);
}

} // namespace
} // namespace cloudlet::rados
