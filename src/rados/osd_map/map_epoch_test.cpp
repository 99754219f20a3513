#include "cloudlet/rados/map_epoch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "cloudlet/rados/osd_map_codec.h"
#include "osd_map_random.h"
#include "test_seeds.h"

namespace cloudlet::rados {
namespace {

MapEpochPtr first_epoch(Random& random) {
    return *MapEpoch::first(std::make_shared<const OsdMap>(random_osd_map(random)));
}

void expect_same_places(const MapEpoch& ours, const MapEpoch& fresh) {
    EXPECT_EQ(ours.placements(), fresh.placements());
    CrushWorkspace work;
    Placer placer = *Placer::prepare(fresh.shared_map());
    for (const auto& [id, pool] : fresh.map().pools)
        for (uint32_t seed = 0; seed < pool.pg_num; ++seed) {
            PgSets sets = placer.place(work, {id, seed});
            EXPECT_EQ(ours.up({id, seed}), sets.up);
            EXPECT_EQ(ours.acting({id, seed}), sets.acting);
            for (int32_t osd : sets.up.osds) EXPECT_TRUE(ours.serves({id, seed}, osd));
            PgView view = ours.view({id, seed}), expected = view_pg(placer, work, {id, seed});
            EXPECT_EQ(view.epoch, ours.epoch());
            EXPECT_EQ(view.members, expected.members);
            EXPECT_EQ(interval_change(view, expected), std::nullopt);
        }
}

TEST(MapEpoch, EachStepGivesWhatTheWholeMapWould) {
    uint64_t seed = first_seed();
    for (uint64_t left = seeds_to_run(20); left > 0 && !HasFailure(); --left, ++seed) {
        SCOPED_TRACE(fmt::format("CLOUDLET_SEED={}", seed));
        Random random(seed);
        MapEpochPtr epoch = first_epoch(random);
        expect_same_places(*epoch, *epoch);
        for (int i = 0; i < 4; ++i) {
            auto next = MapEpoch::next(epoch, random_step(random, epoch->map()));
            ASSERT_TRUE(next) << next.error().to_string();
            expect_same_places(**next, **MapEpoch::first((*next)->shared_map()));
            EXPECT_EQ((*next)->epoch(), epoch->epoch() + 1);
            epoch = *next;
        }
    }
}

TEST(MapEpoch, KnowsNothingOfPgsThatAreNotThere) {
    Random random(1);
    MapEpochPtr epoch = first_epoch(random);
    EXPECT_EQ(epoch->up({999, 0}), OsdSet{});
    EXPECT_EQ(epoch->acting({epoch->map().pools.begin()->first, 1u << 30}), OsdSet{});
    EXPECT_FALSE(epoch->serves({999, 0}, 0));
    EXPECT_EQ(epoch->pg_of(999, {.name = "a"}), (PgId{-1, 0}));
}

TEST(MapEpoch, FindsAnObjectsPg) {
    Random random(2);
    MapEpochPtr epoch = first_epoch(random);
    const auto& [id, pool] = *epoch->map().pools.begin();
    EXPECT_EQ(epoch->pg_of(id, {.name = "a"}),
              pg_of_raw(pool, {id, object_hash(pool, {.name = "a"})}));
}

OsdMapIncremental next_step(const OsdMap& map) {
    OsdMapIncremental step;
    step.fsid = map.fsid;
    step.epoch = map.epoch + 1;
    return step;
}

TEST(MapCache, MakesAStepOnceAndForgetsWhatNobodyHolds) {
    Random random(3);
    MapCache cache;
    MapEpochPtr epoch = first_epoch(random);
    auto step = std::make_shared<const OsdMapIncremental>(next_step(epoch->map()));
    auto one = cache.next(epoch, step), other = cache.next(epoch, step);
    ASSERT_TRUE(one && other);
    EXPECT_EQ(*one, *other);
    auto equal = std::make_shared<const OsdMapIncremental>(*step);
    EXPECT_NE(*cache.next(epoch, equal), *one) << "another step, even if it says the same";
    std::weak_ptr<const MapEpoch> watched = *one;
    one = other = epoch;
    EXPECT_TRUE(watched.expired());
    EXPECT_TRUE(cache.next(epoch, step));
}

TEST(MapCache, LetsWhoStartsWithAFullMapMeetTheOthers) {
    Random random(3);
    MapCache cache;
    MapEpochPtr epoch = first_epoch(random);
    const MapEpochPtr next =
        *cache.next(epoch, std::make_shared<const OsdMapIncremental>(next_step(epoch->map())));
    EXPECT_EQ(*cache.first(next->shared_map()), next);
}

TEST(MapCache, ForgetsWhatNobodyHoldsHoweverManyStepsThereAre) {
    Random random(3);
    MapCache cache;
    MapEpochPtr epoch = *cache.first(first_epoch(random)->shared_map());
    for (int i = 0; i < 1000; ++i) {
        auto step = std::make_shared<const OsdMapIncremental>(next_step(epoch->map()));
        epoch = *cache.next(epoch, step);
        ASSERT_LT(cache.size(), 50u);
    }
}

TEST(MapCache, IsSharedByThreads) {
    Random random(5);
    MapCache cache;
    const auto base = first_epoch(random)->shared_map();
    std::vector<MapStep> steps;
    OsdMapIncremental step = next_step(*base);
    for (int i = 0; i < 200; ++i, ++step.epoch)
        steps.push_back(std::make_shared<const OsdMapIncremental>(step));
    std::vector<MapEpochPtr> ends(4);
    {
        std::vector<std::jthread> threads;
        for (MapEpochPtr& end : ends)
            threads.emplace_back([&] {
                end = *cache.first(base);
                for (const MapStep& one : steps) end = *cache.next(end, one);
            });
    }
    for (const MapEpochPtr& end : ends) EXPECT_EQ(end->epoch(), base->epoch + 200);
}

TEST(MapCache, SaysWhyAStepDoesNotFit) {
    Random random(4);
    MapCache cache;
    MapEpochPtr epoch = first_epoch(random);
    auto step = std::make_shared<OsdMapIncremental>(next_step(epoch->map()));
    step->epoch += 5;
    auto refused = cache.next(epoch, step);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::conflict);
}

} // namespace
} // namespace cloudlet::rados
