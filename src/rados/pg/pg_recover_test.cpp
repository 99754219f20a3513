// How a primary makes all copies whole: objects by the log, copies by backfill, repair by scrub.

#include <gtest/gtest.h>

#include <cerrno>

#include "pg/test_host.h"

namespace cloudlet::rados {
namespace {

using std::chrono::seconds;
using Told = std::vector<std::string>;
using Osds = std::vector<int32_t>;
using Step = message::Reserve::Step;

PgObject object(const std::string& name) { return {.name = name}; }

/// osd.0 of acting set [0,1,2] with objects "a", "b" and "c".
struct Whole : testing::Test {
    Whole() {
        host.create();
        host.serve();
        uint64_t number = 100;
        for (const char* name : {"a", "b", "c"}) host.write(number++, name, name);
        host.settle_all();
        host.told();
    }
    void damage(const std::string& name) {
        const ObjectPlace place = pg.copy().place(object(name));
        Random random(1);
        ASSERT_TRUE(host.disk.damage({place.collection, place.id, ObjectPart::data}, random));
    }
    /// What a peer sends when it is asked for an object of ours.
    void give(int32_t osd, const std::string& name, const std::string& data) {
        const ObjectPlace place = pg.copy().place(object(name));
        const ObjectInfo info = read_object_info(place).value();
        auto content = std::make_shared<change::Replace>();
        content->data = share(data);
        content->xattrs[std::string(info_xattr)] = encode_object_info(info);
        host.peers[osd].objects[object(name)] = {.pg = host.id,
                                                 .object = object(name),
                                                 .version = info.version,
                                                 .content = content,
                                                 .answer = true};
    }
    /// osd.2 loses an object while a new interval begins, and says so.
    void lose_at_2(const std::string& name) {
        TestPeer& peer = host.peers[2];
        const LogVersion version = pg.copy().record.log.newest(object(name))->version;
        peer.record.missing.set(object(name), {version, {}});
        peer.record.refresh_info();
        host.step([&](auto& s) { s.new_pg_upmap[host.id] = {0, 2, 1}; });
    }
    /// Peers and activates; what follows from that is not answered yet.
    void peer_only() {
        while (pg.stage() != PgStage::active) {
            for (int32_t osd : {1, 2})
                if (pg.stage() != PgStage::active) host.answer(osd);
            host.sync();
            if (pg.stage() == PgStage::wait_up_thru) host.record_up_thru();
        }
    }

    TestHost host;
    PlacementGroup& pg = *host.pg;
};

TEST_F(Whole, sends_what_a_copy_lacks_and_is_clean_then) {
    lose_at_2("b");
    peer_only();
    EXPECT_EQ(host.state(), "active+recovery_wait+degraded");
    EXPECT_EQ(pg.report().degraded, 1u);
    host.grant_slots();
    ASSERT_EQ(host.take<message::Reserve>(2).size(), 1u) << "our own slot first, then theirs";
    EXPECT_TRUE(host.take<message::Push>(2).empty());
    pg.receive(2, message::Reserve{host.id, Step::granted, false});
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
    EXPECT_EQ(host.state(), "active+recovering+degraded");
    host.peers[2].push_result = 0;
    host.settle_all();
    host.pass(seconds(29));
    host.settle_all();
    EXPECT_EQ(pg.work(), PgWork::recovering);
    host.pass(seconds(1));
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
    void grant() { pg.receive(3, message::Reserve{host.id, Step::granted, true}); }
    void scanned_nothing() {
        const auto scans = host.take<message::Scan>(3);
        ASSERT_EQ(scans.size(), 1u);
        pg.receive(3, message::Scanned{host.id, scans[0].from, scans[0].to, {}});
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
                                   {{object("a"), a}, {object("aa"), a}, {object("b"), a}}});
    const auto pushes = host.take<message::Push>(3);
    ASSERT_EQ(pushes.size(), 2u);
    EXPECT_EQ(pushes[0].object.name, "b") << "theirs is another version";
    EXPECT_EQ(pushes[1].object.name, "aa");
    EXPECT_FALSE(pushes[1].content) << "a removal";
}

TEST_F(Filling, waits_for_a_disk_that_is_too_full_and_tries_again) {
    begin();
    pg.receive(3, message::Reserve{host.id, Step::too_full, true});
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
    host.used = 0.89;
    EXPECT_EQ(step(true), Step::granted);
}

} // namespace
} // namespace cloudlet::rados
