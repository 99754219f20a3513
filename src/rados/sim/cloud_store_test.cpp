#include "sim/cloud_store.h"

#include <gtest/gtest.h>

#include "cloudlet/rados/planted_bug.h"

namespace cloudlet::rados::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

MapStep step_to(Epoch epoch) {
    OsdMapIncremental step;
    step.epoch = epoch;
    return std::make_shared<const OsdMapIncremental>(step);
}

/// Monitors that note what they are told.
struct World {
    explicit World(size_t monitors) : store(queue, monitors, 1, Random(1)), heard(monitors) {
        for (NodeId m = 0; m < monitors; ++m) store.connect(m, 1, now);
    }
    void run(Duration span) {
        const MonotonicTime end = now + span;
        while (queue.next_time() < end) {
            now = queue.next_time();
            const Event event = queue.pop();
            if (auto told = store.read_letter(event, now)) note(event.node, *told);
        }
        now = end;
    }
    void note(NodeId monitor, const CloudStore::Told& told) {
        Heard& by = heard[monitor];
        for (const MapStep& step : told.steps) by.epochs.push_back(step->epoch);
        if (told.refused) by.refused.push_back(told.refused->second);
        if (told.leads) {
            by.term = told.leads->first;
            by.until = told.leads->second;
        }
    }
    std::optional<NodeId> leader() const {
        for (NodeId m = 0; m < heard.size(); ++m)
            if (heard[m].until > now) return m;
        return std::nullopt;
    }

    struct Heard {
        std::vector<Epoch> epochs, refused;
        uint64_t term = 0;
        MonotonicTime until{};
    };
    EventQueue queue;
    MonotonicTime now{};
    CloudStore store;
    std::vector<Heard> heard;
};

TEST(CloudStore, has_one_leader_that_stays_while_it_renews) {
    World world(3);
    for (int i = 0; i < 100; ++i) {
        world.run(seconds(1));
        size_t leaders = 0;
        for (const auto& monitor : world.heard) leaders += monitor.until > world.now;
        EXPECT_EQ(leaders, 1u);
    }
    EXPECT_EQ(world.heard[*world.leader()].term, 1u);
}

TEST(CloudStore, tells_every_monitor_each_step_in_order) {
    World world(3);
    world.run(seconds(1));
    const NodeId leader = *world.leader();
    for (Epoch epoch = 2; epoch <= 4; ++epoch) {
        world.store.append(leader, 1, step_to(epoch), world.now);
        world.run(milliseconds(900));
    }
    for (const auto& monitor : world.heard)
        EXPECT_EQ(monitor.epochs, (std::vector<Epoch>{2, 3, 4}));
}

TEST(CloudStore, refuses_an_append_behind_another_and_one_of_another_term) {
    World world(1);
    world.run(seconds(1));
    world.store.append(0, 1, step_to(2), world.now);
    world.run(seconds(1));
    world.store.append(0, 1, step_to(2), world.now);
    world.store.append(0, 9, step_to(3), world.now);
    world.run(seconds(1));
    EXPECT_EQ(world.store.newest(), 2u);
    EXPECT_EQ(world.heard[0].refused.size(), 2u);
}

/// A leader appends while it is cut off; another one leads and appends before it is back.
void append_late(World& world) {
    world.run(seconds(1));
    const NodeId old = *world.leader();
    world.store.append(old, 1, step_to(2), world.now);
    world.run(milliseconds(900));
    world.store.cut_off(old);
    world.store.append(old, 1, step_to(3), world.now);
    world.run(seconds(10));
    EXPECT_EQ(world.store.newest(), 2u);
    const NodeId fresh = *world.leader();
    EXPECT_NE(fresh, old);
    world.store.append(fresh, 2, step_to(3), world.now);
    world.run(seconds(1));
    world.store.join(old, world.now);
    world.run(seconds(1));
}

TEST(CloudStore, refuses_what_a_former_leader_appended_while_it_was_cut_off) {
    World world(2);
    append_late(world);
    EXPECT_EQ(world.store.newest(), 3u);
    EXPECT_EQ(world.store.refusals(), 1u);
    EXPECT_EQ(world.store.fork(), "");
}

TEST(CloudStore, forks_when_it_does_not_compare) {
    PlantBug bug(PlantedBug::stale_leader_writes);
    World world(2);
    append_late(world);
    EXPECT_NE(world.store.fork(), "");
}

} // namespace
} // namespace cloudlet::rados::sim
