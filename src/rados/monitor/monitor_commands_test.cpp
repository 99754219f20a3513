// Each command of an operator, and what is refused.

#include <cerrno>

#include <gmock/gmock.h>

#include "monitor/monitor_cluster.h"

namespace cloudlet::rados {
namespace {

using testing::HasSubstr;

MonitorCluster four_hosts() {
    OsdMap map = test_map(4, 1, 8, 3);
    map.osd_state[3] = osd_exists;
    map.osd_info[3].down_at = 6;
    return MonitorCluster(std::move(map));
}

TEST(MonitorCommands, set_and_clear_flags) {
    auto cluster = four_hosts();
    EXPECT_EQ(cluster.command(command::SetFlags{.set = map_noout | map_noscrub}).result, 0);
    EXPECT_EQ(cluster.map().flags, map_sortbitwise | map_noout | map_noscrub);
    EXPECT_EQ(cluster.command(command::SetFlags{.set = map_noin, .clear = map_noout}).result, 0);
    EXPECT_EQ(cluster.map().flags, map_sortbitwise | map_noin | map_noscrub);
    Epoch before = cluster.epoch();
    EXPECT_EQ(cluster.command(command::SetFlags{.set = map_noin, .clear = map_noin}).result,
              -EINVAL);
    EXPECT_EQ(cluster.command(command::SetFlags{.set = map_full}).result, -EINVAL);
    EXPECT_EQ(cluster.command(command::SetFlags{.set = 1u << 23}).result, -EINVAL);
    EXPECT_EQ(cluster.command(command::SetFlags{}).result, -EINVAL);
    EXPECT_EQ(cluster.epoch(), before);
}

TEST(MonitorCommands, take_an_osd_out_and_in_with_its_weight) {
    auto cluster = four_hosts();
    EXPECT_EQ(cluster.command(command::Reweight{1, 0x4000}).result, 0);
    EXPECT_EQ(cluster.map().osd_weight[1], 0x4000u);
    EXPECT_EQ(cluster.command(command::Out{1}).result, 0);
    EXPECT_TRUE(cluster.map().is_out(1));
    EXPECT_EQ(cluster.command(command::In{1}).result, 0);
    EXPECT_EQ(cluster.map().osd_weight[1], 0x4000u);
    EXPECT_EQ(cluster.command(command::In{1}).result, 0) << "and again";
    EXPECT_EQ(cluster.map().osd_weight[1], 0x4000u);
    EXPECT_EQ(cluster.command(command::Reweight{1, 0x10001}).result, -EINVAL);
}

TEST(MonitorCommands, mark_an_osd_down) {
    auto cluster = four_hosts();
    EXPECT_EQ(cluster.command(command::Down{1}).result, 0);
    EXPECT_FALSE(cluster.map().is_up(1));
    Epoch before = cluster.epoch();
    EXPECT_EQ(cluster.command(command::Down{1}).result, 0);
    EXPECT_FALSE(cluster.map().is_up(1));
    EXPECT_EQ(cluster.epoch(), before + 1) << "the answer tells of a map that was committed";
}

TEST(MonitorCommands, declare_an_osd_lost_that_is_down) {
    auto cluster = four_hosts();
    EXPECT_EQ(cluster.command(command::Lost{3}).result, 0);
    EXPECT_EQ(cluster.map().osd_info[3].lost_at, 6u);
    EXPECT_EQ(cluster.command(command::Lost{1}).result, -EBUSY);
}

TEST(MonitorCommands, weigh_an_osd_in_the_hierarchy) {
    auto cluster = four_hosts();
    EXPECT_EQ(cluster.command(command::CrushReweight{1, 0x20000}).result, 0);
    const CrushMap& crush = *cluster.map().crush;
    EXPECT_EQ(crush.bucket(*crush.parent_of(1))->weight, 0x20000u);
    EXPECT_EQ(crush.bucket(crush.roots()[0])->weight, 0x50000u);
}

TEST(MonitorCommands, add_an_osd_below_a_new_host_and_one_below_an_old_one) {
    auto cluster = four_hosts();
    EXPECT_EQ(cluster.command(command::AddOsd{6, "box", 0x8000}).result, 0);
    EXPECT_EQ(cluster.command(command::AddOsd{4, "host0", 0x8000}).result, 0);
    const OsdMap& map = cluster.map();
    EXPECT_EQ(map.max_osd(), 7);
    EXPECT_EQ(map.osd_state[6], uint32_t{osd_exists | osd_new});
    EXPECT_FALSE(map.exists(5));
    EXPECT_TRUE(map.is_out(6));
    EXPECT_EQ(map.crush->item_name(*map.crush->parent_of(6)), "box");
    EXPECT_EQ(map.crush->item_name(*map.crush->parent_of(4)), "host0");
    EXPECT_EQ(map.crush->bucket(*map.crush->parent_of(6))->weight, 0x8000u);
    EXPECT_EQ(*map.crush->parent_of(*map.crush->parent_of(6)), map.crush->roots()[0]);

    cluster.say(6, message::Boot{test_disk(6), test_address(1)});
    EXPECT_TRUE(cluster.map().is_up(6));
    EXPECT_EQ(cluster.map().osd_weight[6], crush_weight_one) << "new, so it comes in";
    EXPECT_EQ(cluster.command(command::AddOsd{6, "box", 0x8000}).result, -EEXIST);
    EXPECT_EQ(cluster.command(command::AddOsd{-1, "box", 1}).result, -EINVAL);
    EXPECT_EQ(cluster.command(command::AddOsd{8, "a b", 1}).result, -EINVAL);
    EXPECT_FALSE(cluster.map().has_osd(8));
}

TEST(MonitorCommands, remove_an_osd_that_is_down_and_take_it_anew) {
    auto cluster = four_hosts();
    EXPECT_EQ(cluster.command(command::RemoveOsd{1}).result, -EBUSY);
    EXPECT_EQ(cluster.command(command::RemoveOsd{3}).result, 0);
    EXPECT_FALSE(cluster.map().exists(3));
    EXPECT_FALSE(cluster.map().crush->parent_of(3));
    EXPECT_EQ(cluster.command(command::RemoveOsd{3}).result, -ENOENT);
    Epoch gone = cluster.epoch();
    EXPECT_EQ(cluster.command(command::AddOsd{3, "host3", 0x10000}).result, 0);
    EXPECT_EQ(cluster.map().osd_info[3].lost_at, gone) << "nobody waits for its former data";
}

TEST(MonitorCommands, about_no_osd_find_none) {
    auto cluster = four_hosts();
    for (int32_t osd : {4, -1, 1 << 30}) {
        for (const Command& it :
             std::vector<Command>{command::In{osd}, command::Out{osd}, command::Down{osd},
                                  command::Lost{osd}, command::Reweight{osd, 1},
                                  command::CrushReweight{osd, 1}, command::RemoveOsd{osd}}) {
            auto done = cluster.command(it);
            EXPECT_EQ(done.result, -ENOENT) << it.index();
            EXPECT_THAT(done.text, HasSubstr("does not exist"));
        }
    }
    EXPECT_EQ(cluster.epoch(), 7u);
}

TEST(MonitorCommands, of_one_moment_share_a_step_but_not_an_osd) {
    auto cluster = four_hosts();
    auto ask = [&](uint64_t number, Command command) {
        cluster.send(Entity::client(1), message::DoCommand{number, std::move(command)}, 7);
    };
    ask(1, command::Out{0}); // on its way at once; the others wait for its outcome
    ask(2, command::SetFlags{.set = map_noout});
    ask(3, command::AddOsd{8, "a", 0x10000});
    ask(4, command::AddOsd{9, "b", 0x10000});
    ask(5, command::Down{1});
    ask(6, command::RemoveOsd{1});
    cluster.deliver();
    ASSERT_EQ(cluster.steps().size(), 3u);
    EXPECT_EQ(cluster.map().max_osd(), 10);
    EXPECT_FALSE(cluster.map().exists(1)) << "down in one step, removed in the next";
    std::vector<int32_t> results;
    for (auto& done : cluster.heard<message::CommandDone>(Entity::client(1)))
        results.push_back(done.result);
    EXPECT_THAT(results, testing::ElementsAre(0, 0, 0, 0, 0, 0));
}

} // namespace
} // namespace cloudlet::rados
