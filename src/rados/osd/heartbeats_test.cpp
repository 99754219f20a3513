#include "osd/heartbeats.h"

#include <gtest/gtest.h>

namespace cloudlet::rados {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr HeartbeatTimes times{seconds(6), seconds(20), seconds(16)};
constexpr MonotonicTime start{std::chrono::hours(1)};

struct Pinging : testing::Test {
    Pinging() { set_peers({1, 2}, start); }

    void set_peers(std::initializer_list<int32_t> osds, MonotonicTime now) {
        std::map<int32_t, Heartbeats::Peer> peers;
        for (int32_t osd : osds) peers[osd] = {.up_from = 3};
        beats.set_peers(peers, now);
    }
    std::vector<int32_t> due(MonotonicTime now) {
        std::vector<int32_t> osds;
        for (const auto& [osd, wire] : beats.due(now, random)) osds.push_back(osd);
        return osds;
    }

    std::vector<int32_t> silent_at(MonotonicTime now) {
        std::vector<int32_t> osds;
        for (const auto& silent : beats.silent(now)) osds.push_back(silent.osd);
        return osds;
    }
    bool answer(int32_t osd, MonotonicTime stamp, MonotonicTime now) {
        beats.trust(osd, stamp, 1, 1);
        return beats.answered(osd, Wire::public_network, stamp, now);
    }

    Heartbeats beats{times, start};
    Random random{1};
};

TEST_F(Pinging, goes_to_all_peers_every_six_seconds_with_a_little_jitter) {
    EXPECT_EQ(due(start), (std::vector<int32_t>{1, 2})) << "a new peer at once";
    MonotonicTime last = start;
    std::set<Duration> gaps;
    for (int i = 0; i < 50; ++i) {
        MonotonicTime next = last + seconds(6);
        EXPECT_TRUE(due(next - milliseconds(1)).empty());
        while (due(next).empty()) next += milliseconds(1);
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
    due(start);
    EXPECT_GE(beats.deadline(), start + seconds(6));
    due(start + seconds(18));
    EXPECT_EQ(beats.deadline(), start + seconds(20));
    silent_at(start + seconds(20));
    EXPECT_GE(beats.deadline(), start + seconds(24)) << "whoever is named is not looked at again";
    set_peers({}, start + seconds(20));
    EXPECT_EQ(beats.deadline(), MonotonicTime::max());
    EXPECT_TRUE(due(start + seconds(60)).empty());
}

TEST_F(Pinging, gives_a_new_peer_the_whole_grace_and_forgets_one_that_goes) {
    silent_at(start + seconds(20));
    set_peers({2, 3}, start + seconds(20));
    EXPECT_EQ(beats.named(), std::set<int32_t>{2});
    EXPECT_TRUE(silent_at(start + seconds(40) - milliseconds(1)).empty());
    EXPECT_EQ(silent_at(start + seconds(40)), std::vector<int32_t>{3});
    EXPECT_FALSE(answer(1, start + seconds(40), start + seconds(41))) << "nobody's business now";
    EXPECT_EQ(due(start + seconds(40)), (std::vector<int32_t>{2, 3}));
}

TEST_F(Pinging, hears_a_peer_with_two_networks_only_when_it_hears_it_on_both) {
    beats.set_peers({{1, {.up_from = 3, .two_networks = true}}}, start);
    EXPECT_EQ(beats.due(start, random),
              (std::vector<std::pair<int32_t, Wire>>{{1, Wire::public_network},
                                                     {1, Wire::cluster_network}}));
    for (seconds now(6); now <= seconds(18); now += seconds(6))
        beats.answered(1, Wire::public_network, start + now, start + now);
    due(start + seconds(19));
    EXPECT_EQ(beats.deadline(), start + seconds(20)) << "the cluster network's grace ends";
    EXPECT_TRUE(silent_at(start + seconds(20) - milliseconds(1)).empty());
    EXPECT_EQ(silent_at(start + seconds(20)), std::vector<int32_t>{1});
    const MonotonicTime now = start + seconds(21);
    EXPECT_FALSE(beats.answered(1, Wire::public_network, now, now));
    EXPECT_TRUE(beats.answered(1, Wire::cluster_network, now, now));
}

TEST_F(Pinging, names_whose_process_is_gone_once) {
    EXPECT_FALSE(beats.gone(7, start)) << "nobody's business";
    EXPECT_TRUE(beats.gone(1, start + seconds(1)));
    EXPECT_FALSE(beats.gone(1, start + seconds(2)));
    EXPECT_EQ(beats.named(), std::set<int32_t>{1});
    EXPECT_TRUE(silent_at(start + seconds(20)) == std::vector<int32_t>{2});
}

TEST_F(Pinging, believes_an_answer_to_what_was_asked_after_the_end_only) {
    beats.gone(1, start + seconds(5));
    EXPECT_FALSE(answer(1, start + seconds(5), start + seconds(6))) << "it was long on its way";
    EXPECT_TRUE(answer(1, start + seconds(6), start + seconds(7))) << "a host was wrong";
    EXPECT_TRUE(beats.gone(1, start + seconds(8))) << "news again";
}

TEST_F(Pinging, begins_anew_with_a_new_life) {
    silent_at(start + seconds(20));
    beats.gone(1, start + seconds(20));
    beats.set_peers({{1, {.up_from = 9}}}, start + seconds(21));
    EXPECT_TRUE(beats.named().empty());
    EXPECT_FALSE(beats.gone(1, start + seconds(20))) << "that was the life before";
    EXPECT_TRUE(silent_at(start + seconds(41) - milliseconds(1)).empty());
    EXPECT_TRUE(beats.gone(1, start + seconds(41)));
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
