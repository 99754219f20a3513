#include "sim/engine.h"

#include <gtest/gtest.h>

namespace cloudlet::rados::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr NodeId sender = 0, receiver = 1;

MessagePtr numbered(uint64_t number) {
    return make_message(0, message::CommandDone{.number = number});
}

struct Heard {
    std::vector<uint64_t> numbers; // 0: the peer started anew
    int wakes = 0;
    std::vector<MonotonicTime> gone; // when the peer was reached for
};

class Listener final : public Machine {
public:
    explicit Listener(Heard& heard) : heard_(heard) {}
    void receive(const Entity&, const MessagePtr& message) override {
        heard_.numbers.push_back(std::get<message::CommandDone>(message->body).number);
    }
    void reset(const Entity&) override { heard_.numbers.push_back(0); }
    void wake() override { ++heard_.wakes; }
    void gone(const Entity&, MonotonicTime asked) override { heard_.gone.push_back(asked); }

private:
    Heard& heard_;
};

/// Two processes, the first of which sends what the test says.
class Two final : public EngineOwner {
public:
    explicit Two(uint64_t seed, bool two_networks = false)
        : engine(seed, {Entity::osd(0), Entity::osd(1)}, two_networks, *this, story_) {
        begin(sender);
        begin(receiver);
    }
    void begin(NodeId node) {
        engine.begin_life(node);
        engine.install(node, std::make_unique<Listener>(heard[node]));
    }
    void send(uint64_t number) {
        engine.act(sender, [&] { engine.world(sender).send(Entity::osd(1), numbered(number)); });
    }
    void run(Duration span) {
        const MonotonicTime end = engine.now() + span;
        while (!engine.queue().empty() && engine.queue().next_time() < end) engine.step();
    }
    void handle(const Event&) override {}
    void acted(NodeId) override {}
    void crashed(NodeId node) override {
        ++crashes;
        engine.end_life(node, false);
    }

private:
    Story story_;

public:
    Engine engine;
    Heard heard[2];
    int crashes = 0;
};

std::vector<uint64_t> up_to(uint64_t last) {
    std::vector<uint64_t> numbers;
    for (uint64_t i = 1; i <= last; ++i) numbers.push_back(i);
    return numbers;
}

TEST(Engine, delivers_once_and_in_order_what_a_bad_network_carries) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        Two two(seed);
        two.engine.network().set_weather(
            {.lost = 0.3, .doubled = 0.3, .late = 0.5, .late_by = seconds(2)});
        for (uint64_t i = 1; i <= 50; ++i) two.send(i);
        two.run(seconds(300));
        EXPECT_EQ(two.heard[receiver].numbers, up_to(50)) << "seed " << seed;
        EXPECT_EQ(two.engine.in_flight(), 0u);
    }
}

TEST(Engine, does_the_same_for_the_same_seed) {
    auto events = [](uint64_t seed) {
        Two two(seed);
        two.engine.network().set_weather({.lost = 0.2, .doubled = 0.2});
        for (uint64_t i = 1; i <= 50; ++i) two.send(i);
        two.run(seconds(100));
        return std::make_pair(two.engine.events(), two.engine.now());
    };
    EXPECT_EQ(events(7), events(7));
    EXPECT_NE(events(7), events(8));
}

TEST(Engine, tells_of_a_new_life_before_its_messages) {
    Two two(1);
    two.send(1);
    two.run(seconds(1));
    two.engine.end_life(sender, false);
    two.begin(sender);
    two.send(2);
    two.run(seconds(10));
    EXPECT_EQ(two.heard[receiver].numbers, (std::vector<uint64_t>{1, 0, 2}));
}

TEST(Engine, lets_a_process_die_between_two_of_its_outputs) {
    Two two(1);
    two.send(1); // the peers meet
    two.run(seconds(1));
    two.engine.plan_crash(sender, 0, 2);
    two.engine.act(sender, [&] {
        for (uint64_t i = 2; i <= 5; ++i)
            two.engine.world(sender).send(Entity::osd(1), numbered(i));
    });
    EXPECT_EQ(two.crashes, 1);
    EXPECT_FALSE(two.engine.alive(sender));
    two.run(seconds(10));
    EXPECT_EQ(two.heard[receiver].numbers, (std::vector<uint64_t>{1, 2, 3}));
}

TEST(Engine, carries_nothing_over_a_cut_and_all_after_it_is_mended) {
    Two two(1);
    two.engine.network().cut(sender, receiver);
    two.send(1);
    two.run(seconds(10));
    EXPECT_TRUE(two.heard[receiver].numbers.empty());
    two.engine.network().mend(sender, receiver);
    two.run(seconds(10));
    EXPECT_EQ(two.heard[receiver].numbers, up_to(1));
}

