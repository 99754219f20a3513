// Each check is raised by its cause and gone without it.

#include "cloudlet/rados/health.h"

#include <gmock/gmock.h>

#include "cloudlet/base/check.h"
#include "test_map.h"

namespace cloudlet::rados {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

/// Three hosts with two OSDs each, all well; pool 1 "rbd" of 8 PGs, each active+clean with 8
/// objects.
struct Cluster {
    Cluster() {
        for (uint32_t seed = 0; seed < 8; ++seed) {
            PgReport& report = reports[{1, seed}];
            report = {.pg = {1, seed}, .state = {PgFlag::active, PgFlag::clean}, .objects = 8};
            report.up = report.acting = {4, 2, 0};
        }
    }
    uint32_t& state(size_t osd) { return map.osd_state[osd]; }
    PgReport& pg(uint32_t seed) { return reports[{1, seed}]; }

    std::vector<HealthCheck> checks() const {
        auto now = MapEpoch::first(std::make_shared<const OsdMap>(map));
        check(now.has_value(), "a test's map can be placed");
        return check_health(**now, reports, spaces, inactive, seconds(60), scrubs);
    }
    std::vector<std::string> codes() const {
        std::vector<std::string> codes;
        for (const auto& it : checks()) codes.push_back(it.code);
        return codes;
    }
    /// The check of this code; the test fails without it.
    HealthCheck the(std::string_view code) const {
        for (auto& it : checks())
            if (it.code == code) return it;
        ADD_FAILURE() << code << " is not raised";
        return {};
    }

