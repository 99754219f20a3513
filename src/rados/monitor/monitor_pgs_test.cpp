// Temporary acting sets, and PGs that have to be made: by the right OSD, with the right past.

#include <gmock/gmock.h>

#include "monitor/monitor_cluster.h"

namespace cloudlet::rados {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr PgId some_pg{1, 0};

message::WantTemp want(PgId pg, std::vector<int32_t> osds) { return {{{pg, std::move(osds)}}}; }

struct TempWorld {
    explicit TempWorld(OsdMap map = test_map(5, 1, 8, 3)) : cluster(std::move(map)) {
        up = cluster.leader().newest()->up(some_pg).osds;
        for (int32_t osd = 0; osd < 5; ++osd)
            if (std::ranges::find(up, osd) == up.end()) others.push_back(osd);
    }
    const PgOsds& temps() { return cluster.map().pg_temp; }
    MonitorCluster cluster;
    std::vector<int32_t> up, others;
};

TEST(MonitorTemp, sets_changes_and_removes_what_a_member_asks_for) {
    TempWorld w;
    std::vector<int32_t> wanted = {w.up[1], w.up[2], w.others[0]};
    w.cluster.say(w.up[0], want(some_pg, wanted));
    EXPECT_EQ(w.temps().at(some_pg), wanted);
    w.cluster.say(w.up[0], want(some_pg, wanted));
    EXPECT_EQ(w.cluster.epoch(), 8u) << "it is so already";
    w.cluster.say(w.others[0], want(some_pg, {w.up[1]})); // serves by the first wish only
    EXPECT_EQ(w.temps().at(some_pg), std::vector{w.up[1]});
    w.cluster.say(w.up[0], want(some_pg, {}));
    EXPECT_THAT(w.temps(), IsEmpty());
    w.cluster.say(w.up[0], want(some_pg, {}));
    EXPECT_EQ(w.cluster.epoch(), 10u);
}

TEST(MonitorTemp, listens_to_living_members_only) {
    TempWorld w;
    w.cluster.say(w.others[0], want(some_pg, {w.others[0]}));
    w.cluster.say(w.up[0], want({1, 99}, {w.up[1]}));
    w.cluster.say(w.up[0], want({5, 0}, {w.up[1]}));
    w.cluster.say(w.up[0], want(some_pg, w.up));
    EXPECT_EQ(w.cluster.epoch(), 7u);

    OsdMap map = test_map(5, 1, 8, 3);
    map.osd_info[static_cast<size_t>(w.up[0])].up_from = 6;
    TempWorld reborn(std::move(map));
    reborn.cluster.send(Entity::osd(w.up[0]), want(some_pg, {w.up[1]}), 5);
    EXPECT_THAT(reborn.cluster.steps(), IsEmpty()) << "said in an earlier life";
    reborn.cluster.send(Entity::osd(w.up[0]), want(some_pg, {w.up[1]}), 6);
    EXPECT_EQ(reborn.cluster.steps().size(), 1u);
}

TEST(MonitorTemp, prunes_what_serves_nothing) {
    OsdMap map = test_map(5, 1, 8, 3);
    TempWorld w;
    map.osd_state[static_cast<size_t>(w.others[0])] = osd_exists;
    map.pg_temp[some_pg] = w.up;              // what the map says anyway
    map.pg_temp[{1, 1}] = {w.others[0]};      // nobody is there
    map.pg_temp[{1, 8}] = {0, 1};             // no such PG
    map.pg_temp[{9, 0}] = {0, 1};             // no such pool
    map.pg_temp[{1, 2}] = {w.up[0], w.up[1]}; // stays
    MonitorCluster cluster(std::move(map));
    EXPECT_THAT(cluster.map().pg_temp,
                ElementsAre(testing::Pair(PgId{1, 2}, std::vector{w.up[0], w.up[1]})));
    EXPECT_EQ(cluster.steps().size(), 1u);
}

/// What CreatePg told each OSD, by PG.
std::map<PgId, std::pair<int32_t, message::CreatePg>> told(MonitorCluster& cluster) {
    std::map<PgId, std::pair<int32_t, message::CreatePg>> told;
    for (int32_t osd = 0; osd < cluster.map().max_osd(); ++osd)
        for (auto& it : cluster.heard<message::CreatePg>(Entity::osd(osd)))
            told[it.pg] = {osd, std::move(it)};
    return told;
}

PgReport report_of(MonitorCluster& cluster, PgId pg, Epoch since) {
    PgReport report{.pg = pg, .state = {PgFlag::active, PgFlag::clean}, .since = since};
    auto acting = cluster.leader().newest()->acting(pg);
    report.acting = report.up = acting.osds;
    report.history.last_scrub_stamp = report.history.last_deep_scrub_stamp =
        cluster.world(0).wall();
    return report;
}

void report_all(MonitorCluster& cluster, Epoch since) {
    for (uint32_t seed = 0; seed < 8; ++seed)
        cluster.say(0, message::Reports{{report_of(cluster, {1, seed}, since)}});
}

TEST(MonitorCreating, asks_each_primary_that_does_not_report_again_and_again) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    cluster.pass(seconds(4));
    EXPECT_THAT(told(cluster), IsEmpty()) << "a new leader waits for reports first";
    cluster.pass(seconds(1));
    auto first = told(cluster);
    ASSERT_EQ(first.size(), 8u);
    for (auto& [pg, it] : first) {
        EXPECT_EQ(it.first, cluster.leader().newest()->acting(pg).primary);
        EXPECT_EQ(it.second.history.epoch_created, 7u);
        EXPECT_THAT(it.second.past, IsEmpty());
    }
    cluster.pass(seconds(4));
    EXPECT_THAT(told(cluster), IsEmpty());
    report_all(cluster, 7);
    cluster.pass(seconds(60));
    EXPECT_THAT(told(cluster), IsEmpty());
}

