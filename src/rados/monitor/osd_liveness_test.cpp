#include "cloudlet/rados/osd_liveness.h"

#include <functional>
#include <random>

#include <gmock/gmock.h>

#include "cloudlet/base/random.h"
#include "cloudlet/rados/osd_map_codec.h"
#include "test_map.h"

namespace cloudlet::rados {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

/// A monitor, its map and a clock. OSD `o` of `per_host` on a host stands on host o / per_host.
struct Watch {
    explicit Watch(uint32_t hosts, uint32_t per_host, uint32_t racks = 0)
        : map(test_map(hosts, per_host, 8, 2, racks)) {
        judge(); // sees everybody up
    }

    void pass(seconds time) { now += time; }
    void report(int32_t target, std::initializer_list<int32_t> reporters) {
        for (int32_t reporter : reporters) liveness.report(target, reporter, now);
    }
    void beacons() {
        for (int32_t osd = 0; osd < map.max_osd(); ++osd) liveness.beacon(osd, now);
    }
    /// Judges and lives with it, as a monitor that publishes the step does.
    void judge() {
        auto step = liveness.judge(map, now);
        if (!step) return;
        auto next = apply_incremental(map, *step);
        ASSERT_TRUE(next) << next.error().to_string();
        map = std::move(*next);
    }
    void boot(int32_t osd) { map.osd_state[static_cast<size_t>(osd)] |= osd_up; }

    std::vector<int32_t> down() const {
        return those([&](int32_t osd) { return !map.is_up(osd); });
    }
    std::vector<int32_t> out() const {
        return those([&](int32_t osd) { return map.is_out(osd); });
    }
    std::vector<int32_t> those(const std::function<bool(int32_t)>& is) const {
        std::vector<int32_t> osds;
        for (int32_t osd = 0; osd < map.max_osd(); ++osd)
            if (is(osd)) osds.push_back(osd);
        return osds;
    }

