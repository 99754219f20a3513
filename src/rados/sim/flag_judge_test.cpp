#include "sim/flag_judge.h"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test_map.h"

namespace cloudlet::rados::sim {
namespace {

using ::testing::HasSubstr;

constexpr auto osd_1 = size_t{1};

struct Court {
    explicit Court(uint32_t flags) : now(test_map(3, 1, 8, 3)) {
        now.flags |= flags;
        judge.emplace(now, 3);
    }
    /// The next epoch, judged.
    void step(const std::function<void(OsdMap&)>& change) {
        OsdMap next = now;
        ++next.epoch;
        change(next);
        judge->stepped(now, next);
        now = std::move(next);
    }
    void move(PgWork from, PgEvent event, PgWork to, Epoch epoch) {
        judge->moved(
            1, epoch,
            {PgMove::Table::work, *find_transition(from, event, to), static_cast<uint8_t>(from)});
    }
    void ask(uint64_t number, ObjectOps ops) {
        send(Entity::client(1), 7,
             message::ClientOp{.request = {1, 1, number}, .ops = std::move(ops)});
    }
    void change(uint64_t number, Epoch epoch) {
        message::Replicate replicate{.pg = {1, 0}};
        replicate.entry.request = {1, 1, number};
        send(Entity::osd(1), epoch, replicate);
    }
    void tell(uint64_t number, Epoch epoch) {
        send(Entity::osd(1), epoch, message::ClientReply{.request = {1, 1, number}});
    }
    template <typename Body>
    void send(const Entity& from, Epoch epoch, Body body) {
        judge->sent(from, *make_message(epoch, std::move(body)));
    }
    const std::string& wrong() { return judge->wrong(); }