TEST(MonitorCreating, asks_at_once_for_a_pool_that_appears) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    report_all(cluster, 7);
    cluster.pass(seconds(10));
    OsdMapIncremental step;
    step.epoch = 8;
    step.new_pools[2] = cluster.map().pools.at(1);
    step.new_pool_names[2] = "new";
    cluster.leader().committed(std::make_shared<const OsdMapIncremental>(step));
    auto asked = told(cluster);
    ASSERT_EQ(asked.size(), 8u);
    EXPECT_EQ(asked.begin()->first, (PgId{2, 0}));
    EXPECT_EQ(asked.begin()->second.second.history.epoch_created, 8u);
}

TEST(MonitorCreating, tells_the_past_as_the_maps_say_it) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    auto view = [&] { return cluster.leader().newest()->view(some_pg); };
    PgView first = view();
    int32_t primary = first.acting.primary;
    cluster.say(primary, message::Alive{7}); // 8: the interval of 7 may have gone read-write
    cluster.command(command::Down{primary}); // 9: a new interval
    PgView second = view();
    ASSERT_NE(second.acting.primary, primary);
    cluster.command(command::Down{second.acting.primary}); // 10: another, after one without up_thru
    cluster.elect(1);                                      // it followed, and knows as much
    cluster.pass(seconds(5));
    auto asked = told(cluster).at(some_pg);
    EXPECT_EQ(asked.first, view().acting.primary);
    const auto& [pg, history, past] = asked.second;
    EXPECT_EQ(history.epoch_created, 7u);
    EXPECT_EQ(history.same_interval_since, 10u);
    EXPECT_EQ(history.same_up_since, 10u);
    EXPECT_EQ(history.same_primary_since, 10u);
    ASSERT_EQ(past.size(), 2u);
    EXPECT_EQ(std::pair(past[0].first, past[0].last), std::pair(Epoch{7}, Epoch{8}));
    EXPECT_EQ(past[0].acting, first.acting);
    EXPECT_TRUE(past[0].maybe_went_rw);
    EXPECT_EQ(std::pair(past[1].first, past[1].last), std::pair(Epoch{9}, Epoch{9}));
    EXPECT_EQ(past[1].acting, second.acting);
    EXPECT_FALSE(past[1].maybe_went_rw);
}

TEST(MonitorCreating, asks_anew_in_a_new_interval_that_nobody_reports) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    report_all(cluster, 7);
    cluster.pass(seconds(10));
    cluster.command(command::Down{0});
    EXPECT_THAT(told(cluster), IsEmpty()) << "they were known, so their primaries get time";
    cluster.pass(seconds(5));
    auto asked = told(cluster);
    EXPECT_FALSE(asked.empty());
    for (auto& [pg, it] : asked) EXPECT_EQ(it.second.history.same_interval_since, 8u);
}

TEST(MonitorCreating, gives_a_child_of_a_split_its_parents_past) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    PgView parent = cluster.leader().newest()->view({1, 3});
    OsdMapIncremental step;
    step.epoch = 8;
    step.new_pools[1] = cluster.map().pools.at(1);
    step.new_pools[1].set_pg_num(16, 16);
    cluster.leader().committed(std::make_shared<const OsdMapIncremental>(step));
    cluster.pass(seconds(5));
    auto asked = told(cluster);
    ASSERT_EQ(asked.size(), 16u);
    const message::CreatePg& child = asked.at({1, 11}).second;
    EXPECT_EQ(child.history.epoch_created, 7u);
    EXPECT_EQ(child.history.same_interval_since, 8u);
    ASSERT_EQ(child.past.size(), 1u);
    EXPECT_EQ(child.past[0].acting, parent.acting);
}

TEST(MonitorReports, keep_the_newest_and_are_stale_without_a_primary_or_after_a_while) {
    MonitorCluster cluster(test_map(3, 1, 8, 3));
    report_all(cluster, 7);
    auto old = report_of(cluster, some_pg, 5);
    old.objects = 99;
    cluster.say(0, message::Reports{{old, report_of(cluster, {4, 4}, 7)}});
    auto reports = cluster.leader().reports();
    EXPECT_EQ(reports.size(), 8u);
    EXPECT_EQ(reports.at(some_pg).objects, 0u);
    EXPECT_THAT(cluster.leader().health(), IsEmpty());

    auto stale = [&] {
        size_t count = 0;
        for (auto& [pg, it] : cluster.leader().reports()) count += it.state.has(PgFlag::stale);
        return count;
    };
    cluster.command(command::Down{0}); // min_size 2: all go on, in a new interval
    cluster.pass(seconds(29));
    EXPECT_EQ(stale(), 0u);
    cluster.pass(seconds(1));
    EXPECT_EQ(stale(), 8u);
    report_all(cluster, 8);
    EXPECT_EQ(stale(), 0u);
    cluster.command(command::Down{1});
    cluster.command(command::Down{2});
    EXPECT_EQ(stale(), 8u) << "nobody is there to report";
    EXPECT_EQ(health_status(cluster.leader().health()), "HEALTH_WARN");
    cluster.elect(1);
    EXPECT_THAT(cluster.leader().reports(), IsEmpty()) << "a new leader knows none";
}

} // namespace
} // namespace cloudlet::rados