    OsdMap map;
    OsdLiveness liveness;
    MonotonicTime now{};
};

TEST(OsdLiveness, marks_down_what_two_hosts_miss_for_longer_than_the_grace) {
    Watch watch(4, 2);
    watch.report(0, {2, 4});
    watch.pass(seconds(19));
    watch.judge();
    EXPECT_THAT(watch.down(), IsEmpty());
    watch.pass(seconds(1));
    watch.judge();
    EXPECT_THAT(watch.down(), ElementsAre(0));
    EXPECT_EQ(watch.map.osd_extra[0].dead_epoch, 0u) << "it may live, and read";
    EXPECT_EQ(watch.liveness.reports(), 2u);
    watch.judge();
    EXPECT_EQ(watch.liveness.reports(), 0u) << "a report about an OSD that is down is over";
}

TEST(OsdLiveness, takes_one_hosts_word_that_a_process_is_gone) {
    Watch watch(4, 2);
    watch.liveness.report(0, 2, watch.now, true);
    watch.judge();
    EXPECT_THAT(watch.down(), ElementsAre(0));
    EXPECT_EQ(watch.map.osd_extra[0].dead_epoch, watch.map.epoch) << "for who waits for its reads";
    watch.judge();
    watch.boot(0);
    watch.judge();
    EXPECT_THAT(watch.down(), IsEmpty()) << "that was its life before";
}

TEST(OsdLiveness, keeps_up_who_is_gone_under_nodown_or_when_too_few_would_be_left) {
    Watch watch(1, 4);
    watch.map.flags |= map_nodown;
    for (int32_t osd : {0, 1, 2}) watch.liveness.report(osd, 3, watch.now, true);
    watch.judge();
    EXPECT_THAT(watch.down(), IsEmpty());
    watch.map.flags = 0;
    watch.judge();
    EXPECT_THAT(watch.down(), ElementsAre(0, 1)) << "one of four would be below the ratio of 0.3";
}

TEST(OsdLiveness, is_not_convinced_by_one_host_that_misses_all_others) {
    Watch watch(4, 2);
    for (int32_t target = 2; target < 8; ++target) watch.report(target, {0, 1});
    watch.pass(seconds(100));
    watch.judge();
    EXPECT_THAT(watch.down(), IsEmpty());
}

TEST(OsdLiveness, counts_osds_where_there_is_one_host_only) {
    Watch watch(1, 4);
    watch.report(0, {1});
    watch.pass(seconds(30));
    watch.judge();
    EXPECT_THAT(watch.down(), IsEmpty());
    watch.report(0, {2});
    watch.pass(seconds(20));
    watch.judge();
    EXPECT_THAT(watch.down(), ElementsAre(0));
}

TEST(OsdLiveness, waits_from_the_last_reporter_on) {
    Watch watch(4, 1);
    watch.report(0, {1});
    watch.pass(seconds(19));
    watch.report(0, {2});
    watch.pass(seconds(19));
    watch.judge();
    EXPECT_THAT(watch.down(), IsEmpty());
    watch.pass(seconds(1));
    watch.judge();
    EXPECT_THAT(watch.down(), ElementsAre(0));
}

TEST(OsdLiveness, drops_a_report_that_is_withdrawn) {
    Watch watch(4, 1);
    watch.report(0, {1, 2});
    watch.liveness.withdraw(0, 2);
    watch.liveness.withdraw(3, 2); // never made
    watch.pass(seconds(60));
    watch.judge();
    EXPECT_THAT(watch.down(), IsEmpty());
    EXPECT_EQ(watch.liveness.reports(), 1u);
}

TEST(OsdLiveness, does_not_believe_an_osd_that_is_down_itself_nor_one_about_itself) {
    Watch watch(4, 1);
    watch.report(0, {0, 1, 2});
    watch.map.osd_state[2] &= ~uint32_t{osd_up};
    watch.pass(seconds(60));
    watch.judge();
    EXPECT_TRUE(watch.map.is_up(0));
    EXPECT_EQ(watch.liveness.reports(), 1u);
}

TEST(OsdLiveness, gives_an_osd_that_was_often_slow_more_time_and_less_the_longer_it_is_silent) {
    Watch watch(4, 1);
    watch.map.osd_extra[0].laggy_probability = 0xffffffff;
    watch.map.osd_extra[0].laggy_interval = 30;
    watch.report(0, {1, 2});
    watch.pass(seconds(49));
    watch.judge();
    EXPECT_THAT(watch.down(), IsEmpty()) << "20 s, and 30 s less some of an hour's half-life";
    watch.pass(seconds(1));
    watch.judge();
    EXPECT_THAT(watch.down(), ElementsAre(0));
}

TEST(OsdLiveness, spares_osds_hosts_and_maps_with_nodown) {
    for (int way = 0; way < 3; ++way) {
        Watch watch(4, 1);
        if (way == 0) watch.map.flags |= map_nodown;
        if (way == 1) watch.map.osd_state[0] |= osd_nodown;
        if (way == 2) watch.map.crush_node_flags[*watch.map.crush->parent_of(0)] = osd_nodown;
        watch.report(0, {1, 2});
        watch.pass(seconds(60));
        watch.judge();
        EXPECT_THAT(watch.down(), IsEmpty()) << way;
    }
}

TEST(OsdLiveness, keeps_the_last_third_up) {
    Watch watch(10, 1);
    for (int32_t target = 0; target < 8; ++target) watch.report(target, {8, 9});
    watch.pass(seconds(60));
    watch.judge();
    EXPECT_EQ(watch.down().size(), 7u);
}

TEST(OsdLiveness, marks_down_who_sends_no_beacon_for_a_quarter_of_an_hour) {
    Watch watch(4, 1);
    watch.pass(seconds(600));
    watch.beacons();
    watch.pass(seconds(899));
    watch.liveness.beacon(3, watch.now);
    watch.judge();
    EXPECT_THAT(watch.down(), IsEmpty());
    watch.pass(seconds(1));
    watch.judge();
    EXPECT_THAT(watch.down(), ElementsAre(0, 1)) << "and the last third stays";
}

TEST(OsdLiveness, judges_nobody_by_times_before_its_own) {
    Watch watch(4, 1);
    watch.pass(seconds(899));
    OsdLiveness next; // another monitor leads now
    EXPECT_FALSE(next.judge(watch.map, watch.now));
    EXPECT_FALSE(next.judge(watch.map, watch.now + seconds(899)));
    EXPECT_TRUE(next.judge(watch.map, watch.now + seconds(900)));
}

TEST(OsdLiveness, marks_out_what_stays_down_and_remembers_its_weight) {
    Watch watch(8, 1);
    watch.map.osd_weight[0] = 0x8000;
    watch.report(0, {1, 2});
    watch.pass(seconds(20));
    watch.judge();
    watch.judge();
    watch.pass(seconds(599));
    watch.beacons();
    watch.judge();
    EXPECT_THAT(watch.out(), IsEmpty());
    watch.pass(seconds(1));
    watch.judge();
    EXPECT_THAT(watch.out(), ElementsAre(0));
    EXPECT_EQ(watch.map.osd_extra[0].old_weight, 0x8000u);
    EXPECT_TRUE(watch.map.osd_state[0] & osd_autoout);
    EXPECT_FALSE(watch.map.is_up(0)) << "the up bit did not flip back";
}

TEST(OsdLiveness, starts_to_wait_anew_when_an_osd_came_back_in_between) {
    Watch watch(8, 1);
    watch.map.osd_state[0] &= ~uint32_t{osd_up};
    watch.judge();
    watch.pass(seconds(500));
    watch.boot(0);
    watch.judge();
    watch.map.osd_state[0] &= ~uint32_t{osd_up};
    watch.pass(seconds(200));
    watch.judge();
    EXPECT_THAT(watch.out(), IsEmpty());
}

TEST(OsdLiveness, leaves_in_what_noout_a_dead_rack_or_too_few_others_forbid) {
    for (int way = 0; way < 4; ++way) {
        Watch watch(8, 1, way == 2 ? 4 : 0);
        size_t dead = way == 2 ? 2 : way == 3 ? 5 : 1;
        if (way == 0) watch.map.flags |= map_noout;
        if (way == 1) watch.map.crush_node_flags[*watch.map.crush->parent_of(0)] = osd_noout;
        for (size_t osd = 0; osd < dead; ++osd) watch.map.osd_state[osd] &= ~uint32_t{osd_up};
        watch.judge();
        watch.pass(seconds(700));
        watch.beacons();
        watch.judge();
        EXPECT_EQ(watch.out().size(), way == 3 ? 2u : 0u) << way;
    }
}

TEST(OsdLiveness, never_flips_a_state_twice_whatever_it_hears) {
    uint64_t seed = std::random_device{}();
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Random random(seed);
    Watch watch(5, 2);
    for (int step = 0; step < 2000; ++step) {
        auto osd = [&] { return static_cast<int32_t>(random.below(10)); };
        auto was_down = watch.down();
        switch (random.below(6)) {
        case 0: watch.liveness.withdraw(osd(), osd()); break;
        case 1: watch.pass(seconds(random.below(200))); break;
        case 2: watch.boot(osd()); break;
        case 3: watch.beacons(); break;
        default: watch.report(osd(), {osd(), osd()});
        }
        Epoch epoch = watch.map.epoch;
        std::erase_if(was_down, [&](int32_t it) { return watch.map.is_up(it); });
        watch.judge();
        for (int32_t it : was_down) EXPECT_FALSE(watch.map.is_up(it)) << "only a boot brings it up";
        EXPECT_LE(watch.map.epoch, epoch + 1);
        EXPECT_GE(watch.those([&](int32_t it) { return watch.map.is_up(it); }).size(), 3u);
    }
}

TEST(MarkdownHistory, gives_up_at_the_sixth_time_in_ten_minutes) {
    MarkdownHistory history;
    MonotonicTime now{};
    for (int i = 0; i < 5; ++i) EXPECT_FALSE(history.add(now += seconds(100)));
    EXPECT_TRUE(history.add(now += seconds(100)));
    EXPECT_FALSE(history.add(now + seconds(300))) << "those of long ago do not count";
}

} // namespace
} // namespace cloudlet::rados
