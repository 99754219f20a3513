#include "osd/heartbeats.h"

#include <gtest/gtest.h>

namespace cloudlet::rados {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr HeartbeatTimes times{seconds(6), seconds(20), seconds(16)};
constexpr MonotonicTime start{std::chrono::hours(1)};

struct Pinging : testing::Test {
    Pinging() { beats.set_peers({1, 2}, start); }

    std::vector<int32_t> silent_at(MonotonicTime now) {
        std::vector<int32_t> osds;
        for (const auto& silent : beats.silent(now)) osds.push_back(silent.osd);
        return osds;
    }
    bool answer(int32_t osd, MonotonicTime stamp, MonotonicTime now) {
        beats.trust(osd, stamp, 1, 1);
        return beats.answered(osd, stamp, now);
    }

    Heartbeats beats{times, start};
    Random random{1};
};

TEST_F(Pinging, goes_to_all_peers_every_six_seconds_with_a_little_jitter) {
    EXPECT_EQ(beats.due(start, random), (std::vector<int32_t>{1, 2})) << "a new peer at once";
    MonotonicTime last = start;
    std::set<Duration> gaps;
    for (int i = 0; i < 50; ++i) {
        MonotonicTime next = last + seconds(6);
        EXPECT_TRUE(beats.due(next - milliseconds(1), random).empty());
        while (beats.due(next, random).empty()) next += milliseconds(1);
        EXPECT_LE(next - last, milliseconds(6501));
        gaps.insert(next - last);
        last = next;
    }
    EXPECT_GT(gaps.size(), 10u) << "OSDs that start together do not ping together for ever";
}

TEST_F(Pinging, names_who_is_silent_for_the_grace_and_only_once) {
    answer(2, start + seconds(5), start + seconds(6));
    EXPECT_TRUE(silent_at(start + seconds(20) - milliseconds(1)).empty());
    const auto found = beats.silent(start + seconds(21));
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].osd, 1);
    EXPECT_EQ(found[0].silent, Duration(seconds(21)));
    EXPECT_TRUE(silent_at(start + seconds(25)).empty());
    EXPECT_EQ(silent_at(start + seconds(26)), std::vector<int32_t>{2});
}

TEST_F(Pinging, takes_an_accusation_back_when_an_answer_comes) {
    EXPECT_FALSE(answer(1, start, start + seconds(1))) << "nobody accused it";
    silent_at(start + seconds(30));
    EXPECT_EQ(beats.named(), (std::set<int32_t>{1, 2}));
    EXPECT_TRUE(answer(1, start + seconds(29), start + seconds(31)));
    EXPECT_FALSE(answer(1, start + seconds(29), start + seconds(31))) << "only once";
    EXPECT_EQ(beats.named(), std::set<int32_t>{2});
    EXPECT_TRUE(silent_at(start + seconds(50)).empty());
    EXPECT_EQ(silent_at(start + seconds(51)), std::vector<int32_t>{1}) << "from the answer on";
}

TEST_F(Pinging, learns_nothing_of_now_from_an_answer_that_took_longer_than_the_grace) {
    silent_at(start + seconds(20));
    EXPECT_FALSE(answer(1, start, start + seconds(20)));
    EXPECT_TRUE(beats.named().contains(1));
    EXPECT_TRUE(answer(1, start + milliseconds(1), start + seconds(20)));
}

TEST_F(Pinging, wakes_for_the_next_ping_or_the_end_of_a_grace) {
    EXPECT_LE(beats.deadline(), start);
    beats.due(start, random);
    EXPECT_GE(beats.deadline(), start + seconds(6));
    beats.due(start + seconds(18), random);
    EXPECT_EQ(beats.deadline(), start + seconds(20));
    silent_at(start + seconds(20));
    EXPECT_GE(beats.deadline(), start + seconds(24)) << "whoever is named is not looked at again";
    beats.set_peers({}, start + seconds(20));
    EXPECT_EQ(beats.deadline(), MonotonicTime::max());
    EXPECT_TRUE(beats.due(start + seconds(60), random).empty());
}

TEST_F(Pinging, gives_a_new_peer_the_whole_grace_and_forgets_one_that_goes) {
    silent_at(start + seconds(20));
    beats.set_peers({2, 3}, start + seconds(20));
    EXPECT_EQ(beats.named(), std::set<int32_t>{2});
    EXPECT_TRUE(silent_at(start + seconds(40) - milliseconds(1)).empty());
    EXPECT_EQ(silent_at(start + seconds(40)), std::vector<int32_t>{3});
    EXPECT_FALSE(answer(1, start + seconds(40), start + seconds(41))) << "nobody's business now";
    EXPECT_EQ(beats.due(start + seconds(40), random), (std::vector<int32_t>{2, 3}));
}

TEST_F(Pinging, counts_a_lease_from_when_the_ping_was_sent) {
    EXPECT_EQ(beats.answered_at(1), MonotonicTime{});
    answer(1, start + seconds(3), start + seconds(5));
    EXPECT_EQ(beats.answered_at(1), start + seconds(3));
    answer(1, start + seconds(2), start + seconds(6));
    EXPECT_EQ(beats.answered_at(1), start + seconds(3)) << "an older ping's answer came late";
}

TEST_F(Pinging, counts_an_answer_from_a_newer_map_when_it_has_come_that_far) {
    beats.trust(1, start + seconds(3), 7, 7);
    beats.trust(1, start + seconds(9), 9, 7);
    EXPECT_EQ(beats.answered_at(1), start + seconds(3)) << "it may serve others in epoch 9";
    beats.caught_up(8);
    EXPECT_EQ(beats.answered_at(1), start + seconds(3));
    beats.caught_up(9);
    EXPECT_EQ(beats.answered_at(1), start + seconds(9));
}

TEST_F(Pinging, knows_how_long_its_own_answers_let_others_read) {
    beats.we_answered(1, start + seconds(10));
    EXPECT_EQ(beats.lets_read(1, start + seconds(12)), Duration(seconds(14)));
    EXPECT_EQ(beats.lets_read(1, start + seconds(26)), Duration(0));
    EXPECT_EQ(beats.lets_read(1, start + seconds(99)), Duration(0));
}

TEST_F(Pinging, takes_after_a_start_that_its_life_before_may_have_answered_anybody) {
    EXPECT_EQ(beats.lets_read(5, start), Duration(seconds(16)));
    EXPECT_EQ(beats.lets_read(5, start + seconds(10)), Duration(seconds(6)));
    EXPECT_EQ(beats.lets_read(5, start + seconds(16)), Duration(0));
}

} // namespace
} // namespace cloudlet::rados
