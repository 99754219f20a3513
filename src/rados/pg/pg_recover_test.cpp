// How a primary makes all copies whole: objects by the log, copies by backfill, repair by scrub.

#include <gtest/gtest.h>

#include <cerrno>

#include "pg/test_whole.h"

namespace cloudlet::rados {
namespace {

using std::chrono::seconds;
using Told = std::vector<std::string>;
using Osds = std::vector<int32_t>;

TEST_F(Whole, sends_what_a_copy_lacks_and_is_clean_then) {
    lose_at_2("b");
    peer_only();
    EXPECT_EQ(host.state(), "active+recovery_wait+degraded");
    EXPECT_EQ(pg.report().degraded, 1u);
    host.grant_slots();
    EXPECT_TRUE(host.take<message::Push>(2).empty()) << "our own slot first, then theirs";
    answer_ask(2, Step::granted);
    EXPECT_EQ(host.state(), "active+recovering+degraded");
    const auto pushes = host.take<message::Push>(2);
    ASSERT_EQ(pushes.size(), 1u);
    EXPECT_EQ(*pushes[0].content->data, "b");
    pg.receive(2, message::Pushed{host.id, object("b"), pushes[0].version});
    EXPECT_EQ(host.state(), "active+clean");
    const auto released = host.take<message::Reserve>(2);
    ASSERT_EQ(released.size(), 1u);
    EXPECT_EQ(released[0].step, Step::release);
    EXPECT_TRUE(host.slots_held.empty());
}

TEST_F(Whole, makes_a_write_wait_until_every_copy_has_the_object) {
    lose_at_2("b");
    peer_only();
    host.write(1, "b", "new");
    host.write(2, "a", "other");
    host.read(3, "b");
    EXPECT_EQ(host.take<message::Replicate>(2).size(), 1u) << "the other object's";
    const auto pushes = host.take<message::Push>(2);
    ASSERT_EQ(pushes.size(), 1u) << "it goes first, without a slot";
    pg.receive(2, message::Pushed{host.id, object("b"), pushes[0].version});
    EXPECT_EQ(host.take<message::Replicate>(2).size(), 1u);
}

TEST_F(Whole, reads_what_enough_copies_hold_while_one_is_still_missing_it) {
    lose_at_2("b");
    peer_only();
    host.read(1, "b");
    EXPECT_EQ(host.told(), Told{"1:0 b"});
}

TEST_F(Whole, holds_recovery_while_the_flag_says_so) {
    host.set_flags(map_norecover);
    lose_at_2("b");
    host.serve();
    EXPECT_EQ(host.state(), "active+degraded");
    host.set_flags(0);
    host.settle_all();
    EXPECT_EQ(host.state(), "active+clean");
}

/// osd.2 cannot make the write of "b", nor what follows; it says so, and is sent the object.
struct Lacking : Whole {
    void write_what_2_lacks() {
        host.write(1, "b", "new");
        host.write(2, "a", "behind");
        host.sync();
        host.answer(1);
        const auto sent = host.take<message::Replicate>(2);
        ASSERT_EQ(sent.size(), 2u);
        lacked = sent[0].entry.version;
        behind = sent[1].entry.version;
        pg.receive(2, message::Replicated{host.id, lacked, true});
    }
    void pushed(int32_t result) {
        ASSERT_EQ(host.take<message::Push>(2).size(), 1u);
        pg.receive(2, message::Pushed{host.id, object("b"), lacked, result});
    }
    void safe_at_2() {
        for (LogVersion version : {lacked, behind})
            pg.receive(2, message::Replicated{host.id, version});
    }
    LogVersion lacked, behind;
};

TEST_F(Lacking, is_sent_an_object_that_a_write_waits_for_whatever_the_flags_say) {
    host.set_flags(map_norecover);
    write_what_2_lacks();
    pushed(-ENOSPC);
    EXPECT_TRUE(host.take<message::Push>(2).empty()) << "a full disk is given time";
    host.pass(seconds(30));
    pushed(0);
    EXPECT_EQ(host.told(), Told{});
    safe_at_2();
    EXPECT_EQ(host.told(), (Told{"1:0", "2:0"}));
}

TEST_F(Lacking, is_sent_it_again_when_another_copy_was_being_sent_it) {
    host.set_flags(map_norecover);
    host.write(1, "b", "new");
    host.sync();
    lacked = host.take<message::Replicate>(2).at(0).entry.version;
    host.take<message::Replicate>(1);
    pg.receive(1, message::Replicated{host.id, lacked, true});
    pg.receive(2, message::Replicated{host.id, lacked, true});
    ASSERT_EQ(host.take<message::Push>(1).size(), 1u);
    EXPECT_TRUE(host.take<message::Push>(2).empty());
    pg.receive(1, message::Pushed{host.id, object("b"), lacked});
    EXPECT_EQ(host.take<message::Push>(2).size(), 1u);
}

TEST_F(Lacking, waits_no_longer_because_others_wait_for_its_disk) {
    host.set_flags(map_norecover);
    write_what_2_lacks();
    pushed(-ENOSPC);
    host.pass(seconds(20));
    damage("c");
    give(1, "c", "c");
    host.read(3, "c");
    host.disk.set_capacity(0);
    host.answer(1);
    host.disk.set_capacity(uint64_t{1} << 30);
    host.pass(seconds(10));
    EXPECT_EQ(host.take<message::Push>(2).size(), 1u);
}

TEST_F(Whole, repairs_a_damaged_object_before_it_answers_a_read) {
    give(1, "b", "b");
    damage("b");
    host.read(1, "b");
    EXPECT_EQ(host.told(), Told{});
    EXPECT_EQ(host.take<message::Push>(2).size(), 0u);
    host.settle_all();
    EXPECT_EQ(host.told(), Told{"1:0 b"});
    EXPECT_EQ(host.state(), "active+clean");
    EXPECT_TRUE(read_whole_object(pg.copy().place(object("b"))));
}

TEST_F(Whole, calls_an_object_unfound_that_nobody_has_and_serves_the_others) {
    damage("b");
    host.read(1, "b");
    host.settle_all();
    EXPECT_TRUE(pg.state().has(PgFlag::recovery_unfound));
    EXPECT_EQ(pg.report().unfound, 1u);
    host.read(2, "a");
    EXPECT_EQ(host.told(), Told{"2:0 a"});
    EXPECT_TRUE(host.slots_held.empty()) << "others may recover meanwhile";
}

TEST_F(Whole, waits_with_what_does_not_fit_on_a_full_disk) {
    lose_at_2("b");
    host.peers[2].push_result = -ENOSPC;
    host.serve();
    EXPECT_EQ(host.state(), "active+recovery_toofull+degraded");
    EXPECT_TRUE(host.slots_held.empty()) << "others may recover meanwhile";
    host.peers[2].push_result = 0;
    host.settle_all();
    host.pass(seconds(29));
    host.settle_all();
    EXPECT_EQ(pg.work(), PgWork::recovery_too_full);
    host.pass(seconds(1));
    host.settle_all();
    EXPECT_EQ(pg.work(), PgWork::clean);
}

TEST_F(Whole, does_not_recover_to_a_disk_that_is_full_until_it_has_room) {
    lose_at_2("b");
    host.peers[2].too_full = true;
    host.serve();
    EXPECT_EQ(host.state(), "active+recovery_toofull+degraded");
    host.pass(seconds(30));
    host.settle_all();
    EXPECT_EQ(pg.work(), PgWork::recovery_too_full);
    host.peers[2].too_full = false;
    host.pass(seconds(30));
    host.settle_all();
    EXPECT_EQ(pg.work(), PgWork::clean);
}

TEST_F(Whole, sends_to_a_full_disk_what_a_client_waits_for) {
    lose_at_2("b");
    host.peers[2].too_full = true;
    host.serve();
    host.write(1, "b", "new");
    host.settle_all();
    EXPECT_EQ(host.told(), Told{"1:0"});
    host.pass(seconds(30));
    EXPECT_EQ(pg.work(), PgWork::clean);
}

TEST_F(Whole, does_not_recover_to_its_own_full_disk) {
    damage("b");
    host.used = 0.96;
    host.read(1, "b");
    EXPECT_EQ(host.state(), "active+recovery_toofull+degraded");
    EXPECT_TRUE(host.slots_asked.empty());
    give(1, "b", "b");
    host.used = 0.94;
    host.pass(seconds(30));
    host.settle_all();
    EXPECT_EQ(pg.work(), PgWork::clean);
}

/// The same, when osd.3 takes the place of osd.2 and has nothing.
struct Filling : Whole {
    Filling() { host.settings.backfill_batch = 2; }

