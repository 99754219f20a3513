#include "sim/disk.h"

#include <gtest/gtest.h>

namespace cloudlet::rados::sim {
namespace {

const CollectionId pg(PgId{1, 0});

class Tokens final : public StoreListener {
public:
    void committed(uint64_t token) override { tokens.push_back(token); }
    void failed(const Error&) override { ++failures; }
    std::vector<uint64_t> tokens;
    int failures = 0;
};

struct World {
    explicit World(uint64_t seed = 1) : disk(gate, Random(seed)) {
        disk.attach(listener);
        EXPECT_TRUE(disk.submit(Transaction{}.create_collection(pg), 0));
        EXPECT_TRUE(disk.begin_sync());
        disk.end_sync();
    }
    void write(uint64_t token) {
        const ObjectId object{0, "o" + std::to_string(token)};
        EXPECT_TRUE(disk.submit(Transaction{}.write(pg, object, 0, "x"), token));
    }
    size_t objects() { return disk.list(pg, std::nullopt, 100)->objects.size(); }

    OutputGate gate;
    Tokens listener;
    SimulatedDisk disk;
};

TEST(SimulatedDisk, makes_safe_what_was_there_when_the_sync_began) {
    World world;
    world.write(1);
    EXPECT_TRUE(world.disk.begin_sync());
    world.write(2);
    EXPECT_FALSE(world.disk.begin_sync()) << "one runs";
    world.disk.end_sync();
    EXPECT_EQ(world.listener.tokens, (std::vector<uint64_t>{0, 1}));
    EXPECT_TRUE(world.disk.begin_sync());
}

TEST(SimulatedDisk, loses_what_was_submitted_behind_the_gate_and_shows_it_until_then) {
    bool kept_both = false;
    for (uint64_t seed = 1; seed <= 50; ++seed) {
        World world(seed);
        world.gate.shut_after(2);
        for (uint64_t token = 1; token <= 4; ++token) world.write(token);
        EXPECT_EQ(world.objects(), 4u);
        world.disk.crash();
        EXPECT_LE(world.objects(), 2u);
        kept_both |= world.objects() == 2;
    }
    EXPECT_TRUE(kept_both);
}

TEST(SimulatedDisk, reports_a_failed_sync_and_works_again_in_the_next_life) {
    World world;
    world.disk.fail_next_sync();
    world.write(1);
    EXPECT_TRUE(world.disk.begin_sync());
    world.disk.end_sync();
    EXPECT_EQ(world.listener.failures, 1);
    world.disk.crash();
    world.write(2);
    EXPECT_TRUE(world.disk.begin_sync());
    world.disk.end_sync();
    EXPECT_EQ(world.listener.tokens.back(), 2u);
}

TEST(SimulatedDisk, is_full_while_its_capacity_is_small) {
    World world;
    world.disk.set_capacity(world.disk.contents().used_bytes());
    const ObjectId object{0, "big"};
    const auto big = Transaction{}.write(pg, object, 0, std::string(5000, 'x'));
    EXPECT_EQ(world.disk.submit(big, 1).error().code, Code::exhausted);
    world.disk.set_capacity(SimulatedDisk::ample);
    EXPECT_TRUE(world.disk.submit(big, 1));
}

} // namespace
} // namespace cloudlet::rados::sim
