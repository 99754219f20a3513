// How OSDs come and go: boots, failures, flags, up_thru, full disks.

#include <gmock/gmock.h>

#include "cloudlet/rados/planted_bug.h"
#include "monitor/monitor_cluster.h"

namespace cloudlet::rados {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

message::Boot boot_of(uint32_t nonce, uint8_t disk = 0) {
    return {test_disk(disk), test_address(nonce)};
}

/// OSD o on host o; all up and in but those that are named.
MonitorCluster hosts_with_down(uint32_t hosts, std::initializer_list<size_t> down,
                               uint32_t state = osd_exists) {
    OsdMap map = test_map(hosts, 1, 8, 3);
    for (size_t osd : down) map.osd_state[osd] = state;
    return MonitorCluster(std::move(map));
}

TEST(MonitorBoot, marks_an_osd_up_with_its_addresses_and_its_disk) {
    auto cluster = hosts_with_down(4, {3});
    cluster.say(3, boot_of(7, 9));
    EXPECT_TRUE(cluster.map().is_up(3));
    EXPECT_EQ(cluster.map().osd_info[3].up_from, cluster.epoch());
    EXPECT_EQ(cluster.map().client_addresses[3], test_address(7));
    EXPECT_EQ(cluster.map().cluster_addresses[3], test_address(7));
    EXPECT_EQ(cluster.map().heartbeat_back_addresses[3], test_address(7));
    EXPECT_EQ(cluster.map().osd_uuid[3], test_disk(9));
    EXPECT_EQ(cluster.epoch(), 8u);
    EXPECT_EQ(cluster.map().last_up_change, cluster.map().modified);
}

TEST(MonitorBoot, says_nothing_new_to_an_osd_that_asks_twice) {
    auto cluster = hosts_with_down(4, {3});
    cluster.send(Entity::osd(3), boot_of(7), 7);
    cluster.deliver();
    cluster.send(Entity::osd(3), boot_of(7), 7);
    cluster.deliver();
    EXPECT_EQ(cluster.epoch(), 8u) << "it had not heard of its first boot";
}

TEST(MonitorBoot, marks_down_first_what_restarted_unnoticed) {
    for (uint32_t nonce : {7u, 8u}) { // the same address, another one
        auto cluster = hosts_with_down(4, {3});
        cluster.say(3, boot_of(7));
        cluster.say(3, boot_of(nonce));
        EXPECT_EQ(cluster.epoch(), 10u);
        EXPECT_THAT(cluster.steps()[1]->new_state, ElementsAre(Pair(3, uint32_t{osd_up})));
        EXPECT_TRUE(cluster.steps()[1]->new_up_client.empty());
        EXPECT_TRUE(cluster.map().is_up(3));
        EXPECT_EQ(cluster.map().osd_info[3].up_from, 10u);
        EXPECT_EQ(cluster.map().osd_info[3].down_at, 9u);
        EXPECT_EQ(cluster.map().client_addresses[3], test_address(nonce));
    }
}

TEST(MonitorBoot, refuses_what_does_not_exist_and_everybody_under_noup) {
    auto cluster = hosts_with_down(4, {2, 3});
    for (int32_t osd : {4, 77, -1}) cluster.say(osd, boot_of(1));
    EXPECT_EQ(cluster.epoch(), 7u);
    cluster.command(command::SetFlags{.set = map_noup});
    cluster.say(3, boot_of(1));
    EXPECT_FALSE(cluster.map().is_up(3));
    cluster.command(command::SetFlags{.clear = map_noup});
    cluster.say(3, boot_of(1));
    EXPECT_TRUE(cluster.map().is_up(3));

    OsdMap map = test_map(4, 1, 8, 3);
    map.osd_state[0] = osd_exists | osd_noup;
    MonitorCluster other(std::move(map));
    other.say(0, boot_of(1));
    EXPECT_FALSE(other.map().is_up(0));
}

TEST(MonitorBoot, brings_in_what_time_put_out_with_its_weight_unless_noin) {
    for (uint32_t flag : {uint32_t{0}, uint32_t{map_noin}}) {
        OsdMap map = test_map(4, 1, 8, 3);
        map.flags |= flag;
        map.osd_state[3] = osd_exists | osd_autoout;
        map.osd_weight[3] = 0;
        map.osd_extra[3].old_weight = 0x8000;
        MonitorCluster cluster(std::move(map));
        cluster.say(3, boot_of(1));
        EXPECT_TRUE(cluster.map().is_up(3));
        EXPECT_EQ(cluster.map().osd_weight[3], flag ? 0u : 0x8000u);
        EXPECT_EQ(bool(cluster.map().osd_state[3] & osd_autoout), bool(flag));
    }
}

TEST(MonitorBoot, notes_where_an_osd_is_reached_in_each_network) {
    auto cluster = hosts_with_down(4, {2, 3});
    message::Boot one = boot_of(1), other = boot_of(1);
    other.cluster_address = test_address(77);
    cluster.say(2, one);
    cluster.say(3, other);
    const OsdMap& map = cluster.map();
    EXPECT_EQ(map.client_addresses[2], one.address);
    EXPECT_EQ(map.cluster_addresses[2], one.address) << "there is one network";
    EXPECT_EQ(map.heartbeat_back_addresses[2], map.heartbeat_front_addresses[2]);
    EXPECT_EQ(map.client_addresses[3], other.address);
    EXPECT_EQ(map.heartbeat_front_addresses[3], other.address);
    EXPECT_EQ(map.cluster_addresses[3], other.cluster_address);
    EXPECT_EQ(map.heartbeat_back_addresses[3], other.cluster_address);
}

TEST(MonitorBoot, learns_who_is_marked_down_though_it_lives_and_forgets_it_with_new_processes) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    auto go_and_come = [&](bool lived) {
        cluster.command(command::Down{0});
        cluster.pass(seconds(100));
        message::Boot boot = boot_of(1);
        boot.lived = lived;
        cluster.say(0, boot);
        EXPECT_TRUE(cluster.map().is_up(0));
        return cluster.map().osd_extra[0];
    };
    OsdExtraInfo extra = go_and_come(true);
    EXPECT_EQ(extra.laggy_interval, 30u) << "a third of 100 s";
    EXPECT_NEAR(extra.laggy_probability / double{0xffffffff}, 0.3, 0.001);
    extra = go_and_come(true);
    EXPECT_EQ(extra.laggy_interval, 51u);
    EXPECT_NEAR(extra.laggy_probability / double{0xffffffff}, 0.51, 0.001);
    extra = go_and_come(false);
    EXPECT_EQ(extra.laggy_interval, 35u);
    EXPECT_NEAR(extra.laggy_probability / double{0xffffffff}, 0.357, 0.001);
}