    OsdMap now;
    std::optional<FlagJudge> judge;
};

void goes_down(OsdMap& map) { map.osd_state[osd_1] &= ~uint32_t{osd_up}; }
void comes_up(OsdMap& map) { map.osd_state[osd_1] |= osd_up; }
void goes_out_by_time(OsdMap& map) {
    map.osd_state[osd_1] |= osd_autoout;
    map.osd_weight[osd_1] = 0;
}
void comes_in(OsdMap& map) {
    map.osd_state[osd_1] &= ~uint32_t{osd_autoout};
    map.osd_weight[osd_1] = crush_weight_one;
}

TEST(FlagJudge, sees_whom_time_marks_out_under_noout) {
    for (uint32_t flag : {uint32_t{0}, uint32_t{map_noout}}) {
        Court court(flag);
        court.step(goes_down);
        court.step([](OsdMap& map) { map.osd_weight[0] = 0; });
        EXPECT_EQ(court.wrong(), "") << "an operator may";
        court.step(goes_out_by_time);
        EXPECT_EQ(court.wrong(),
                  flag ? "osd.1 is marked out by time in epoch 10, though noout is set" : "");
    }
}

TEST(FlagJudge, sees_who_comes_in_by_a_boot_under_noin) {
    for (uint32_t flag : {uint32_t{0}, uint32_t{map_noin}}) {
        Court court(flag);
        court.step([](OsdMap& map) { goes_down(map), goes_out_by_time(map); });
        court.step(comes_in);
        court.step(goes_out_by_time);
        EXPECT_EQ(court.wrong(), "") << "an operator may take it in";
        court.step([](OsdMap& map) { comes_up(map), comes_in(map); });
        EXPECT_EQ(court.wrong().empty(), !flag);
    }
}

TEST(FlagJudge, sees_who_comes_up_under_noup_but_not_in_the_step_that_clears_it) {
    for (bool clears : {false, true}) {
        Court court(map_noup);
        court.step(goes_down);
        court.step([&](OsdMap& map) {
            comes_up(map);
            if (clears) map.flags &= ~uint32_t{map_noup};
        });
        EXPECT_EQ(court.wrong().empty(), clears);
    }
    Court sets(0);
    sets.step(goes_down);
    sets.step([](OsdMap& map) { comes_up(map), map.flags |= map_noup; });
    EXPECT_EQ(sets.wrong(), "");
}

TEST(FlagJudge, sees_a_conviction_under_nodown_but_not_in_the_step_that_clears_it) {
    Court court(map_nodown);
    OsdMapIncremental step;
    step.new_flags = 0;
    court.judge->convicted(1, court.now, step);
    EXPECT_EQ(court.wrong(), "");
    step.new_flags = -1;
    court.judge->convicted(1, court.now, step);
    EXPECT_THAT(court.wrong(), HasSubstr("osd.1 is marked down"));
}

TEST(FlagJudge, sees_requests_that_are_carried_out_in_a_pause) {
    const ObjectOps write = {op::Remove{}}, read = {op::Stat{}},
                    both = {op::AssertExists{}, op::Remove{}};
    struct Case {
        uint32_t pause;
        ObjectOps ops;
        bool changed, held;
    };
    const Case cases[] = {
        {map_pausewr, write, true, true},  {map_pausewr, write, false, false},
        {map_pausewr, read, false, false}, {map_pauserd, read, false, true},
        {map_pauserd, write, true, false}, {map_pauserd, both, true, true},
    };
    for (const Case& one : cases) {
        Court court(0);
        court.step([&](OsdMap& map) { map.flags |= one.pause; });
        court.ask(1, one.ops);
        auto carry_out = [&](Epoch epoch) {
            one.changed ? court.change(1, epoch) : court.tell(1, epoch);
        };
        carry_out(7);
        EXPECT_EQ(court.wrong(), "") << "who does not know of the flag may";
        carry_out(8);
        EXPECT_EQ(court.wrong().empty(), !one.held) << &one - cases;
    }
}

TEST(FlagJudge, sees_a_batch_that_begins_under_nobackfill) {
    Court court(0);
    court.step([](OsdMap& map) { map.flags |= map_nobackfill; });
    court.send(Entity::osd(1), 7, message::Scan{.pg = {1, 3}});
    EXPECT_EQ(court.wrong(), "");
    court.send(Entity::osd(1), 8, message::Scan{.pg = {1, 3}});
    EXPECT_THAT(court.wrong(), HasSubstr("fill a copy of 1.3"));
}

TEST(FlagJudge, sees_work_that_begins_or_goes_on_though_it_is_held) {
    struct Held {
        uint32_t flag;
        PgWork waits, works;
    };
    for (Held held : {Held{map_norecover, PgWork::recovery_wait, PgWork::recovering},
                      Held{map_nobackfill, PgWork::backfill_wait, PgWork::backfilling}}) {
        auto flagged = [&] {
            Court court(0);
            court.step([&](OsdMap& map) { map.flags |= held.flag; });
            return court;
        };
        Court begins = flagged();
        begins.move(held.waits, PgEvent::reserved, held.works, 7);
        EXPECT_EQ(begins.wrong(), "");
        begins.move(held.works, PgEvent::held_by_flag, PgWork::rest, 8);
        begins.judge->acted(1, 8);
        EXPECT_EQ(begins.wrong(), "");
        begins.move(held.waits, PgEvent::reserved, held.works, 8);
        EXPECT_THAT(begins.wrong(), HasSubstr("begins to"));

        Court goes_on = flagged();
        goes_on.move(held.waits, PgEvent::reserved, held.works, 7);
        goes_on.judge->acted(1, 7);
        EXPECT_EQ(goes_on.wrong(), "");
        goes_on.judge->acted(1, 8);
        EXPECT_THAT(goes_on.wrong(), HasSubstr("goes on"));

        Court ends = flagged();
        ends.move(held.waits, PgEvent::reserved, held.works, 7);
        ends.move(held.works, PgEvent::new_interval, PgWork::none, 8);
        ends.judge->acted(1, 8);
        ends.move(held.waits, PgEvent::reserved, held.works, 7);
        ends.judge->ended(1);
        ends.judge->acted(1, 8);
        EXPECT_EQ(ends.wrong(), "");
    }
}

TEST(FlagJudge, sees_scrubs_that_begin_while_every_map_that_may_be_known_holds_them) {
    for (uint32_t flag : {uint32_t{map_noscrub}, uint32_t{map_nodeep_scrub}}) {
        const bool deep = flag == map_nodeep_scrub;
        auto judged = [&](Epoch known, Epoch epoch, const ScrubCounts& begun) {
            Court court(0);
            const Epoch first = court.now.epoch;
            court.step([&](OsdMap& map) { map.flags |= flag; });
            court.judge->scrubbed(1, first + known, first + epoch, {4, 4}, begun);
            return court.wrong();
        };
        const ScrubCounts held = deep ? ScrubCounts{4, 5} : ScrubCounts{5, 4};
        const ScrubCounts other = deep ? ScrubCounts{5, 4} : ScrubCounts{4, 5};
        EXPECT_EQ(judged(0, 0, held), "") << "it is not set yet";
        EXPECT_EQ(judged(0, 1, held), "") << "it may have begun before it heard";
        EXPECT_EQ(judged(1, 1, other), "") << "the flag does not hold those";
        EXPECT_EQ(judged(1, 1, {4, 4}), "");
        EXPECT_THAT(judged(1, 1, held), HasSubstr(deep ? "nodeep-scrub" : "noscrub"));
    }
}

} // namespace
} // namespace cloudlet::rados::sim
