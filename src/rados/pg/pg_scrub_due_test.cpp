// Scrubs that nobody asked for: the test is the other copies, and the OSD that has slots.

#include <gmock/gmock.h>

#include "pg/test_host.h"

namespace cloudlet::rados {
namespace {

using Step = message::ScrubReserve::Step;
using std::chrono::hours;
using testing::IsEmpty;
using testing::SizeIs;

/// The primary of PG 1.0 on [0,1,2] with three objects, which was made a moment ago.
struct DueScrubs : testing::Test {
    DueScrubs() {
        host.settings.scrub_chunk = 1;
        host.settings.read_lease = hours(24 * 365); // nobody pings
        host.settings.scrub.become_deep = 0;
        host.create();
        host.serve();
        stamp(host.world().wall());
        for (const char* name : {"a", "b", "c"}) host.write(request++, name);
        host.settle_all();
    }
    void stamp(WallTime when) {
        PgHistory& history = host.pg->copy().record.info.history;
        history.last_scrub_stamp = history.last_deep_scrub_stamp = when;
    }
    const PgHistory& history() const { return host.pg->copy().record.info.history; }
    void wait_a_day() { host.pass(hours(36)); }
    void answer(int32_t osd, Step step) {
        host.pg->receive(osd, message::ScrubReserve{TestHost::id, step});
    }
    /// Up to where the first chunk is asked for.
    void begin() {
        wait_a_day();
        host.pg->reserve_scrub();
        host.sent.clear();
        answer(1, Step::granted);
        answer(2, Step::granted);
    }
    /// Both others have nothing of it.
    void answer_chunk() {
        const auto asked = host.take<message::ScrubAsk>(1).at(0);
        host.take<message::ScrubAsk>(2);
        for (int32_t osd : {1, 2})
            host.pg->receive(osd, message::ScrubAnswer{TestHost::id, asked.number, {}});
    }
    /// Steps of reservations that were sent to both.
    std::vector<Step> steps() {
        std::vector<Step> all;
        for (int32_t osd : {1, 2})
            for (const auto& sent : host.take<message::ScrubReserve>(osd)) all.push_back(sent.step);
        return all;
    }