TEST(MonitorBoot, leaves_out_what_an_operator_took_out) {
    auto cluster = hosts_with_down(4, {3});
    cluster.command(command::Out{3});
    cluster.say(3, boot_of(1));
    EXPECT_TRUE(cluster.map().is_up(3));
    EXPECT_TRUE(cluster.map().is_out(3));
}

TEST(MonitorFailure, marks_down_what_two_hosts_miss_for_the_grace) {
    MonitorCluster cluster(test_map(4, 2, 8, 3));
    cluster.say(2, message::Failure{.target = 0, .silent = seconds(15)});
    cluster.say(4, message::Failure{.target = 0, .silent = seconds(15)});
    cluster.pass(seconds(4));
    EXPECT_TRUE(cluster.map().is_up(0));
    cluster.pass(seconds(1));
    EXPECT_FALSE(cluster.map().is_up(0)) << "they had missed it for 15 s when they said so";
    EXPECT_THAT(cluster.last_step().new_state, ElementsAre(Pair(0, uint32_t{osd_up})));
    EXPECT_EQ(cluster.steps().size(), 1u);
}

TEST(MonitorFailure, marks_down_at_once_whose_process_is_gone) {
    MonitorCluster cluster(test_map(4, 2, 8, 3));
    cluster.say(2, message::Failure{.target = 0, .gone = true});
    EXPECT_FALSE(cluster.map().is_up(0));
    EXPECT_EQ(cluster.map().osd_extra[0].dead_epoch, cluster.epoch());
    EXPECT_EQ(cluster.map().osd_extra[0].down_stamp, cluster.map().modified);
    EXPECT_EQ(cluster.steps().size(), 1u);
}

TEST(MonitorFailure, believes_no_single_host_and_nobody_who_takes_it_back) {
    MonitorCluster cluster(test_map(4, 2, 8, 3));
    for (int32_t target = 2; target < 8; ++target) cluster.report(target, {0, 1});
    cluster.report(0, {2, 4});
    cluster.say(4, message::Failure{.target = 0, .withdrawn = true});
    cluster.pass(seconds(100));
    EXPECT_EQ(cluster.epoch(), 7u);
}

TEST(MonitorFailure, has_bugs_that_can_be_planted) {
    {
        PlantBug bug(PlantedBug::one_reporter_convinces);
        MonitorCluster cluster(test_map(4, 2, 8, 3));
        cluster.report(2, {0});
        cluster.pass(seconds(21));
        EXPECT_FALSE(cluster.map().is_up(2));
    }
    PlantBug bug(PlantedBug::keep_withdrawn_report);
    MonitorCluster cluster(test_map(4, 2, 8, 3));
    cluster.report(0, {2, 4});
    cluster.say(4, message::Failure{.target = 0, .withdrawn = true});
    cluster.pass(seconds(21));
    EXPECT_FALSE(cluster.map().is_up(0));
}