    OsdMap map = test_map(3, 2, 8, 3);
    std::map<PgId, PgReport> reports;
    OsdSpaces spaces;
    InactiveTimes inactive;
    ScrubTimes scrubs;
};

TEST(Health, of_a_whole_cluster_is_ok) {
    Cluster cluster;
    EXPECT_THAT(cluster.checks(), IsEmpty());
    EXPECT_EQ(health_status({}), "HEALTH_OK");
}

TEST(Health, has_a_remedy_for_everything) {
    Cluster cluster;
    cluster.map.flags |= map_noout;
    cluster.state(0) = osd_exists;
    cluster.pg(1).state = {PgFlag::down};
    for (const auto& it : cluster.checks()) EXPECT_NE(it.remedy, "") << it.code;
}

TEST(Health, names_osds_that_are_down_but_not_those_that_are_out) {
    Cluster cluster;
    cluster.state(1) = osd_exists;
    auto down = cluster.the("OSD_DOWN");
    EXPECT_EQ(down.summary, "1 osds down");
    EXPECT_EQ(down.severity, HealthSeverity::warn);
    EXPECT_THAT(down.details, ElementsAre("osd.1 (root=root,host=host0) is down"));
    EXPECT_THAT(cluster.codes(), ElementsAre("OSD_DOWN")) << "its host is not";
    cluster.map.osd_weight[1] = 0;
    EXPECT_THAT(cluster.codes(), IsEmpty());
}

TEST(Health, names_hosts_of_which_nothing_is_up) {
    Cluster cluster;
    cluster.state(0) = cluster.state(1) = osd_exists;
    auto host = cluster.the("OSD_HOST_DOWN");
    EXPECT_EQ(host.summary, "1 host (2 osds) down");
    EXPECT_THAT(host.details, ElementsAre("host host0 (root=root) (2 osds) is down"));
    EXPECT_EQ(cluster.the("OSD_DOWN").summary, "2 osds down");
    cluster.state(0) |= osd_up;
    EXPECT_THAT(cluster.codes(), ElementsAre("OSD_DOWN"));
}

TEST(Health, names_flags_of_the_map_and_of_osds) {
    Cluster cluster;
    cluster.map.flags |= map_noout | map_nodeep_scrub;
    EXPECT_EQ(cluster.the("OSDMAP_FLAGS").summary, "noout,nodeep-scrub flag(s) set");
    cluster.map.flags = map_sortbitwise;
    cluster.state(3) |= osd_noout | osd_noup;
    cluster.map.crush_node_flags[*cluster.map.crush->parent_of(0)] = osd_nodown;
    auto flags = cluster.the("OSD_FLAGS");
    EXPECT_EQ(flags.summary, "2 OSDs or CRUSH {nodes, device-classes} have "
                             "{NOUP,NODOWN,NOIN,NOOUT} flags set");
    EXPECT_THAT(flags.details,
                ElementsAre("osd.3 has flags noout,noup", "CRUSH node host0 has flags nodown"));
    cluster.state(3) = osd_exists | osd_up;
    cluster.map.crush_node_flags.clear();
    EXPECT_THAT(cluster.codes(), IsEmpty());
}

TEST(Health, names_full_disks_by_the_worst_of_each) {
    Cluster cluster;
    cluster.state(0) |= osd_nearfull;
    cluster.state(1) |= osd_backfillfull;
    cluster.state(2) |= osd_full;
    cluster.state(3) |= osd_full;
    cluster.spaces[2] = {96, 100};
    EXPECT_THAT(cluster.the("OSD_NEARFULL").details, ElementsAre("osd.0 is near full"));
    EXPECT_EQ(cluster.the("OSD_NEARFULL").summary, "1 nearfull osd(s)");
    EXPECT_EQ(cluster.the("OSD_BACKFILLFULL").summary, "1 backfillfull osd(s)");
    EXPECT_EQ(cluster.the("OSD_FULL").summary, "2 full osd(s)");
    EXPECT_THAT(cluster.the("OSD_FULL").details,
                ElementsAre("osd.2 is full at 96%", "osd.3 is full"));
    EXPECT_EQ(health_status(cluster.checks()), "HEALTH_ERR");
    for (size_t osd = 0; osd < 4; ++osd) cluster.state(osd) = osd_exists | osd_up;
    EXPECT_THAT(cluster.codes(), IsEmpty());
}

TEST(Health, names_full_pools) {
    Cluster cluster;
    cluster.map.pools[1].flags |= pool_full;
    EXPECT_THAT(cluster.the("POOL_FULL").details, ElementsAre("pool 'rbd' is full (no space)"));
    cluster.map.pools[1].flags |= pool_full_quota;
    EXPECT_EQ(cluster.the("POOL_FULL").summary, "1 pool(s) full");
    EXPECT_THAT(cluster.the("POOL_FULL").details,
                ElementsAre("pool 'rbd' is full (running out of quota)"));
    cluster.map.pools[1].flags = pool_hashpspool;
    EXPECT_THAT(cluster.codes(), IsEmpty());
}

TEST(Health, counts_osds) {
    Cluster cluster;
    for (size_t osd = 2; osd < 6; ++osd) cluster.state(osd) = 0;
    EXPECT_EQ(cluster.the("TOO_FEW_OSDS").summary, "OSD count 2 < osd_pool_default_size 3");
    cluster.state(2) = osd_exists | osd_up;
    EXPECT_THAT(cluster.codes(), IsEmpty());
}

TEST(Health, says_which_data_cannot_be_used_and_why) {
    Cluster cluster;
    cluster.pg(0).state = {PgFlag::undersized, PgFlag::peered};
    cluster.pg(0).acting = {0};
    cluster.inactive[{1, 0}] = seconds(240);
    cluster.pg(1).state = {PgFlag::down};
    cluster.pg(2).state = {PgFlag::incomplete};
    cluster.pg(3).state.set(PgFlag::stale);
    auto availability = cluster.the("PG_AVAILABILITY");
    EXPECT_EQ(availability.summary, "Reduced data availability: 1 pg down, 3 pgs inactive, "
                                    "1 pg incomplete, 1 pg stale");
    ASSERT_EQ(availability.details.size(), 4u);
    EXPECT_EQ(availability.details[0], "pg 1.0 is stuck inactive for 4m, current state "
                                       "undersized+peered, last acting [0]");
    EXPECT_EQ(availability.details[3], "pg 1.3 is stale+active+clean, acting [4,2,0]");
    cluster = Cluster();
    EXPECT_THAT(cluster.codes(), IsEmpty());
}

TEST(Health, gives_peering_some_time) {
    Cluster cluster;
    cluster.pg(0).state = {PgFlag::peering};
    cluster.inactive[{1, 0}] = seconds(59);
    EXPECT_THAT(cluster.codes(), IsEmpty());
    cluster.inactive[{1, 0}] = seconds(60);
    EXPECT_EQ(cluster.the("PG_AVAILABILITY").summary,
              "Reduced data availability: 1 pg inactive, 1 pg peering");
}

TEST(Health, misses_what_nobody_reports) {
    Cluster cluster;
    cluster.reports.erase({1, 5});
    EXPECT_THAT(cluster.the("PG_AVAILABILITY").details,
                ElementsAre("pg 1.5 is stuck inactive for 0s, current state unknown, last acting "
                            "[]"));
}

TEST(Health, counts_degraded_misplaced_and_unfound_objects) {
    Cluster cluster;
    cluster.pg(0).state = {PgFlag::active, PgFlag::undersized, PgFlag::degraded};
    cluster.pg(0).acting = {4, 2};
    cluster.pg(0).degraded = 8;
    EXPECT_EQ(cluster.the("PG_DEGRADED").summary,
              "Degraded data redundancy: 8/192 objects degraded (4.167%), 1 pg degraded, 1 pg "
              "undersized");
    EXPECT_THAT(cluster.the("PG_DEGRADED").details,
                ElementsAre("pg 1.0 is active+undersized+degraded, acting [4,2]"));
    EXPECT_THAT(cluster.codes(), ElementsAre("PG_DEGRADED"));

    cluster = Cluster();
    cluster.pg(1).misplaced = 16;
    EXPECT_EQ(cluster.the("OBJECT_MISPLACED").summary, "16/192 objects misplaced (8.333%)");
    EXPECT_THAT(cluster.codes(), ElementsAre("OBJECT_MISPLACED"));

    cluster = Cluster();
    cluster.pg(2).unfound = 2;
    EXPECT_EQ(cluster.the("OBJECT_UNFOUND").summary, "2/64 objects unfound (3.125%)");
    EXPECT_THAT(cluster.the("OBJECT_UNFOUND").details, ElementsAre("pg 1.2 has 2 unfound objects"));
    EXPECT_THAT(cluster.codes(), ElementsAre("OBJECT_UNFOUND"));
}

TEST(Health, reports_damage_as_an_error) {
    Cluster cluster;
    cluster.pg(0).state.set(PgFlag::inconsistent);
    cluster.pg(0).scrub_errors = 2;
    EXPECT_EQ(cluster.the("OSD_SCRUB_ERRORS").summary, "2 scrub errors");
    EXPECT_EQ(cluster.the("PG_DAMAGED").summary, "Possible data damage: 1 pg inconsistent");
    EXPECT_THAT(cluster.the("PG_DAMAGED").details,
                ElementsAre("pg 1.0 is active+clean+inconsistent, acting [4,2,0]"));
    EXPECT_EQ(health_status(cluster.checks()), "HEALTH_ERR");
    cluster = Cluster();
    EXPECT_THAT(cluster.codes(), IsEmpty());
}

TEST(Health, names_pgs_that_are_not_scrubbed_in_time) {
    using std::chrono::hours;
    Cluster cluster;
    const WallTime begin{seconds(1'700'000'000)};
    for (auto& [pg, report] : cluster.reports)
        report.history.last_scrub_stamp = report.history.last_deep_scrub_stamp = begin;
    const Duration week = hours(7 * 24);
    cluster.scrubs.now = begin + week * 3 / 2;
    EXPECT_THAT(cluster.codes(), IsEmpty());
    cluster.scrubs.now += Duration(1);
    EXPECT_EQ(cluster.the("PG_NOT_SCRUBBED").summary, "8 pgs not scrubbed in time");
    EXPECT_THAT(cluster.codes(), ElementsAre("PG_NOT_SCRUBBED"));
    for (uint32_t seed = 1; seed < 8; ++seed) cluster.pg(seed).history.last_scrub_stamp += week;
    EXPECT_THAT(cluster.the("PG_NOT_SCRUBBED").details,
                ElementsAre("pg 1.0 not scrubbed since 2023-11-14T22:13:20Z"));
    EXPECT_NE(cluster.the("PG_NOT_SCRUBBED").remedy.find("noscrub"), std::string::npos);

    cluster.pg(0).history.last_scrub_stamp = WallTime::max(); // some clock was wrong
    cluster.scrubs.now = begin + week * 7 / 4;
    EXPECT_THAT(cluster.codes(), IsEmpty());
    cluster.scrubs.now += Duration(1);
    auto deep = cluster.the("PG_NOT_DEEP_SCRUBBED");
    EXPECT_EQ(deep.summary, "8 pgs not deep-scrubbed in time");
    EXPECT_EQ(deep.details[7], "pg 1.7 not deep-scrubbed since 2023-11-14T22:13:20Z");
    EXPECT_NE(deep.remedy.find("nodeep-scrub"), std::string::npos);
}

TEST(Health, says_where_recovery_and_backfill_lack_space) {
    Cluster cluster;
    cluster.pg(0).state.set(PgFlag::backfill_toofull);
    EXPECT_EQ(cluster.the("PG_BACKFILL_FULL").summary,
              "Low space hindering backfill: 1 pg backfill_toofull");
    EXPECT_EQ(health_status(cluster.checks()), "HEALTH_WARN");
    cluster.pg(0).state.clear(PgFlag::backfill_toofull);
    cluster.pg(0).state.set(PgFlag::recovery_toofull);
    EXPECT_EQ(cluster.the("PG_RECOVERY_FULL").summary,
              "Full OSDs blocking recovery: 1 pg recovery_toofull");
    EXPECT_EQ(health_status(cluster.checks()), "HEALTH_ERR");
    cluster.pg(0).state.clear(PgFlag::recovery_toofull);
    EXPECT_THAT(cluster.codes(), IsEmpty());
}

} // namespace
} // namespace cloudlet::rados