    TestHost host;
    uint64_t request = 1;
};

TEST_F(DueScrubs, begin_when_they_are_due_and_all_have_given_a_slot) {
    EXPECT_FALSE(host.pg->scrub_due());
    wait_a_day();
    ASSERT_TRUE(host.pg->scrub_due());
    host.pg->reserve_scrub();
    EXPECT_THAT(steps(), testing::ElementsAre(Step::ask, Step::ask));
    EXPECT_TRUE(host.scrub_slot_held);
    answer(1, Step::granted);
    EXPECT_EQ(host.state(), "active+clean");
    EXPECT_FALSE(host.pg->scrub_due()) << "it is on its way";
    answer(2, Step::granted);
    EXPECT_EQ(host.state(), "active+clean+scrubbing");
    EXPECT_EQ(host.scrubs_begun, (ScrubCounts{.shallow = 1, .deep = 0}));
}

TEST_F(DueScrubs, stamp_the_pg_and_give_back_the_slots_at_their_end) {
    begin();
    const uint64_t before = history().scrubs;
    while (host.pg->state().has(PgFlag::scrubbing)) answer_chunk();
    EXPECT_EQ(history().scrubs, before + 1);
    EXPECT_EQ(history().last_scrub_stamp, host.world().wall());
    EXPECT_LT(history().last_deep_scrub_stamp, host.world().wall());
    EXPECT_EQ(host.state(), "active+clean+inconsistent") << "it says so, and repairs nothing";
    EXPECT_THAT(host.take<message::Push>(1), IsEmpty());
    EXPECT_THAT(steps(), testing::ElementsAre(Step::release, Step::release));
    EXPECT_FALSE(host.scrub_slot_held);
    for (int32_t osd : {1, 2}) EXPECT_EQ(host.take<message::Learn>(osd).at(0).history, history());
    PgCopy copy(host.disk, TestHost::id, {});
    host.sync();
    ASSERT_TRUE(copy.load());
    EXPECT_EQ(copy.record.info.history.last_scrub_stamp, host.world().wall());
}

TEST_F(DueScrubs, wait_a_while_when_somebody_refuses) {
    wait_a_day();
    host.pg->reserve_scrub();
    host.sent.clear();
    answer(2, Step::refused);
    EXPECT_TRUE(host.scrub_slot_held) << "until all have answered";
    answer(1, Step::granted);
    EXPECT_EQ(host.take<message::ScrubReserve>(1).at(0).step, Step::release);
    EXPECT_THAT(host.take<message::ScrubReserve>(2), IsEmpty()) << "it gave none";
    EXPECT_FALSE(host.scrub_slot_held);
    EXPECT_FALSE(host.pg->scrub_due());
    host.pass(host.settings.scrub_retry * 3 / 2);
    EXPECT_TRUE(host.pg->scrub_due());
}

TEST_F(DueScrubs, do_not_begin_without_a_slot_of_our_own) {
    wait_a_day();
    host.scrub_slot_free = false;
    host.pg->reserve_scrub();
    EXPECT_THAT(steps(), IsEmpty());
    EXPECT_TRUE(host.pg->scrub_due());
}

TEST_F(DueScrubs, are_held_by_the_flag_also_when_it_comes_with_the_last_slot) {
    wait_a_day();
    host.pg->reserve_scrub();
    host.set_flags(map_noscrub);
    EXPECT_FALSE(host.pg->scrub_due());
    answer(1, Step::granted);
    answer(2, Step::granted);
    EXPECT_EQ(host.state(), "active+clean");
    EXPECT_FALSE(host.scrub_slot_held);
    host.set_flags(map_nodeep_scrub);
    host.pass(host.settings.scrub_retry * 2);
    EXPECT_TRUE(host.pg->scrub_due()) << "it is a shallow one";
}

TEST_F(DueScrubs, end_at_the_next_chunk_when_the_flag_is_set) {
    begin();
    const PgHistory before = history();
    host.set_flags(map_nodeep_scrub);
    answer_chunk();
    EXPECT_EQ(host.state(), "active+clean+scrubbing") << "that flag is for deep ones";
    host.write(request++, "a");
    EXPECT_THAT(host.told(), SizeIs(3)) << "what was written before";
    host.set_flags(map_noscrub);
    answer_chunk();
    EXPECT_EQ(host.state(), "active+clean");
    EXPECT_EQ(history().scrubs, before.scrubs);
    EXPECT_EQ(history().last_scrub_stamp, before.last_scrub_stamp);
    EXPECT_FALSE(host.scrub_slot_held);
}

TEST_F(DueScrubs, are_deep_when_a_week_has_passed_and_noscrub_does_not_hold_that) {
    host.set_flags(map_noscrub);
    host.pass(hours(7 * 24));
    host.pg->reserve_scrub();
    answer(1, Step::granted);
    answer(2, Step::granted);
    EXPECT_EQ(host.state(), "active+clean+scrubbing+deep");
    host.set_flags(map_noscrub | map_nodeep_scrub);
    answer_chunk();
    EXPECT_EQ(host.state(), "active+clean");
}

TEST_F(DueScrubs, are_held_where_an_operators_are_not) {
    host.set_flags(map_noscrub | map_nodeep_scrub);
    host.pg->scrub_command({.pg = TestHost::id});
    EXPECT_EQ(host.state(), "active+clean+scrubbing");
    answer_chunk();
    EXPECT_EQ(host.state(), "active+clean+scrubbing") << "it goes on";
    EXPECT_EQ(host.scrubs_begun, ScrubCounts{});
}

TEST_F(DueScrubs, make_way_for_one_that_was_asked_for) {
    wait_a_day();
    host.pg->reserve_scrub();
    host.pg->scrub_command({.pg = TestHost::id, .deep = true});
    answer(1, Step::granted);
    answer(2, Step::granted);
    EXPECT_EQ(host.state(), "active+clean+scrubbing+deep");
    EXPECT_FALSE(host.scrub_slot_held);
    EXPECT_EQ(host.scrubs_begun, ScrubCounts{});
}

TEST_F(DueScrubs, let_their_slot_go_with_their_interval) {
    begin();
    host.step([](auto& s) { s.new_pg_upmap[TestHost::id] = {0, 2, 3}; });
    EXPECT_FALSE(host.scrub_slot_held);
}

/// A copy of PG 1.0 whose primary is osd.0.
struct ScrubbedCopy : testing::Test {
    ScrubbedCopy() {
        host.create();
        host.sync();
        TestHost primary(0);
        primary.create();
        primary.serve();
        host.pg->receive(0, message::Activate{.info = primary.pg->copy().record.info,
                                              .log = std::make_shared<PgLog>(),
                                              .past = {}});
        host.sync();
        host.sent.clear();
    }
    void say(int32_t from, Step step) {
        host.pg->receive(from, message::ScrubReserve{TestHost::id, step});
    }
    Step answer(int32_t to) { return host.take<message::ScrubReserve>(to).at(0).step; }

    TestHost host{1};
};

TEST_F(ScrubbedCopy, gives_its_slot_to_its_primary_until_it_is_given_back) {
    say(2, Step::ask);
    EXPECT_EQ(answer(2), Step::refused) << "it is not the primary";
    say(0, Step::ask);
    EXPECT_EQ(answer(0), Step::granted);
    EXPECT_TRUE(host.scrub_slot_held);
    say(0, Step::release);
    EXPECT_FALSE(host.scrub_slot_held);
}

TEST_F(ScrubbedCopy, refuses_when_the_osd_has_none) {
    host.scrub_slot_free = false;
    say(0, Step::ask);
    EXPECT_EQ(answer(0), Step::refused);
}

TEST_F(ScrubbedCopy, takes_its_slot_back_with_the_interval) {
    say(0, Step::ask);
    host.flip_up(0);
    EXPECT_FALSE(host.scrub_slot_held);
}

} // namespace
} // namespace cloudlet::rados