TEST(MonitorFailure, ignores_reports_about_an_earlier_life) {
    auto cluster = hosts_with_down(4, {0});
    cluster.say(0, boot_of(1));
    for (int32_t by : {1, 2})
        cluster.send(Entity::osd(by), message::Failure{.target = 0, .silent = seconds(30)}, 7);
    cluster.deliver();
    EXPECT_TRUE(cluster.map().is_up(0)) << "it came up in 8";
    for (int32_t by : {1, 2})
        cluster.send(Entity::osd(by), message::Failure{.target = 0, .silent = seconds(30)}, 8);
    cluster.deliver();
    EXPECT_FALSE(cluster.map().is_up(0));
}

TEST(MonitorFailure, marks_nobody_down_under_nodown) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    cluster.command(command::SetFlags{.set = map_nodown});
    cluster.report(0, {1, 2});
    cluster.pass(seconds(60));
    EXPECT_TRUE(cluster.map().is_up(0));
    cluster.command(command::SetFlags{.clear = map_nodown});
    EXPECT_FALSE(cluster.map().is_up(0)) << "judged by the new map at once";
}

TEST(MonitorFailure, puts_out_what_stays_down_unless_noout) {
    for (uint32_t flag : {uint32_t{0}, uint32_t{map_noout}}) {
        OsdMap map = test_map(8, 1, 8, 3);
        map.flags |= flag;
        map.osd_state[0] = osd_exists;
        MonitorCluster cluster(std::move(map));
        cluster.pass(seconds(599));
        EXPECT_FALSE(cluster.map().is_out(0));
        cluster.pass(seconds(2));
        EXPECT_EQ(cluster.map().is_out(0), flag == 0);
        cluster.say(0, boot_of(1));
        EXPECT_EQ(cluster.map().osd_weight[0], crush_weight_one) << "back, as it was";
    }
}

TEST(MonitorFailure, judges_nobody_by_what_another_leader_heard) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    cluster.report(0, {1, 2});
    cluster.pass(seconds(19));
    cluster.elect(1);
    cluster.pass(seconds(30));
    EXPECT_TRUE(cluster.map().is_up(0));
    cluster.report(0, {1, 2});
    cluster.pass(seconds(20));
    EXPECT_FALSE(cluster.map().is_up(0));
}

TEST(MonitorAlive, records_up_thru_once_and_of_this_life_only) {
    auto cluster = hosts_with_down(4, {3});
    cluster.say(0, message::Alive{7});
    EXPECT_EQ(cluster.map().osd_info[0].up_thru, 7u);
    EXPECT_EQ(cluster.epoch(), 8u);
    cluster.say(0, message::Alive{7});
    cluster.say(0, message::Alive{5});
    cluster.say(3, message::Alive{8}); // down
    EXPECT_EQ(cluster.epoch(), 8u);
    cluster.say(3, boot_of(1));
    cluster.send(Entity::osd(3), message::Alive{8}, 8);
    cluster.deliver();
    EXPECT_EQ(cluster.map().osd_info[3].up_thru, 0u) << "asked before it came up in 9";
}

TEST(MonitorSpace, marks_disks_and_the_map_as_they_fill_and_empty) {
    MonitorCluster cluster(test_map(3, 1, 8, 3));
    auto is = [&](uint64_t used, uint32_t state, uint32_t flags) {
        cluster.say(1, message::Beacon{used, 100});
        EXPECT_EQ(cluster.map().osd_state[1], osd_exists | osd_up | state) << used;
        EXPECT_EQ(cluster.map().flags & (map_nearfull | map_full), flags) << used;
    };
    is(84, 0, 0);
    is(85, osd_nearfull, map_nearfull);
    is(90, osd_backfillfull, map_nearfull);
    is(95, osd_full, map_nearfull | map_full);
    EXPECT_EQ(cluster.epoch(), 10u) << "one step each";
    is(96, osd_full, map_nearfull | map_full);
    EXPECT_EQ(cluster.epoch(), 10u);
    is(50, 0, 0);
}

TEST(MonitorSpace, follows_the_ratios_of_the_map) {
    OsdMap map = test_map(3, 1, 8, 3);
    map.nearfull_ratio = 0.5f;
    MonitorCluster cluster(std::move(map));
    cluster.say(1, message::Beacon{51, 100});
    EXPECT_TRUE(cluster.map().osd_state[1] & osd_nearfull);
}

TEST(MonitorSpace, counts_only_who_is_up_and_in_for_the_map) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    cluster.say(1, message::Beacon{99, 100});
    EXPECT_TRUE(cluster.map().flags & map_full);
    cluster.command(command::Out{1});
    EXPECT_FALSE(cluster.map().flags & map_full);
    cluster.command(command::In{1});
    EXPECT_TRUE(cluster.map().flags & map_full);
    cluster.command(command::Down{1});
    EXPECT_FALSE(cluster.map().flags & map_full);
    EXPECT_EQ(cluster.leader().spaces().at(1).used, 99u);
}

} // namespace
} // namespace cloudlet::rados
