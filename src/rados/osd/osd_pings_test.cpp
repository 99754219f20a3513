#include <gmock/gmock.h>

#include "osd/test_osd.h"

namespace cloudlet::rados {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

AddressVector at(char network, int32_t number, uint32_t nonce) {
    std::string socket(16, static_cast<char>(number));
    socket.front() = network;
    return {{{.kind = Address::Kind::msgr2, .nonce = nonce, .socket_address = socket}}};
}

/// osd.0 of four, of which each has a public and a cluster network.
struct OsdOnTwoNetworks : Osd {
    OsdOnTwoNetworks() {
        start({.least_heartbeat_peers = 1,
               .address = at('p', 0, 0),
               .cluster_address = at('c', 0, 0)});
        get_maps();
        const message::Boot boot = boots().at(0);
        step([&](auto& s) {
            for (int32_t osd = 1; osd < 4; ++osd) add(s, osd, at('p', osd, 1), at('c', osd, 1));
            add(s, 0, boot.address, boot.cluster_address);
        });
        world.sent.clear();
    }
    static void add(OsdMapIncremental& step, int32_t osd, const AddressVector& front,
                    const AddressVector& back) {
        step.new_up_client[osd] = step.new_heartbeat_front[osd] = front;
        step.new_up_cluster[osd] = step.new_heartbeat_back[osd] = back;
    }
    void answer(Wire wire) { hear(osd(1), message::Ping{world.now(), true, wire}); }
};

TEST_F(Osd, pings_its_peers_and_answers_theirs) {
    start_and_boot();
    run(seconds(1));
    const auto pings = world.take<message::Ping>(osd(1));
    ASSERT_THAT(pings, SizeIs(1));
    EXPECT_FALSE(pings[0].answer);
    const MonotonicTime stamp{seconds(5)};
    hear(osd(2), message::Ping{stamp, false});
    const auto sent = world.take<message::Ping>(osd(2));
    EXPECT_EQ(sent.back(), (message::Ping{stamp, true})) << "the asker's own time comes back";
}

TEST_F(Osd, reports_who_is_silent_and_takes_it_back_when_it_answers) {
    start_and_boot({.least_heartbeat_peers = 1});
    run(seconds(20) - milliseconds(1));
    EXPECT_THAT(world.take<message::Failure>(mon(0)), IsEmpty());
    run(milliseconds(1));
    auto failures = world.take<message::Failure>(mon(0));
    ASSERT_FALSE(failures.empty());
    EXPECT_EQ(failures[0], (message::Failure{.target = 1, .silent = seconds(20)}));
    run(seconds(2));
    failures = world.take<message::Failure>(mon(0));
    ASSERT_FALSE(failures.empty()) << "again until the map shows it";
    EXPECT_EQ(failures[0].silent, Duration(seconds(22)));
    hear(osd(1), message::Ping{world.now() - seconds(1), true});
    failures = world.take<message::Failure>(mon(0));
    ASSERT_THAT(failures, SizeIs(1));
    EXPECT_TRUE(failures[0].withdrawn);
    run(seconds(10));
    for (const auto& failure : world.take<message::Failure>(mon(0))) EXPECT_NE(failure.target, 1);
}

TEST_F(Osd, reports_nobody_again_who_is_down) {
    start_and_boot();
    run(seconds(20));
    EXPECT_FALSE(world.take<message::Failure>(mon(0)).empty());
    mark_down(1);
    run(seconds(10));
    for (const auto& failure : world.take<message::Failure>(mon(0))) EXPECT_NE(failure.target, 1);
}

TEST_F(Osd, gives_both_addresses_the_nonce_of_its_life) {
    start({.address = at('p', 0, 0), .cluster_address = at('c', 0, 0)});
    get_maps();
    const message::Boot boot = boots().at(0);
    EXPECT_NE(nonce(boot), 0u);
    EXPECT_FALSE(boot.lived);
    EXPECT_EQ(boot.address, at('p', 0, nonce(boot)));
    EXPECT_EQ(boot.cluster_address, at('c', 0, nonce(boot)));
}

TEST_F(OsdOnTwoNetworks, pings_on_both_and_answers_where_it_was_asked) {
    run(seconds(1));
    std::vector<Wire> by;
    for (const auto& sent : world.sent)
        if (auto* ping = std::get_if<message::Ping>(&sent.message->body);
            ping && sent.to == osd(1)) {
            EXPECT_EQ(sent.loosely, ping->wire);
            by.push_back(ping->wire);
        }
    EXPECT_THAT(by, ElementsAre(Wire::public_network, Wire::cluster_network));
    world.sent.clear();
    hear(osd(1), message::Ping{MonotonicTime(seconds(5)), false, Wire::cluster_network});
    ASSERT_THAT(world.sent, SizeIs(1));
    EXPECT_EQ(world.sent[0].loosely, Wire::cluster_network);
}

TEST_F(OsdOnTwoNetworks, reports_who_is_silent_on_one_of_them_until_it_is_heard_on_both) {
    run(seconds(10));
    answer(Wire::public_network);
    run(seconds(10));
    const auto failures = world.take<message::Failure>(mon(0));
    ASSERT_FALSE(failures.empty());
    EXPECT_EQ(failures[0], (message::Failure{.target = 1, .silent = seconds(20)}));
    answer(Wire::public_network);
    EXPECT_THAT(world.take<message::Failure>(mon(0)), IsEmpty()) << "the other one is still cut";
    answer(Wire::cluster_network);
    const auto last = world.take<message::Failure>(mon(0));
    ASSERT_THAT(last, SizeIs(1));
    EXPECT_TRUE(last[0].withdrawn);
}

struct OsdWithARestartedPeer : Osd {
    /// osd.1 goes down and comes up again, and we hear of both at once.
    void restart_peer() {
        make_step([](auto& s) { s.new_state[1] = osd_up; });
        make_step([](auto& s) { s.new_up_client[1] = s.new_up_cluster[1] = at('p', 1, 9); });
        hear(mon(0), message::Maps{.full = {}, .steps = {steps[steps.size() - 2], steps.back()}});
    }
};

TEST_F(Osd, reports_at_once_whose_process_is_gone) {
    start_and_boot();
    machine->gone(osd(1), world.now());
    EXPECT_THAT(world.take<message::Failure>(mon(0)),
                ElementsAre(message::Failure{.target = 1, .gone = true}));
    machine->gone(osd(1), world.now());
    EXPECT_THAT(world.take<message::Failure>(mon(0)), IsEmpty()) << "said already";
    run(seconds(2));
    EXPECT_THAT(world.take<message::Failure>(mon(0)),
                ElementsAre(message::Failure{.target = 1, .silent = seconds(2), .gone = true}))
        << "again until the map shows it";
}

TEST_F(OsdWithARestartedPeer, does_not_hold_against_a_new_life_what_was_heard_of_the_one_before) {
    start_and_boot();
    machine->gone(osd(1), world.now());
    world.sent.clear();
    run(seconds(1));
    const MonotonicTime before = world.now();
    run(milliseconds(10));
    restart_peer();
    machine->gone(osd(1), before); // of a question that was long on its way
    run(seconds(5));
    EXPECT_THAT(world.take<message::Failure>(mon(0)), IsEmpty());
    machine->gone(osd(1), world.now());
    EXPECT_THAT(world.take<message::Failure>(mon(0)), SizeIs(1));
}

TEST_F(Osd, accuses_nobody_any_more_when_it_learns_that_it_is_down_itself) {
    start_and_boot({.monitors = {0}});
    run(seconds(20));
    world.sent.clear();
    mark_down(0);
    run(seconds(5));
    const auto wanted = boots();
    ASSERT_FALSE(wanted.empty());
    EXPECT_TRUE(wanted[0].lived) << "so that the monitors are more patient with it";
    EXPECT_THAT(world.take<message::Failure>(mon(0)), IsEmpty());
}

TEST_F(OsdWithARestartedPeer, gives_a_peer_that_lives_anew_the_whole_grace) {
    start_and_boot();
    run(seconds(15));
    restart_peer();
    auto accuses = [this] {
        return std::ranges::any_of(world.take<message::Failure>(mon(0)),
                                   [](const auto& failure) { return failure.target == 1; });
    };
    run(seconds(20) - milliseconds(1));
    EXPECT_FALSE(accuses());
    run(milliseconds(1));
    EXPECT_TRUE(accuses());
}

TEST_F(Osd, turns_to_another_monitor_when_one_is_gone_but_not_in_a_hurry) {
    start({.monitors = {0, 1}});
    get_maps();
    auto wished = [this] {
        std::vector<int32_t> at;
        for (int32_t monitor : {0, 1}) {
            for (size_t n = world.take<message::Boot>(mon(monitor)).size(); n > 0; --n)
                at.push_back(monitor);
            world.take<message::GetMaps>(mon(monitor));
        }
        return at;
    };
    const int32_t first = wished().at(0), second = 1 - first;
    machine->gone(mon(second), world.now()); // nobody's leader
    machine->gone(mon(first), world.now());
    EXPECT_THAT(world.sent, IsEmpty()) << "all may be gone";
    run(milliseconds(500));
    EXPECT_THAT(world.take<message::GetMaps>(mon(second)), SizeIs(1));
    EXPECT_THAT(wished(), ElementsAre(second));
}

} // namespace
} // namespace cloudlet::rados
