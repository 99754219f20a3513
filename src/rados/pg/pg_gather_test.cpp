// How a placement group finds out what is true before it serves, seen from its primary.

#include <gtest/gtest.h>

#include "cloudlet/rados/planted_bug.h"
#include "pg/test_host.h"

namespace cloudlet::rados {
namespace {

using std::chrono::seconds;
using Osds = std::vector<int32_t>;

PgStage stage(const TestHost& host) { return host.pg->stage(); }

PastInterval past(Osds acting) {
    PastInterval interval{.first = 5,
                          .last = 6,
                          .up = {acting, acting[0]},
                          .acting = {acting, acting[0]},
                          .maybe_went_rw = true};
    for (int32_t osd : acting) interval.disks[osd] = {};
    return interval;
}

/// A log of `count` changes of objects "o1", "o2"... made in epoch 5, without its first ones.
PgLog log_of(uint64_t count, uint64_t tail = 0) {
    PgLog log;
    if (tail) log.reset({5, tail});
    for (uint64_t n = tail + 1; n <= count; ++n)
        log.append({.object = {.name = fmt::format("o{}", n)},
                    .version = {5, n},
                    .request = {1, 1, n},
                    .user_version = n});
    return log;
}

void give(TestHost& host, int32_t osd, const PgLog& log, Epoch started = 5) {
    PgRecord& record = host.peers[osd].record;
    record.log = log;
    record.refresh_info();
    record.info.last_epoch_started = record.info.history.last_epoch_started = started;
    record.info.history.epoch_created = 1;
}

TEST(Peering, asks_all_present_copies_and_waits_for_every_answer) {
    TestHost host;
    host.create();
    EXPECT_EQ(stage(host), PgStage::get_info);
    EXPECT_EQ(host.state(), "creating+peering");
    host.answer(1);
    EXPECT_EQ(stage(host), PgStage::get_info);
    host.answer(2);
    EXPECT_EQ(stage(host), PgStage::wait_up_thru);
}

TEST(Peering, activates_nobody_before_the_monitors_have_recorded_that_it_lives) {
    TestHost host;
    host.create();
    host.settle_all();
    EXPECT_EQ(host.up_thru, host.map()->epoch());
    EXPECT_EQ(stage(host), PgStage::wait_up_thru);
    EXPECT_TRUE(host.take<message::Activate>(1).empty());
    host.step([](auto&) {});
    EXPECT_EQ(stage(host), PgStage::wait_up_thru);
    host.record_up_thru();
    EXPECT_EQ(host.take<message::Activate>(1).size(), 1u);
}

TEST(Peering, serves_only_when_all_have_activated) {
    TestHost host;
    host.create();
    host.settle_all();
    host.record_up_thru();
    host.sync();
    host.answer(1);
    EXPECT_EQ(stage(host), PgStage::activating);
    host.answer(2);
    EXPECT_EQ(stage(host), PgStage::active);
}

TEST(Peering, needs_its_own_activation_on_disk) {
    TestHost host;
    host.create();
    host.settle_all();
    host.record_up_thru();
    host.answer(1);
    host.answer(2);
    EXPECT_EQ(stage(host), PgStage::activating);
    host.sync();
    EXPECT_EQ(stage(host), PgStage::active);
}

TEST(Peering, waits_for_the_only_member_of_an_interval_that_may_have_taken_writes) {
    TestHost host;
    host.flip_up(3);
    host.create({past({3})});
    EXPECT_EQ(stage(host), PgStage::down);
    EXPECT_EQ(host.state(), "creating+down");
    host.settle_all();
    EXPECT_EQ(stage(host), PgStage::down);
    host.flip_up(3);
    EXPECT_EQ(stage(host), PgStage::get_info);
    host.settle_all();
    EXPECT_EQ(stage(host), PgStage::wait_up_thru);
}

TEST(Peering, waits_no_longer_for_a_member_that_is_declared_lost) {
    TestHost host;
    host.flip_up(3);
    host.create({past({3})});
    host.step([&](auto& s) { s.new_lost[3] = host.map()->epoch() + 1; });
    host.settle_all();
    EXPECT_EQ(stage(host), PgStage::wait_up_thru);
}

TEST(Peering, does_not_wait_for_an_interval_that_cannot_have_taken_writes) {
    TestHost host;
    host.flip_up(3);
    PastInterval harmless = past({3});
    harmless.maybe_went_rw = false;
    host.create({harmless});
    EXPECT_EQ(stage(host), PgStage::get_info);
}

TEST(Peering, asks_again_who_came_back_with_another_life) {
    TestHost host;
    host.create({past({3})});
    EXPECT_EQ(host.take<message::Query>(3).size(), 1u);
    host.flip_up(3);
    host.flip_up(3);
    EXPECT_EQ(host.take<message::Query>(3).size(), 0u) << "up at the same time as before";
    host.pg->peer_reset(3);
    EXPECT_EQ(host.take<message::Query>(3).size(), 1u);
}

TEST(Peering, is_incomplete_when_nobody_has_all) {
    TestHost host;
    host.create();
    give(host, 1, log_of(3));
    host.peers[1].record.info.last_backfill = {BackfillCursor::Place::begin, {}};
    host.settle_all();
    EXPECT_EQ(stage(host), PgStage::incomplete);
    EXPECT_TRUE(host.pg->state().has(PgFlag::incomplete));
    give(host, 3, log_of(3));
    host.pg->receive(3, message::Notify{.info = host.peers[3].record.info, .past = {}});
    EXPECT_EQ(stage(host), PgStage::wait_acting) << "a former copy has it";
}

TEST(Peering, follows_the_newest_log_of_those_who_activated_last) {
    TestHost host;
    host.create();
    give(host, 1, log_of(3), 6);
    give(host, 2, log_of(9), 5);
    host.settle_all();
    const PgRecord& record = host.pg->copy().record;
    EXPECT_EQ(record.log.head(), (LogVersion{5, 3}))
        << "what osd.2 has more was never acknowledged";
    EXPECT_EQ(record.missing.size(), 3u);
    EXPECT_EQ(stage(host), PgStage::wait_up_thru);
}

TEST(Peering, follows_an_older_log_only_by_a_planted_bug) {
    PlantBug bug(PlantedBug::older_log_wins);
    TestHost host;
    host.create();
    give(host, 1, log_of(3), 6);
    give(host, 2, log_of(9), 5);
    host.settle_all();
    EXPECT_TRUE(host.pg->copy().record.log.head().none()) << "our own, which is empty";
}

TEST(Peering, takes_back_what_never_happened) {
    TestHost host;
    host.create();
    host.serve();
    host.write(1, "o");
    host.settle_all();
    host.write(2, "mine");
    host.write(3, "o", "mine, too");
    EXPECT_TRUE(host.has("mine"));
    for (int32_t osd : {1, 2}) {
        host.peers[osd].record.info.last_epoch_started = 99; // without us
        host.peers[osd].record.info.history.last_epoch_started = 99;
    }
    host.sent.clear();
    host.flip_up(3);
    host.step([&](auto& s) { s.new_pg_upmap[host.id] = {0, 2, 1}; });
    host.settle_all();
    EXPECT_FALSE(host.has("mine"));
    EXPECT_FALSE(host.has("o")) << "it has to be fetched as it was";
    EXPECT_TRUE(host.pg->copy().record.missing.find({.name = "o"}));
    EXPECT_FALSE(host.pg->copy().record.missing.find({.name = "mine"}));
}

TEST(Peering, answers_requests_that_the_authority_had_answered) {
    TestHost host;
    host.create();
    for (int32_t osd : {1, 2}) give(host, osd, log_of(3));
    for (int32_t osd : {1, 2})
        host.peers[osd].objects[{.name = "o2"}] = {.pg = host.id,
                                                   .object = {.name = "o2"},
                                                   .version = {5, 2},
                                                   .content = std::make_shared<change::Replace>(),
                                                   .answer = true};
    host.serve();
    host.write(2, "o2", "again");
    host.settle_all();
    ASSERT_EQ(host.replies.size(), 1u);
    EXPECT_EQ(host.replies[0].version, (LogVersion{5, 2}));
    EXPECT_EQ(host.replies[0].user_version, 2u);
}

TEST(Peering, lets_others_serve_in_the_place_of_an_empty_primary) {
    TestHost host;
    host.create();
    for (int32_t osd : {1, 2}) give(host, osd, log_of(90, 80));
    host.settle_all();
    EXPECT_EQ(stage(host), PgStage::wait_acting);
    EXPECT_EQ(host.temps, std::vector<Osds>({{1, 2}}));
    host.step([&](auto& s) { s.new_pg_temp[host.id] = {1, 2}; });
    EXPECT_EQ(stage(host), PgStage::waiting) << "osd.1 is the primary for now";
}

TEST(Peering, gives_its_place_back_when_the_rightful_primary_lacks_nothing) {
    TestHost host(1);
    host.step([&](auto& s) { s.new_pg_temp[host.id] = {1, 2}; });
    host.create();
    host.serve();
    EXPECT_EQ(host.temps, std::vector<Osds>{Osds{}}) << "nobody has anything";
}

TEST(Peering, asks_again_for_the_log_when_a_copys_does_not_meet_it) {
    TestHost host;
    host.create();
    give(host, 1, log_of(90, 80));
    give(host, 2, log_of(85));
    host.settle_all();
    EXPECT_EQ(host.temps.size(), 1u) << "osd.2 meets osd.1's log, we do not";
}

TEST(Peering, begins_anew_without_a_copy_that_cannot_follow_the_log_it_was_sent) {
    TestHost host;
    host.create();
    for (int32_t osd : {1, 2}) give(host, osd, log_of(3));
    host.peers[2].refuses = true;
    host.settle_all();
    host.record_up_thru();
    host.settle_all();
    EXPECT_EQ(host.temps, std::vector<Osds>({{0, 1}})) << "osd.2 has to be filled first";
    host.step([&](auto& s) { s.new_pg_temp[host.id] = {0, 1}; });
    host.serve();
    EXPECT_EQ(stage(host), PgStage::active);
}

TEST(Peering, keeps_the_epoch_of_an_activation_that_somebody_refused) {
    TestHost host;
    host.step([&](auto& s) { s.new_pg_temp[host.id] = {0, 1}; });
    host.create();
    for (int32_t osd : {1, 2}) give(host, osd, log_of(3));
    host.peers[2].record.info.last_backfill = {BackfillCursor::Place::at, PgObject{.name = "o1"}};
    host.settle_all();
    host.record_up_thru();
    host.answer(1);
    const Epoch started = host.pg->copy().record.info.last_epoch_started;
    host.step([](auto&) {});
    host.peers[2].refuses = true;
    host.answer(2);
    const auto again = host.take<message::Activate>(1);
    ASSERT_EQ(again.size(), 1u);
    EXPECT_EQ(again[0].info.last_epoch_started, started)
        << "osd.1 has activated in it, and does not do so again";
    EXPECT_TRUE(host.take<message::Activate>(2).at(0).from_nothing);
}

TEST(Peering, serves_only_when_no_former_primary_can_be_reading) {
    TestHost host;
    host.flip_up(3);
    host.create({past({3, 1})});
    host.lets = seconds(9);
    host.serve();
    EXPECT_EQ(stage(host), PgStage::wait_readers);
    EXPECT_EQ(host.state(), "creating+wait");
    host.pass(seconds(15));
    EXPECT_EQ(stage(host), PgStage::wait_readers);
    host.pass(seconds(1));
    EXPECT_EQ(stage(host), PgStage::active) << "16 s after an answer that nobody denies";
}

TEST(Peering, waits_only_as_long_as_a_member_says_that_it_lets_the_former_primary_read) {
    TestHost host;
    host.flip_up(3);
    host.create({past({3, 1})});
    host.peers[1].reads_left[3] = seconds(5);
    host.peers[2].reads_left[3] = seconds(1); // it was no member: its answers meant nothing
    host.serve();
    EXPECT_EQ(stage(host), PgStage::wait_readers);
    host.pass(seconds(4));
    EXPECT_EQ(stage(host), PgStage::wait_readers);
    host.pass(seconds(1));
    EXPECT_EQ(stage(host), PgStage::active);
}

TEST(Peering, waits_for_no_former_primary_whose_life_of_then_has_ended) {
    // The interval of then ends with epoch 6.
    for (Epoch dead : {Epoch{6}, Epoch{7}}) {
        TestHost host;
        host.step([&](auto& s) {
            s.new_state[3] = osd_up;
            s.new_extra[3].dead_epoch = dead;
        });
        host.create({past({3, 1})});
        host.serve();
        EXPECT_EQ(stage(host), dead > 6 ? PgStage::active : PgStage::wait_readers)
            << "an end before it was that of an earlier life";
    }
}

TEST(Peering, does_not_wait_for_a_former_primary_that_answers) {
    TestHost host;
    host.create({past({3, 1})});
    host.serve();
    EXPECT_EQ(stage(host), PgStage::active);
}

TEST(Peering, is_recorded_so_that_a_restart_goes_on_from_there) {
    TestHost host;
    host.create();
    host.serve();
    host.write(1, "o");
    host.settle_all();
    host.step([&](auto& s) { s.new_pg_upmap[host.id] = {0, 1, 3}; });
    const Epoch interval = host.pg->interval();
    host.sync();
    PlacementGroup again(host, host.id);
    ASSERT_TRUE(again.copy().load());
    EXPECT_EQ(again.interval(), interval);
    EXPECT_EQ(again.copy().epoch, interval);
    EXPECT_EQ(again.copy().record.log.head().counter, 1u);
    ASSERT_EQ(again.copy().past.intervals().size(), 1u);
    EXPECT_EQ(again.copy().past.intervals()[0].acting.osds, (Osds{0, 1, 2}));
    EXPECT_TRUE(again.copy().past.intervals()[0].maybe_went_rw);
}

} // namespace
} // namespace cloudlet::rados
