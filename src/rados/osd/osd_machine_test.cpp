#include "cloudlet/rados/osd_machine.h"

#include <gmock/gmock.h>

#include <cerrno>

#include "cloudlet/rados/planted_bug.h"
#include "osd/test_osd.h"

namespace cloudlet::rados {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST_F(Osd, asks_for_maps_and_then_to_be_up) {
    start();
    const auto asked = world.take<message::GetMaps>(mon(0));
    EXPECT_THAT(asked, ElementsAre(message::GetMaps{.full = true}));
    EXPECT_THAT(boots(), IsEmpty());
    get_maps();
    const auto wanted = boots();
    ASSERT_THAT(wanted, SizeIs(1));
    EXPECT_EQ(wanted[0].disk, Uuid{{7}});
    EXPECT_NE(nonce(wanted[0]), 0u);
}

TEST_F(Osd, does_nothing_for_others_before_the_map_shows_it_up) {
    start();
    get_maps();
    world.sent.clear();
    hear(osd(1), message::Query{pg});
    hear(osd(1), message::Ping{world.now(), false});
    create_pg();
    run(seconds(30));
    for (int32_t peer : {1, 2, 3})
        EXPECT_FALSE(std::ranges::any_of(world.sent, [&](auto& s) { return s.to == osd(peer); }));
    EXPECT_THAT(machine->describe(), IsEmpty());
}

TEST_F(Osd, is_not_up_while_the_map_shows_an_earlier_life) {
    start();
    get_maps();
    message::Boot other = boots().at(0);
    other.address.addresses[0].nonce ^= 1;
    mark_up(other);
    hear(osd(1), message::Query{pg});
    EXPECT_THAT(world.take<message::Notify>(osd(1)), IsEmpty());
}

TEST_F(Osd, boots_again_with_another_nonce_when_it_is_marked_down) {
    start();
    get_maps();
    const message::Boot first = boots().at(0);
    mark_up(first);
    EXPECT_THAT(boots(), IsEmpty());
    mark_down(0);
    const auto again = boots();
    ASSERT_THAT(again, SizeIs(1));
    EXPECT_NE(nonce(again[0]), nonce(first));
    EXPECT_EQ(again[0].disk, first.disk);
}

TEST_F(Osd, stops_when_it_is_marked_down_too_often_in_ten_minutes) {
    start_and_boot();
    for (int times = 1; times <= 5; ++times) {
        mark_down(0);
        ASSERT_FALSE(machine->stopped()) << times;
        mark_up(boots().back());
        run(seconds(100));
        boots();
    }
    mark_down(0);
    EXPECT_TRUE(machine->stopped());
}

TEST_F(Osd, goes_on_when_it_is_marked_down_now_and_then) {
    start_and_boot();
    for (int times = 1; times <= 12; ++times) {
        mark_down(0);
        ASSERT_FALSE(machine->stopped()) << times;
        mark_up(boots().back());
        run(seconds(200));
        boots();
    }
}

TEST_F(Osd, stops_when_a_sync_fails) {
    start_and_boot();
    create_pg();
    world.sent.clear();
    store.fail_next_sync();
    store.sync();
    EXPECT_TRUE(machine->stopped());
    hear(osd(1), message::Query{pg});
    run(seconds(60));
    EXPECT_THAT(world.sent, IsEmpty()) << "nothing that it says can be relied upon";
}

TEST_F(Osd, repeats_a_wish_first_there_and_then_at_another_monitor) {
    start({.monitors = {0, 1, 2}});
    auto wished = [this] {
        std::vector<int32_t> at;
        for (int32_t monitor = 0; monitor < 3; ++monitor)
            for (size_t n = world.take<message::Boot>(mon(monitor)).size(); n > 0; --n)
                at.push_back(monitor);
        return at;
    };
    get_maps();
    const int32_t first = wished().at(0), second = (first + 1) % 3;
    run(milliseconds(1999));
    EXPECT_THAT(wished(), IsEmpty());
    run(milliseconds(1));
    EXPECT_THAT(wished(), ElementsAre(first));
    run(seconds(2));
    EXPECT_THAT(wished(), ElementsAre(second));
    hear(mon(second), message::AskOther{first});
    EXPECT_THAT(wished(), ElementsAre(first)) << "at once, where it was sent to";
}

TEST_F(Osd, stops_wishing_when_the_map_shows_it) {
    start();
    get_maps();
    mark_up(boots().at(0));
    run(seconds(10));
    EXPECT_THAT(boots(), IsEmpty());
}

TEST_F(Osd, says_of_a_pg_that_is_not_here_that_it_has_nothing) {
    start_and_boot();
    hear(osd(3), message::Query{pg});
    const auto answers = world.take<message::Notify>(osd(3));
    ASSERT_THAT(answers, SizeIs(1));
    EXPECT_EQ(answers[0].info.pg, pg);
    EXPECT_EQ(answers[0].info.disk, Uuid{{7}});
    EXPECT_TRUE(answers[0].info.empty());
    EXPECT_THAT(machine->describe(), IsEmpty());
}

TEST_F(Osd, makes_a_pg_when_a_monitor_a_copy_or_a_primary_needs_it) {
    start_and_boot();
    create_pg();
    EXPECT_THAT(machine->describe(), SizeIs(1));
    EXPECT_THAT(world.take<message::Query>(osd(1)), SizeIs(1)) << "it peers";
    create_pg();
    EXPECT_THAT(world.take<message::Query>(osd(1)), IsEmpty());
}

TEST_F(Osd, makes_no_pg_that_belongs_to_others) {
    start_and_boot();
    step([](auto& s) { s.new_pg_upmap[pg] = {1, 2, 3}; });
    create_pg();
    hear(osd(3), message::Notify{.info = {.pg = pg, .history = {.epoch_created = 1}}, .past = {}});
    hear(osd(1),
         message::Activate{.info = {.pg = pg}, .log = std::make_shared<PgLog>(), .past = {}});
    EXPECT_THAT(machine->describe(), IsEmpty());
}

TEST_F(Osd, drops_what_was_said_in_an_earlier_interval) {
    start_and_boot();
    create_pg();
    const Epoch before = machine->epoch();
    step([](auto& s) { s.new_pg_upmap[pg] = {0, 1, 3}; });
    world.sent.clear();
    hear(osd(1), message::Query{pg}, before);
    EXPECT_THAT(world.take<message::Notify>(osd(1)), IsEmpty());
    {
        PlantBug bug(PlantedBug::accept_old_interval);
        hear(osd(1), message::Query{pg}, before);
        EXPECT_THAT(world.take<message::Notify>(osd(1)), SizeIs(1));
    }
    hear(osd(1), message::Query{pg});
    EXPECT_THAT(world.take<message::Notify>(osd(1)), SizeIs(1));
}

TEST_F(Osd, leaves_alone_what_is_for_a_position_that_it_does_not_have) {
    start_and_boot();
    hear(osd(1), message::Query{pg});
    EXPECT_THAT(world.take<message::Notify>(osd(1)), SizeIs(1));
    machine->receive(osd(1), std::make_shared<const Message>(
                                 Message{machine->epoch(), message::Query{pg}, 0, 1}));
    EXPECT_THAT(world.take<message::Notify>(osd(1)), IsEmpty());
}

TEST_F(Osd, tells_an_operator_what_becomes_of_objects_that_are_given_up) {
    start_and_boot();
    hear(Entity::client(1), message::MarkUnfoundLost{.pg = pg, .revert = true, .number = 5});
    const auto done = world.take<message::CommandDone>(Entity::client(1));
    ASSERT_THAT(done, SizeIs(1));
    EXPECT_EQ(done[0].number, 5u);
    EXPECT_EQ(done[0].result, -EAGAIN) << "the PG does not serve";
}

TEST_F(Osd, keeps_its_pgs_through_a_restart) {
    start_and_boot();
    create_pg();
    store.sync();
    const Epoch epoch = machine->epoch();
    Random random(1);
    store.crash(random);
    start();
    ASSERT_THAT(machine->describe(), SizeIs(1));
    EXPECT_EQ(machine->describe()[0].substr(0, 4), "1.0 ");
    EXPECT_THAT(world.take<message::GetMaps>(mon(0)),
                ElementsAre(message::GetMaps{.have = epoch, .full = true}))
        << "from where its PGs are";
}

/// Restarts with a record of PG 1.0 that nobody can read.
struct OsdWithDamagedRecord : Osd {
    OsdWithDamagedRecord() {
        start_and_boot();
        create_pg();
        store.sync();
        Random random(1);
        store.crash(random);
        check(store.damage({{}, {0, "pg 1.0"}, ObjectPart::omap}, random).has_value(),
              "there is a record to damage");
        start();
        get_maps();
        mark_up(boots().at(0));
        world.sent.clear();
    }
    PastInterval past_of(std::vector<int32_t> acting) {
        PastInterval interval{.first = machine->epoch() - 1,
                              .last = machine->epoch() - 1,
                              .up = {acting, acting[0]},
                              .acting = {acting, acting[0]},
                              .maybe_went_rw = true};
        for (int32_t one : acting) interval.disks[one] = one == 0 ? Uuid{{7}} : Uuid{};
        return interval;
    }
    void told_by_3(std::vector<PastInterval> past) {
        PgInfo info{.pg = pg, .history = {.epoch_created = 1}};
        info.history.same_interval_since = machine->epoch();
        hear(osd(3), message::Notify{.info = info, .past = std::move(past)});
    }
};

TEST_F(OsdWithDamagedRecord, serves_its_other_pgs_and_says_what_is_wrong) {
    EXPECT_FALSE(machine->stopped());
    EXPECT_TRUE(machine->is_up());
    ASSERT_THAT(machine->describe(), SizeIs(1));
    EXPECT_NE(machine->describe()[0].find("1.0 set aside"), std::string::npos);
    hear(osd(3), message::Query{pg});
    const auto answers = world.take<message::Notify>(osd(3));
    ASSERT_THAT(answers, SizeIs(1));
    EXPECT_GT(answers[0].info.damaged_until, 0u) << "not that it has nothing";
    EXPECT_FALSE(answers[0].info.complete());
}

TEST_F(OsdWithDamagedRecord, does_not_serve_when_it_alone_may_know_of_writes) {
    told_by_3({past_of({0})});
    for (int32_t other : {1, 2}) hear(osd(other), message::Notify{.info = {.pg = pg}, .past = {}});
    ASSERT_THAT(machine->reports(), SizeIs(1));
    EXPECT_TRUE(machine->reports()[0].state.has(PgFlag::down));
    store.sync();
    Random random(1);
    store.crash(random);
    start();
    get_maps();
    mark_up(boots().at(0));
    ASSERT_THAT(machine->reports(), SizeIs(1));
    EXPECT_TRUE(machine->reports()[0].state.has(PgFlag::down)) << "still, after another restart";
}

TEST_F(OsdWithDamagedRecord, lets_others_serve_who_know_all) {
    told_by_3({past_of({0, 1})});
    PgInfo whole{.pg = pg, .last_epoch_started = 5, .last_interval_started = 5};
    whole.last_update = {5, 1};
    whole.history = {.epoch_created = 1, .last_epoch_started = 5, .last_interval_started = 5};
    for (int32_t other : {1, 2}) hear(osd(other), message::Notify{.info = whole, .past = {}});
    const auto wanted = [&] {
        std::vector<message::WantTemp> all;
        for (int32_t monitor = 0; monitor < 3; ++monitor)
            for (auto& want : world.take<message::WantTemp>(mon(monitor))) all.push_back(want);
        return all;
    }();
    ASSERT_FALSE(wanted.empty());
    EXPECT_EQ(wanted[0].wanted.at(pg), (std::vector<int32_t>{1, 2, 3})) << "all but this one";
}

TEST_F(OsdWithDamagedRecord, is_filled_from_nothing_by_a_primary_that_serves) {
    step([](auto& s) { s.new_pg_temp[pg] = {1, 2}; });
    step([](auto& s) { s.new_pg_upmap[pg] = {1, 0, 2}; });
    PgInfo info{.pg = pg, .history = {.epoch_created = 1}};
    info.history.same_interval_since = machine->epoch();
    hear(osd(1), message::Activate{.info = info,
                                   .log = std::make_shared<PgLog>(),
                                   .past = {},
                                   .backfill = true,
                                   .from_nothing = true});
    store.sync();
    EXPECT_THAT(world.take<message::Activated>(osd(1)), ElementsAre(message::Activated{pg, false}));
    hear(osd(1), message::Query{pg});
    EXPECT_EQ(world.take<message::Notify>(osd(1)).back().info.damaged_until, 0u);
}

TEST_F(Osd, goes_on_with_a_removal_that_a_crash_cut_short) {
    start_and_boot();
    create_pg();
    store.sync();
    make_step([](auto& s) { s.old_pools.insert(1); });
    hear(mon(0), message::Maps{.full = {}, .steps = {steps.back()}});
    EXPECT_THAT(machine->describe(), IsEmpty());
    store.sync(2); // the epoch, and the mark that the PG is going
    Random random(1);
    store.crash(random, 0);
    EXPECT_EQ(store.collections()->size(), 2u);
    start();
    EXPECT_THAT(machine->describe(), IsEmpty());
    store.sync();
    EXPECT_EQ(store.collections()->size(), 1u);
}

TEST_F(Osd, reports_its_pgs_soon_after_they_change_and_all_of_them_now_and_then) {
    start_and_boot();
    create_pg();
    run(milliseconds(500));
    const auto first = world.take<message::Reports>(mon(0));
    ASSERT_FALSE(first.empty());
    EXPECT_EQ(first.back().reports.at(0).pg, pg);
    EXPECT_TRUE(first.back().reports.at(0).state.has(PgFlag::peering));
    run(seconds(1));
    world.take<message::Reports>(mon(0));
    run(seconds(11));
    EXPECT_FALSE(world.take<message::Reports>(mon(0)).empty());
}

TEST_F(Osd, counts_a_new_pg_as_scrubbed) {
    start_and_boot();
    create_pg();
    const auto report = machine->reports().at(0);
    EXPECT_EQ(report.history.last_scrub_stamp, world.wall());
    EXPECT_EQ(report.history.last_deep_scrub_stamp, world.wall());
}

TEST_F(Osd, sends_beacons) {
    start_and_boot();
    run(seconds(1));
    world.take<message::Beacon>(mon(0));
    run(seconds(299));
    const auto beacons = world.take<message::Beacon>(mon(0));
    ASSERT_FALSE(beacons.empty());
    EXPECT_EQ(beacons.back().capacity, store.space()->capacity);
}

TEST_F(Osd, takes_no_more_requests_than_it_may_and_the_others_in_their_turn) {
    start_and_boot({.most_requests = 2});
    create_pg();
    auto ask = [&](uint64_t number) {
        hear(Entity::client(1), message::ClientOp{.request = {1, 1, number},
                                                  .pg = pg,
                                                  .object = {.name = std::to_string(number)},
                                                  .ops = {op::Read{}}});
    };
    for (uint64_t number : {1, 2, 3}) ask(number);
    EXPECT_NE(machine->describe()[0].find("queues 2"), std::string::npos);
    step([](auto& s) { s.new_pg_upmap[pg] = {0, 3, 2}; });
    ask(4);
    EXPECT_NE(machine->describe()[0].find("queues 1"), std::string::npos)
        << "the new interval threw the first two away, and the third was of the old one";
}

TEST_F(Osd, counts_requests_that_wait_for_a_map_or_a_pg_among_those_it_has_taken_on) {
    start_and_boot({.most_requests = 2});
    auto ask = [&](uint64_t number, Epoch epoch) {
        hear(Entity::client(1),
             message::ClientOp{.request = {1, 1, number},
                               .pg = pg,
                               .object = {.name = std::to_string(number)},
                               .ops = {op::Read{}}},
             epoch);
    };
    for (uint64_t number : {1, 2, 3}) ask(number, machine->epoch());
    create_pg();
    EXPECT_NE(machine->describe()[0].find("queues 2"), std::string::npos) << "for the PG";
    step([](auto& s) { s.new_pg_upmap[pg] = {0, 3, 2}; });
    EXPECT_NE(machine->describe()[0].find("queues 0"), std::string::npos);
    for (uint64_t number : {4, 5}) ask(number, machine->epoch() + 1);
    ask(6, machine->epoch());
    EXPECT_NE(machine->describe()[0].find("queues 0"), std::string::npos) << "there is no room";
    step([](auto&) {});
    EXPECT_NE(machine->describe()[0].find("queues 2"), std::string::npos) << "for the map";
}

TEST_F(Osd, holds_a_clients_request_until_its_pg_is_made_and_drops_what_is_not_its_own) {
    start_and_boot();
    hear(Entity::client(1),
         message::ClientOp{
             .request = {1, 1, 1}, .pg = pg, .object = {.name = "o"}, .ops = {op::Read{}}});
    create_pg();
    EXPECT_NE(machine->describe()[0].find("queues 1"), std::string::npos);
    step([](auto& s) { s.new_pg_upmap[pg] = {1, 2, 0}; });
    hear(Entity::client(1),
         message::ClientOp{
             .request = {1, 1, 2}, .pg = pg, .object = {.name = "o"}, .ops = {op::Read{}}});
    EXPECT_NE(machine->describe()[0].find("queues 0"), std::string::npos);
}

} // namespace
} // namespace cloudlet::rados
