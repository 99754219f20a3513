// How an OSD comes by maps, and whom it tells of them.

#include <gmock/gmock.h>

#include "osd/test_osd.h"

namespace cloudlet::rados {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST_F(Osd, leads_whoever_is_behind_to_its_map_once) {
    start_and_boot();
    const Epoch known = machine->epoch();
    step([](auto&) {});
    step([](auto&) {});
    hear(osd(3), message::Ping{world.now(), false}, known);
    const auto maps = world.take<message::Maps>(osd(3));
    ASSERT_THAT(maps, SizeIs(1));
    EXPECT_FALSE(maps[0].full);
    EXPECT_EQ(maps[0].steps.front()->epoch, known + 1);
    EXPECT_EQ(maps[0].steps.back()->epoch, machine->epoch());
    hear(osd(3), message::Query{pg}, known);
    EXPECT_THAT(world.take<message::Maps>(osd(3)), IsEmpty()) << "it is on its way";
    machine->reset(osd(3));
    hear(osd(3), message::Query{pg}, known);
    EXPECT_THAT(world.take<message::Maps>(osd(3)), SizeIs(1)) << "it was lost";
}

TEST_F(Osd, keeps_a_message_of_a_later_epoch_until_it_has_that_map) {
    start_and_boot();
    make_step([](auto&) {});
    hear(osd(3), message::Query{pg}, machine->epoch() + 1);
    EXPECT_THAT(world.take<message::Notify>(osd(3)), IsEmpty());
    run(Duration(0));
    EXPECT_FALSE(world.take<message::GetMaps>(mon(0)).empty()) << "it asks for the map at once";
    hear(mon(0), message::Maps{.full = {}, .steps = {steps.back()}});
    EXPECT_THAT(world.take<message::Notify>(osd(3)), SizeIs(1));
}

TEST_F(Osd, follows_at_one_monitor_for_as_long_as_it_answers) {
    start({.monitors = {0, 1, 2}});
    std::vector<int32_t> asked;
    auto asks = [&] {
        for (int32_t monitor = 0; monitor < 3; ++monitor)
            for (size_t n = world.take<message::GetMaps>(mon(monitor)).size(); n > 0; --n)
                asked.push_back(monitor);
        return std::exchange(asked, {});
    };
    const int32_t first = asks().at(0);
    get_maps();
    hear(mon(first), message::Maps{});
    mark_up(boots().back());
    hear(mon(first), message::Maps{});
    asks();
    for (int i = 0; i < 5; ++i) {
        run(seconds(10));
        EXPECT_THAT(asks(), ElementsAre(first)) << "again and again, so that it is not forgotten";
        hear(mon(first), message::Maps{});
    }
    run(seconds(10));
    EXPECT_THAT(asks(), ElementsAre(first));
    run(seconds(3));
    EXPECT_THAT(asks(), ElementsAre((first + 1) % 3)) << "it was silent";
    hear(mon((first + 1) % 3), message::Maps{});
    hear(osd(3), message::Query{pg}, machine->epoch() + 1);
    run(Duration(0));
    EXPECT_THAT(asks(), ElementsAre((first + 1) % 3));
    hear(mon((first + 1) % 3), message::Maps{});
    run(seconds(3));
    EXPECT_THAT(asks(), ElementsAre((first + 2) % 3)) << "it is behind what others know";
}

TEST_F(Osd, waits_at_its_monitor_for_every_map_while_it_misses_somebody) {
    start_and_boot({.least_heartbeat_peers = 1});
    hear(mon(0), message::Maps{});
    run(seconds(20) - milliseconds(1));
    for (const auto& asked : world.take<message::GetMaps>(mon(0))) EXPECT_FALSE(asked.next);
    hear(mon(0), message::Maps{});
    run(milliseconds(1));
    auto asked = world.take<message::GetMaps>(mon(0));
    ASSERT_THAT(asked, SizeIs(1));
    EXPECT_TRUE(asked[0].next);
    hear(mon(0), message::Maps{});
    EXPECT_THAT(world.take<message::GetMaps>(mon(0)), IsEmpty()) << "it waits already";
    step([](auto&) {});
    asked = world.take<message::GetMaps>(mon(0));
    ASSERT_THAT(asked, SizeIs(1)) << "that was not it";
    EXPECT_EQ(asked[0].have, machine->epoch());
    step([](auto& s) { s.new_state[1] = s.new_state[2] = osd_up; });
    EXPECT_THAT(world.take<message::GetMaps>(mon(0)), IsEmpty()) << "all is said";
}

TEST_F(Osd, asks_a_monitor_for_a_map_that_a_ping_named_if_nobody_shares_it) {
    start_and_boot();
    hear(mon(0), message::Maps{});
    make_step([](auto&) {});
    hear(osd(3), message::Ping{world.now(), false});
    EXPECT_THAT(world.take<message::GetMaps>(mon(0)), IsEmpty());
    run(seconds(1));
    EXPECT_THAT(world.take<message::GetMaps>(mon(0)), SizeIs(1));
    hear(mon(0), message::Maps{.full = {}, .steps = {steps.back()}});
    make_step([](auto&) {});
    hear(osd(3), message::Ping{world.now(), false});
    hear(osd(3), message::Maps{.full = {}, .steps = {steps.back()}});
    run(seconds(1));
    EXPECT_THAT(world.take<message::GetMaps>(mon(0)), IsEmpty());
}

TEST_F(Osd, leads_a_peer_that_is_behind_before_it_speaks_to_it) {
    start_and_boot();
    hear(osd(1), message::Ping{world.now(), false});
    hear(osd(2), message::Ping{world.now(), false});
    step([](auto& s) { s.new_pg_upmap[pg] = {0, 2, 1}; });
    world.sent.clear();
    create_pg();
    std::vector<std::string> to_osd1;
    for (const auto& it : world.sent)
        if (it.to == osd(1)) to_osd1.emplace_back(name_of(it.message->body));
    EXPECT_THAT(to_osd1, ElementsAre("Maps", "Query"));
    EXPECT_THAT(world.take<message::Maps>(osd(3)), IsEmpty()) << "there is nothing to tell it";
    hear(osd(1), message::Query{pg});
    EXPECT_THAT(world.take<message::Maps>(osd(1)), SizeIs(1)) << "not twice";
}

TEST_F(Osd, asks_for_the_maps_in_between_rather_than_to_leap) {
    start_and_boot();
    create_pg();
    const Epoch known = machine->epoch();
    make_step([](auto& s) { s.new_state[1] = osd_up; });
    make_step([](auto&) {});
    auto leap = std::make_shared<OsdMap>(test_map(4, 1, 1, 3));
    leap->epoch = known + 2;
    hear(mon(0), message::Maps{.full = leap, .steps = {}});
    EXPECT_EQ(machine->epoch(), known);
}

TEST_F(Osd, refuses_to_skip_maps_that_its_pgs_would_have_to_know) {
    auto later = std::make_shared<OsdMap>(test_map(4, 1, 1, 3));
    start_and_boot();
    create_pg();
    store.sync();
    later->epoch = machine->epoch() + 5;
    Random random(1);
    store.crash(random);
    start();
    hear(mon(0), message::Maps{.full = later, .steps = {}});
    EXPECT_TRUE(machine->stopped());
    EXPECT_THAT(boots(), IsEmpty());
    EXPECT_THAT(world.told, testing::Contains(testing::HasSubstr("declare it lost")));
}

TEST_F(Osd, begins_anywhere_while_it_has_no_pgs) {
    start_and_boot();
    store.sync();
    auto later = std::make_shared<OsdMap>(test_map(4, 1, 1, 3));
    later->epoch = machine->epoch() + 5;
    start();
    hear(mon(0), message::Maps{.full = later, .steps = {}});
    EXPECT_FALSE(machine->stopped());
    EXPECT_EQ(machine->epoch(), later->epoch);
    EXPECT_THAT(boots(), SizeIs(1));
}

TEST_F(Osd, forgets_what_it_told_a_peer_that_went) {
    start_and_boot();
    const Epoch known = machine->epoch();
    step([](auto&) {});
    hear(osd(3), message::Ping{world.now(), false}, known);
    hear(Entity::client(1), message::ScrubCommand{pg}, known);
    EXPECT_THAT(world.take<message::Maps>(osd(3)), SizeIs(1));
    EXPECT_THAT(world.take<message::Maps>(Entity::client(1)), SizeIs(1));
    mark_down(3);
    hear(osd(3), message::Ping{world.now(), false}, known);
    hear(Entity::client(1), message::ScrubCommand{pg}, known);
    for (const Entity& peer : {osd(3), Entity::client(1)}) {
        const auto maps = world.take<message::Maps>(peer);
        ASSERT_THAT(maps, SizeIs(1)) << peer.to_string();
        EXPECT_EQ(maps[0].steps.front()->epoch, known + 1) << peer.to_string();
    }
}

} // namespace
} // namespace cloudlet::rados