    void replace_2_by_3() {
        host.step([&](auto& s) { s.new_pg_upmap[host.id] = {0, 1, 3}; });
        host.settle_all(); // osd.2 is asked for, since osd.3 is empty
        ASSERT_EQ(host.temps, std::vector<Osds>({{0, 1, 2}}));
        host.step([&](auto& s) { s.new_pg_temp[host.id] = {0, 1, 2}; });
    }
    void make_logs_not_meet() {
        PgRecord& record = pg.copy().record;
        record.trim({record.log.head().epoch, 2});
        for (int32_t osd : {1, 2}) host.peers[osd].record.trim(record.log.tail());
    }
    /// Until osd.3 is to be filled and has not said what it has.
    void begin() {
        make_logs_not_meet();
        replace_2_by_3();
        for (int i = 0; i < 3; ++i) {
            host.sync();
            for (int32_t osd : {1, 2}) host.answer(osd);
            if (pg.stage() == PgStage::wait_up_thru) host.record_up_thru();
            if (pg.stage() != PgStage::active) host.answer(3);
        }
        host.grant_slots();
    }
    void grant() { answer_ask(3, Step::granted); }
    void scanned_nothing() {
        const auto scans = host.take<message::Scan>(3);
        ASSERT_EQ(scans.size(), 1u);
        pg.receive(3, message::Scanned{host.id, scans[0].from, scans[0].to, {}, scans[0].number});
    }
    std::vector<std::string> pushed() {
        std::vector<std::string> names;
        for (const auto& push : host.take<message::Push>(3)) {
            names.push_back(push.object.name);
            pushed_[push.object.name] = push.version;
        }
        return names;
    }
    void confirm(const std::string& name) {
        pg.receive(3, message::Pushed{host.id, object(name), pushed_.at(name)});
    }
    /// Whether the one change that was sent to osd.3 brought its data.
    std::vector<std::string> changes() {
        std::vector<std::string> found;
        for (const auto& one : host.take<message::Replicate>(3))
            found.push_back(one.entry.object.name + (one.change ? " with data" : " as an entry"));
        return found;
    }
    std::map<std::string, LogVersion> pushed_;
};

TEST_F(Filling, lets_the_former_copy_serve_until_the_new_one_is_full) {
    begin();
    EXPECT_EQ(host.state(), "active+remapped+backfill_wait");
    const PgReport report = pg.report();
    EXPECT_EQ(report.misplaced, 3u);
    EXPECT_EQ(report.degraded, 0u);
    host.settle_all();
    EXPECT_EQ(host.temps.back(), Osds{}) << "the temporary set must go";
    host.step([&](auto& s) { s.new_pg_temp[host.id] = {}; });
    host.serve();
    EXPECT_EQ(host.state(), "active+clean");
}

TEST_F(Filling, tells_the_former_copy_to_go_once_all_is_clean) {
    begin();
    host.settle_all();
    EXPECT_TRUE(host.take<message::Drop>(2).empty());
    host.step([&](auto& s) { s.new_pg_temp[host.id] = {}; });
    while (pg.work() != PgWork::clean) {
        host.sync();
        for (int32_t osd : {1, 3}) host.answer(osd);
        for (size_t asked = host.take<message::Query>(2).size(); asked > 0; --asked)
            pg.receive(2, message::Notify{.info = host.peers[2].record.info, .past = {}});
        if (pg.stage() == PgStage::wait_up_thru) host.record_up_thru();
    }
    host.sync();
    EXPECT_EQ(host.take<message::Drop>(2).size(), 1u) << "once that is on disk";
}

TEST_F(Filling, sends_a_change_behind_the_cursor_as_an_entry_and_makes_one_in_the_batch_wait) {
    begin();
    host.write(1, "a");
    EXPECT_EQ(changes(), Told{"a as an entry"}) << "nothing was sent yet";
    for (int32_t osd : {1, 2}) host.answer(osd);
    host.sync();
    EXPECT_EQ(host.told(), Told{"1:0"}) << "whoever is filled is not waited for";
    grant();
    scanned_nothing();
    EXPECT_EQ(pushed(), (Told{"a", "b"}));
    host.write(2, "b");
    host.write(3, "c");
    EXPECT_EQ(changes(), Told{"c as an entry"});
    confirm("a");
    EXPECT_EQ(changes(), Told{});
    confirm("b");
    EXPECT_EQ(changes(), Told{"b with data"}) << "the cursor has passed it";
}

TEST_F(Filling, moves_the_cursor_only_when_the_whole_batch_is_there) {
    begin();
    grant();
    scanned_nothing();
    pushed();
    confirm("b");
    EXPECT_TRUE(host.take<message::BackfillProgress>(3).empty());
    confirm("a");
    const auto progress = host.take<message::BackfillProgress>(3);
    ASSERT_EQ(progress.size(), 1u);
    EXPECT_EQ(progress[0].cursor, (BackfillCursor{BackfillCursor::Place::at, object("b")}));
    scanned_nothing();
    EXPECT_EQ(pushed(), Told{"c"});
    confirm("c");
    EXPECT_TRUE(host.take<message::BackfillProgress>(3).at(0).cursor.complete());
}

TEST_F(Filling, is_not_misled_by_an_answer_to_an_earlier_batch) {
    begin();
    grant();
    scanned_nothing();
    pushed();
    pg.receive(3, message::Pushed{host.id, object("a"), {1, 1}});
    confirm("b");
    EXPECT_TRUE(host.take<message::BackfillProgress>(3).empty()) << "a is not there yet";
}

TEST_F(Filling, sends_only_what_differs_and_removes_what_is_too_much) {
    begin();
    grant();
    const auto scan = host.take<message::Scan>(3).at(0);
    const LogVersion a = read_object_info(pg.copy().place(object("a")))->version;
    pg.receive(3, message::Scanned{host.id,
                                   scan.from,
                                   scan.to,
                                   {{object("a"), a}, {object("aa"), a}, {object("b"), a}},
                                   scan.number});
    const auto pushes = host.take<message::Push>(3);
    ASSERT_EQ(pushes.size(), 2u);
    EXPECT_EQ(pushes[0].object.name, "b") << "theirs is another version";
    EXPECT_EQ(pushes[1].object.name, "aa");
    EXPECT_FALSE(pushes[1].content) << "a removal";
}

TEST_F(Filling, waits_for_a_disk_that_is_too_full_and_tries_again) {
    begin();
    answer_ask(3, Step::too_full);
    EXPECT_EQ(host.state(), "active+remapped+backfill_toofull");
    EXPECT_TRUE(host.slots_held.empty());
    host.pass(seconds(29));
    EXPECT_EQ(pg.work(), PgWork::backfill_too_full);
    host.pass(seconds(1));
    EXPECT_EQ(pg.work(), PgWork::backfill_wait);
    host.settle_all();
    EXPECT_TRUE(host.temps.back().empty());
}

TEST_F(Filling, stops_when_a_disk_becomes_full_in_the_middle) {
    begin();
    grant();
    scanned_nothing();
    pushed();
    host.write(1, "a");
    pg.receive(3, message::Pushed{host.id, object("a"), pushed_.at("a"), -ENOSPC});
    EXPECT_EQ(pg.work(), PgWork::backfill_too_full);
    EXPECT_EQ(changes(), Told{"a as an entry"}) << "no batch holds it back now";
}

TEST_F(Filling, stops_while_an_object_is_unfound_and_goes_on_when_it_is_found) {
    begin();
    damage("b");
    host.read(1, "b");
    host.settle_all();
    EXPECT_EQ(host.state(), "active+backfill_unfound+degraded+remapped");
    give(3, "b", "b");
    pg.receive(3, message::Notify{.info = host.peers[3].record.info, .past = {}});
    host.settle_all();
    EXPECT_TRUE(host.temps.back().empty()) << "all are filled";
    EXPECT_EQ(host.told(), Told{"1:0 b"});
}

TEST_F(Filling, is_held_by_nobackfill_in_the_middle) {
    begin();
    grant();
    host.set_flags(map_nobackfill);
    EXPECT_EQ(pg.work(), PgWork::rest);
    EXPECT_TRUE(host.slots_held.empty());
    host.set_flags(0);
    EXPECT_EQ(pg.work(), PgWork::backfill_wait);
}

TEST_F(Filling, is_held_by_norebalance_only_while_there_are_enough_copies) {
    host.set_flags(map_norebalance);
    begin();
    EXPECT_EQ(host.state(), "active+remapped");
    host.flip_up(2);
    host.serve();
    EXPECT_TRUE(host.temps.back().empty()) << "a PG with too few copies is filled all the same";
}

TEST_F(Filling, gives_back_its_slot_when_the_interval_ends) {
    begin();
    EXPECT_FALSE(host.slots_held.empty());
    host.step([&](auto& s) { s.new_pg_upmap[host.id] = {0, 1, 2}; });
    EXPECT_TRUE(host.slots_held.empty());
}

TEST_F(Whole, asks_for_slots_with_the_priority_of_its_need) {
    lose_at_2("b");
    peer_only();
    EXPECT_EQ(host.slot_priorities.back(), 180);
    host.grant_slots();
    EXPECT_EQ(host.take<message::Reserve>(2).at(0).priority, 180);
}

TEST_F(Whole, asks_with_the_highest_priority_while_too_few_copies_hold_an_object) {
    lose_at_2("b");
    host.peers[1].record.missing = host.peers[2].record.missing;
    host.peers[1].record.refresh_info();
    peer_only();
    EXPECT_EQ(host.slot_priorities.back(), 220);
}

TEST_F(Filling, asks_with_a_higher_priority_the_fewer_copies_serve) {
    begin();
    EXPECT_EQ(host.slot_priorities.back(), 100) << "only misplaced";
    host.flip_up(2);
    host.serve();
    EXPECT_EQ(host.slot_priorities.back(), 141) << "one copy is too few";
}

TEST_F(Filling, asks_with_the_highest_priority_while_it_does_not_serve) {
    host.change_pool([](Pool& pool) { pool.min_size = 3; });
    begin();
    host.flip_up(2);
    host.serve();
    EXPECT_EQ(host.slot_priorities.back(), 221);
}

TEST_F(Filling, asks_with_what_its_pool_says_and_stays_within_its_need) {
    begin();
    for (auto [shift, priority] : {std::pair{7, 107}, {-4, 96}, {99, 110}, {-99, 90}}) {
        host.set_pool_priority(shift);
        host.set_flags(map_nobackfill);
        host.set_flags(0);
        EXPECT_EQ(host.slot_priorities.back(), priority) << shift;
    }
}

TEST_F(Filling, gives_way_to_a_higher_priority_and_asks_again) {
    begin();
    grant();
    scanned_nothing();
    pushed();
    host.write(1, "a");
    EXPECT_EQ(changes(), Told{});
    host.slots_held.clear(); // another PG has it
    pg.slot_lost(0);
    EXPECT_EQ(host.state(), "active+remapped+backfill_wait");
    EXPECT_EQ(changes(), Told{"a as an entry"}) << "no batch holds it back now";
    EXPECT_EQ(host.take<message::Reserve>(3).at(0).step, Step::release);
    host.grant_slots();
    grant();
    scanned_nothing();
    EXPECT_EQ(pushed(), (Told{"a", "b"})) << "from the cursor on";
}

TEST_F(Filling, gives_way_where_the_copy_that_is_filled_has_more_urgent_ones) {
    begin();
    const message::Reserve asked = host.take<message::Reserve>(3).at(0);
    pg.receive(3, reserve_answer(asked, Step::granted));
    EXPECT_EQ(pg.work(), PgWork::backfilling);
    pg.receive(3, reserve_answer(asked, Step::preempted));
    EXPECT_EQ(pg.work(), PgWork::backfill_wait);
    EXPECT_TRUE(host.slots_held.empty()) << "all are given back, for others wait for them";
    pg.receive(3, reserve_answer(asked, Step::preempted));
    EXPECT_EQ(host.slots_asked.size(), 1u) << "what is of an earlier round says nothing";
}

TEST_F(Filling, does_not_take_the_grant_of_an_earlier_round_for_one_of_this) {
    begin();
    const message::Reserve first = host.take<message::Reserve>(3).at(0);
    host.set_flags(map_nobackfill);
    host.set_flags(0);
    host.grant_slots();
    EXPECT_EQ(host.take<message::Reserve>(3).size(), 2u) << "given back, asked again";
    pg.receive(3, reserve_answer(first, Step::granted));
    EXPECT_EQ(pg.work(), PgWork::backfill_wait);
    EXPECT_EQ(host.take<message::Reserve>(3).at(0), reserve_answer(first, Step::release));
    pg.receive(3, reserve_answer(first, Step::too_full));
    EXPECT_EQ(pg.work(), PgWork::backfill_wait);
}

TEST_F(Filling, does_not_take_the_list_of_an_earlier_batch_for_one_of_this) {
    begin();
    grant();
    const auto scan = host.take<message::Scan>(3).at(0);
    pg.slot_lost(0);
    host.take<message::Reserve>(3);
    host.grant_slots();
    grant();
    pg.receive(3, message::Scanned{host.id, scan.from, scan.to, {}, scan.number});
    EXPECT_EQ(pushed(), Told{}) << "it was made before what this batch follows";
    scanned_nothing();
    EXPECT_EQ(pushed(), (Told{"a", "b"}));
}

TEST_F(Whole, gives_way_to_a_higher_priority_while_it_recovers) {
    lose_at_2("b");
    peer_only();
    host.grant_slots();
    answer_ask(2, Step::granted);
    EXPECT_EQ(pg.work(), PgWork::recovering);
    pg.slot_lost(0);
    EXPECT_EQ(host.state(), "active+recovery_wait+degraded");
    host.settle_all();
    EXPECT_EQ(host.state(), "active+clean");
}

TEST(Filled, tells_its_primary_that_a_higher_priority_has_the_slot) {
    TestHost host(1);
    host.create();
    host.sent.clear();
    const message::Reserve ask{.pg = host.id, .backfill = true, .round = 4, .priority = 100};
    host.pg->receive(0, ask);
    EXPECT_EQ(host.slot_priorities.back(), 100);
    host.grant_slots();
    EXPECT_EQ(host.take<message::Reserve>(0).at(0), reserve_answer(ask, Step::granted));
    host.pg->slot_lost(0);
    EXPECT_EQ(host.take<message::Reserve>(0).at(0), reserve_answer(ask, Step::preempted));
    host.pg->slot_lost(0);
    EXPECT_TRUE(host.take<message::Reserve>(0).empty()) << "it has nothing to lose any more";
}

TEST(Filled, leaves_a_slot_alone_that_is_given_back_by_an_earlier_round) {
    TestHost host(1);
    host.create();
    message::Reserve ask{.pg = host.id, .round = 4};
    host.pg->receive(0, ask);
    host.grant_slots();
    ask.step = Step::release;
    ask.round = 3;
    host.pg->receive(0, ask);
    EXPECT_EQ(host.slots_held, std::set<int32_t>{0});
    ask.round = 4;
    host.pg->receive(0, ask);
    EXPECT_TRUE(host.slots_held.empty());
}

TEST(Filled, refuses_to_be_filled_when_its_disk_is_too_full) {
    TestHost host(1);
    host.create();
    host.sent.clear();
    host.used = 0.91;
    auto step = [&](bool backfill) {
        host.pg->receive(0, message::Reserve{host.id, Step::ask, backfill});
        host.grant_slots();
        const auto answers = host.take<message::Reserve>(0);
        return answers.empty() ? Step::release : answers[0].step;
    };
    EXPECT_EQ(step(true), Step::too_full);
    EXPECT_EQ(step(false), Step::granted) << "what it had before may come back";
    host.used = 0.96;
    EXPECT_EQ(step(false), Step::too_full);
    host.used = 0.89;
    EXPECT_EQ(step(true), Step::granted);
}

} // namespace
} // namespace cloudlet::rados
