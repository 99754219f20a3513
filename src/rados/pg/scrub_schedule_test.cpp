#include "cloudlet/rados/scrub_schedule.h"

#include <set>

#include <gtest/gtest.h>

namespace cloudlet::rados {
namespace {

using std::chrono::hours;

constexpr PgId pg{1, 0};
constexpr WallTime begin{hours(1'000'000)};

/// Scrubbed both ways at `begin`.
PgHistory scrubbed() {
    PgHistory history;
    history.scrubs = 3;
    history.last_scrub_stamp = history.last_deep_scrub_stamp = begin;
    return history;
}
/// Without dice, unless a test wants them.
constexpr ScrubIntervals plain{.spread = 0, .become_deep = 0};

std::optional<DueScrub> due(const PgHistory& history, WallTime now, ScrubHolds holds = {}) {
    return due_scrub(pg, history, plain, holds, now);
}

TEST(ScrubSchedule, a_shallow_scrub_is_due_after_a_day_and_a_deep_one_after_a_week) {
    EXPECT_EQ(due(scrubbed(), begin + hours(24) - Duration(1)), std::nullopt);
    EXPECT_EQ(due(scrubbed(), begin + hours(24)), (DueScrub{false, begin + hours(24)}));
    EXPECT_EQ(due(scrubbed(), begin + hours(7 * 24)), (DueScrub{true, begin + hours(24)}));
}

TEST(ScrubSchedule, noscrub_holds_shallow_ones_and_deep_ones_go_on) {
    EXPECT_EQ(due(scrubbed(), begin + hours(25), {.shallow = true}), std::nullopt);
    EXPECT_TRUE(due(scrubbed(), begin + hours(7 * 24), {.shallow = true})->deep);
}

TEST(ScrubSchedule, nodeep_scrub_holds_deep_ones_and_shallow_ones_go_on) {
    const ScrubHolds holds{.deep = true};
    EXPECT_EQ(due(scrubbed(), begin + hours(24), holds), (DueScrub{false, begin + hours(24)}));
    EXPECT_FALSE(due(scrubbed(), begin + hours(7 * 24), holds)->deep);
    EXPECT_EQ(due(scrubbed(), begin + hours(7 * 24), {true, true}), std::nullopt);
}

TEST(ScrubSchedule, a_stamp_of_the_future_makes_it_due_at_once) {
    PgHistory history = scrubbed();
    EXPECT_EQ(due(history, begin), std::nullopt);
    EXPECT_EQ(due(history, begin - hours(1)), (DueScrub{true, WallTime{}}));
    EXPECT_EQ(due(history, begin - hours(1), {.deep = true}), (DueScrub{false, WallTime{}}));
}

TEST(ScrubSchedule, known_errors_are_not_for_shallow_scrubs) {
    PgHistory history = scrubbed();
    history.deep_scrub_errors = 1;
    EXPECT_EQ(due(history, begin + hours(23)), std::nullopt);
    EXPECT_EQ(due(history, begin + hours(24)), (DueScrub{true, begin + hours(24)}));
    EXPECT_EQ(due(history, begin + hours(24), {.deep = true}), std::nullopt);
}

TEST(ScrubSchedule, pgs_that_were_made_together_are_scrubbed_one_by_one) {
    const ScrubIntervals intervals{.become_deep = 0};
    std::set<WallTime> times;
    for (uint32_t seed = 0; seed < 100; ++seed) {
        auto is_due = [&](WallTime when) {
            return due_scrub({1, seed}, scrubbed(), intervals, {}, when).has_value();
        };
        EXPECT_FALSE(is_due(begin + hours(24) - Duration(1)));
        EXPECT_TRUE(is_due(begin + hours(36)));
        times.insert(due_scrub({1, seed}, scrubbed(), intervals, {}, begin + hours(36))->since);
    }
    EXPECT_EQ(times.size(), 100u);
    EXPECT_LT(*times.begin(), begin + hours(26));
    EXPECT_GT(*times.rbegin(), begin + hours(34));
}

TEST(ScrubSchedule, no_dice_make_it_later_than_the_longest_interval) {
    const ScrubIntervals intervals{.most = hours(25), .spread = 1};
    for (uint32_t seed = 0; seed < 100; ++seed)
        EXPECT_TRUE(due_scrub({1, seed}, scrubbed(), intervals, {}, begin + hours(25)));
}

TEST(ScrubSchedule, some_shallow_scrubs_become_deep_unless_those_are_held) {
    const WallTime later = begin + hours(36);
    size_t deep = 0;
    for (uint32_t seed = 0; seed < 1000; ++seed) {
        deep += due_scrub({1, seed}, scrubbed(), {}, {}, later)->deep;
        EXPECT_FALSE(due_scrub({1, seed}, scrubbed(), {}, {.deep = true}, later)->deep);
        EXPECT_FALSE(due_scrub({1, seed}, scrubbed(), {}, {.shallow = true}, later));
    }
    EXPECT_GT(deep, 100u);
    EXPECT_LT(deep, 200u);
}

TEST(PgHistory, believes_the_stamps_of_who_knows_more_scrubs) {
    PgHistory mine = scrubbed(), other = scrubbed();
    other.scrubs = 4;
    other.last_scrub_stamp = begin - hours(5); // the clock was put right
    mine.learn(other);
    EXPECT_EQ(mine.last_scrub_stamp, begin - hours(5));
    mine.learn(scrubbed());
    EXPECT_EQ(mine.last_scrub_stamp, begin - hours(5)) << "it knows fewer";
    PgHistory newer = mine;
    newer.last_scrub_stamp = begin + hours(1);
    newer.last_deep_scrub_stamp = begin + hours(2);
    mine.learn(newer);
    EXPECT_EQ(mine.last_scrub_stamp, begin + hours(1)) << "of as many, the newest";
    EXPECT_EQ(mine.last_deep_scrub_stamp, begin + hours(2));
    newer.scrubs = 9;
    newer.deep_scrub_errors = 2;
    mine.learn(newer);
    EXPECT_EQ(mine.known_scrub_errors(), 2u);
}

} // namespace
} // namespace cloudlet::rados