TEST(Engine, has_a_host_say_that_a_process_is_gone) {
    Two two(1);
    two.send(1);
    two.run(seconds(1));
    const MonotonicTime end = two.engine.now();
    two.engine.end_life(receiver, true);
    two.run(milliseconds(20));
    ASSERT_EQ(two.heard[sender].gone, std::vector<MonotonicTime>{end}) << "the connection broke";
    const MonotonicTime asked = two.engine.now();
    two.send(2);
    two.run(milliseconds(20));
    ASSERT_EQ(two.heard[sender].gone.size(), 2u);
    EXPECT_EQ(two.heard[sender].gone[1], asked);
    two.begin(receiver);
    two.run(seconds(10));
    EXPECT_EQ(two.heard[sender].numbers, std::vector<uint64_t>{0});
    EXPECT_EQ(two.heard[receiver].numbers, up_to(1)) << "what was for the life before is over";
}

TEST(Engine, hears_nothing_from_a_host_that_ends_or_is_cut_off_or_of_another_life) {
    for (int how = 0; how < 3; ++how) {
        Two two(1);
        two.send(1);
        two.run(seconds(1));
        if (how == 1) two.engine.network().cut(receiver, sender);
        two.engine.end_life(receiver, how != 0);
        two.send(2);
        if (how == 2) {
            two.engine.end_life(sender, false);
            two.begin(sender);
        }
        two.run(seconds(5));
        EXPECT_TRUE(two.heard[sender].gone.empty()) << how;
    }
}

TEST(Engine, has_osds_speak_by_the_cluster_network_and_ping_on_both) {
    Two two(1, true);
    two.engine.network().cut(sender, receiver, Wire::cluster_network);
    auto ping = [&](uint64_t number, Wire wire) {
        two.engine.act(sender, [&] {
            two.engine.world(sender).send_loosely(Entity::osd(1), numbered(number), wire);
        });
    };
    two.send(1);
    ping(2, Wire::cluster_network);
    ping(3, Wire::public_network);
    two.run(seconds(5));
    EXPECT_EQ(two.heard[receiver].numbers, std::vector<uint64_t>{3});
    two.engine.network().mend(sender, receiver, Wire::cluster_network);
    two.run(seconds(5));
    EXPECT_EQ(two.heard[receiver].numbers, (std::vector<uint64_t>{3, 1}));
}

TEST(Engine, wakes_who_asked_and_nobody_in_a_later_life) {
    Two two(1);
    World& world = two.engine.world(sender);
    world.wake_at(two.engine.now() + seconds(5));
    world.wake_at(two.engine.now() + seconds(2));
    two.run(seconds(3));
    EXPECT_EQ(two.heard[sender].wakes, 1);
    two.run(seconds(4));
    EXPECT_EQ(two.heard[sender].wakes, 2);
    world.wake_at(two.engine.now() + seconds(1));
    two.engine.end_life(sender, false);
    two.begin(sender);
    two.run(seconds(3));
    EXPECT_EQ(two.heard[sender].wakes, 2);
}

TEST(Network, loses_and_doubles_as_often_as_it_was_asked_to) {
    Network network(2, false, Random(1));
    network.set_weather({.lost = 0.25, .doubled = 0.5, .late = 0});
    for (int i = 0; i < 10000; ++i) network.route(0, 1, Wire::public_network, MonotonicTime{});
    EXPECT_NEAR(static_cast<double>(network.lost()), 2500, 200);
    EXPECT_NEAR(static_cast<double>(network.doubled()), 3750, 200);
}

TEST(Network, is_cut_on_one_wire_alone_where_there_are_two) {
    for (bool two : {false, true}) {
        Network network(2, two, Random(1));
        network.set_weather({.lost = 0});
        network.cut(0, 1, Wire::cluster_network);
        EXPECT_EQ(network.route(0, 1, Wire::cluster_network, {}).count, 0u);
        EXPECT_EQ(network.route(0, 1, Wire::public_network, {}).count > 0, two);
        network.mend(0, 1, Wire::cluster_network);
        network.cut(0, 1);
        EXPECT_EQ(network.route(0, 1, Wire::public_network, {}).count, 0u);
        network.mend(0, 1);
        for (Wire wire : {Wire::public_network, Wire::cluster_network})
            EXPECT_GT(network.route(0, 1, wire, {}).count, 0u);
    }
}

} // namespace
} // namespace cloudlet::rados::sim
