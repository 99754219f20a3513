#include "cloudlet/rados/placement.h"

#include "cloudlet/base/check.h"
#include "cloudlet/rados/crush_builder.h"
#include "cloudlet/rados/crush_edit.h"
#include "cloudlet/rados/osd_map_codec.h"
#include "cloudlet/rados/osd_map_create.h"
#include "crush/crush_random_map.h"
#include "osd_map_random.h"

namespace cloudlet::rados {
namespace {

using testing::ElementsAre;

/// One pool of 64 PGs over `hosts` hosts of two OSDs, all up and in.
OsdMap small_cluster(uint32_t hosts, PoolType type = PoolType::replicated) {
    OsdMap map;
    map.epoch = 1;
    CrushLayer layers[] = {{"host", BucketAlg::straw2, 2}, {"root", BucketAlg::straw2, 0}};
    CrushMap crush = *build_crush_map(hosts * 2, layers);
    check(create_simple_rule(crush, "ec", "root", "host", "", RuleMode::indep, RuleType::erasure)
              .has_value(),
          "the rule is made");
    map.resize_osds(crush.max_devices);
    for (auto& state : map.osd_state) state = osd_exists | osd_up;
    for (auto& weight : map.osd_weight) weight = crush_weight_one;
    Pool& pool = map.pools[1];
    pool.type = type;
    pool.crush_rule = type == PoolType::erasure ? 1 : 0;
    pool.set_pg_num(64, 64);
    map.pool_names[1] = "pool";
    map.set_crush(std::move(crush));
    return map;
}

Placer placer_of(OsdMap map) {
    return *Placer::prepare(std::make_shared<const OsdMap>(std::move(map)));
}

PgSets place(const OsdMap& map, PgId pg) {
    CrushWorkspace work;
    return placer_of(map).place(work, pg);
}

TEST(Placement, hashes_the_locator_key_and_the_namespace_instead_of_the_bare_name) {
    Pool pool;
    EXPECT_EQ(object_hash(pool, {.name = "root-id_rsa"}), 0x38e001efu);
    EXPECT_EQ(object_hash(pool, {.name = "test-object-1"}), 0x74dc35e2u);
    EXPECT_EQ(object_hash(pool, {.name = "other", .locator_key = "root-id_rsa"}), 0x38e001efu);
    EXPECT_NE(object_hash(pool, {.name = "root-id_rsa", .name_space = "n"}), 0x38e001efu);
    EXPECT_EQ(object_hash(pool, {.name = "b", .name_space = "a"}),
              object_hash(pool, {.name = "a\x1f"
                                         "b"}));
}

TEST(Placement, folds_hashes_so_that_growth_moves_only_into_new_groups) {
    Pool pool;
    pool.set_pg_num(12, 12);
    EXPECT_EQ(pg_of_raw(pool, {1, 0x1b}).seed, 0xbu);
    EXPECT_EQ(pg_of_raw(pool, {1, 0x1d}).seed, 0x5u); // 13 is not there yet: 13 & 7
    pool.set_pg_num(16, 16);
    EXPECT_EQ(pg_of_raw(pool, {1, 0x1d}).seed, 0xdu);
}

TEST(Placement, closes_ranks_over_a_down_osd_in_a_replicated_pool) {
    OsdMap map = small_cluster(4);
    PgSets before = place(map, {1, 5});
    ASSERT_EQ(before.up.osds.size(), 3u);
    map.osd_state[static_cast<size_t>(before.up.osds[0])] &= ~osd_up;
    PgSets after = place(map, {1, 5});
    EXPECT_THAT(after.up.osds, ElementsAre(before.up.osds[1], before.up.osds[2]));
    EXPECT_EQ(after.up.primary, before.up.osds[1]);
    EXPECT_EQ(after.raw, before.raw);
}

TEST(Placement, leaves_a_hole_for_a_down_osd_in_an_erasure_pool) {
    OsdMap map = small_cluster(4, PoolType::erasure);
    PgSets before = place(map, {1, 5});
    map.osd_state[static_cast<size_t>(before.up.osds[1])] &= ~osd_up;
    PgSets after = place(map, {1, 5});
    EXPECT_THAT(after.up.osds, ElementsAre(before.up.osds[0], osd_none, before.up.osds[2]));
    EXPECT_EQ(after.up.to_string(), fmt::format("([{},2147483647,{}], p{})", before.up.osds[0],
                                                before.up.osds[2], before.up.osds[0]));
}

TEST(Placement, applies_upmap_items_unless_the_target_is_out_or_already_there) {
    OsdMap map = small_cluster(4);
    auto up = place(map, {1, 7}).up.osds;
    int32_t free = 0;
    while (std::find(up.begin(), up.end(), free) != up.end()) ++free;
    map.pg_upmap_items[{1, 7}] = {{up[1], free}};
    EXPECT_THAT(place(map, {1, 7}).up.osds, ElementsAre(up[0], free, up[2]));
    map.osd_weight[static_cast<size_t>(free)] = 0;
    EXPECT_EQ(place(map, {1, 7}).up.osds, up);
    map.pg_upmap_items[{1, 7}] = {{up[1], up[2]}};
    EXPECT_EQ(place(map, {1, 7}).up.osds, up);
}

TEST(Placement, serves_from_pg_temp_and_leads_from_primary_temp_while_they_stand) {
    OsdMap map = small_cluster(4);
    auto up = place(map, {1, 9}).up.osds;
    map.pg_temp[{1, 9}] = {up[2], up[1]};
    EXPECT_EQ(place(map, {1, 9}).acting.primary, up[2]);
    map.primary_temp[{1, 9}] = up[1];
    PgSets sets = place(map, {1, 9});
    EXPECT_EQ(sets.up.osds, up);
    EXPECT_THAT(sets.acting.osds, ElementsAre(up[2], up[1]));
    EXPECT_EQ(sets.acting.primary, up[1]);
}

TEST(Placement, keeps_an_osd_without_affinity_from_leading) {
    OsdMap map = small_cluster(4);
    map.set_affinity(3, 0);
    CrushWorkspace work;
    PoolPlacement placement = placer_of(map).place_pool(work, 1);
    size_t holds = 0;
    for (uint32_t pg = 0; pg < placement.pg_num(); ++pg) {
        EXPECT_NE(placement.up_primary[pg], 3);
        EXPECT_EQ(placement.up_primary[pg], placement.up[pg][0]); // moved to the front
        holds += std::ranges::count(placement.up[pg], 3);
    }
    EXPECT_GT(holds, 0u);
}

TEST(Placement, of_a_whole_pool_equals_the_placement_of_each_pg) {
    for (uint64_t seed = 1; seed <= 200; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        Placer placer = placer_of(random_osd_map(random));
        CrushWorkspace work;
        for (const auto& [id, pool] : placer.map().pools) {
            PoolPlacement placement = placer.place_pool(work, id);
            for (uint32_t pg = 0; pg < pool.pg_num; ++pg) {
                PgSets sets = placer.place(work, {id, pg});
                ASSERT_TRUE(std::ranges::equal(placement.up[pg], sets.up.osds));
                ASSERT_TRUE(std::ranges::equal(placement.acting[pg], sets.acting.osds));
                ASSERT_EQ(placement.up_primary[pg], sets.up.primary);
                ASSERT_EQ(placement.acting_primary[pg], sets.acting.primary);
            }
        }
    }
}

TEST(Placement, updated_over_random_steps_equals_the_full_one) {
    uint64_t walked = 0, all = 0;
    for (uint64_t seed = 1; seed <= 150; ++seed) {
        Random random(seed);
        Placer placer = placer_of(random_osd_map(random));
        CrushWorkspace work;
        std::map<PoolId, PoolPlacement> placements;
        for (const auto& [id, pool] : placer.map().pools)
            placements[id] = placer.place_pool(work, id);
        for (int step = 0; step < 12; ++step) {
            SCOPED_TRACE(fmt::format("seed {} step {}", seed, step));
            auto next = apply_incremental(placer.map(), random_step(random, placer.map()));
            ASSERT_TRUE(next) << next.error().to_string();
            Placer after = *placer.prepare_next(std::make_shared<const OsdMap>(std::move(*next)));
            for (auto& [id, placement] : placements) {
                PoolPlacement updated = after.update_pool(work, placer, placement, id);
                ASSERT_EQ(updated, after.place_pool(work, id));
                walked += updated.walked;
                all += updated.pg_num();
                placement = std::move(updated);
            }
            placer = std::move(after);
        }
    }
    EXPECT_LT(walked, all / 2); // most steps touch few groups
}

TEST(Placement, walks_again_only_the_groups_that_an_osd_marked_out_held) {
    OsdMap map = small_cluster(8);
    Placer before = placer_of(map);
    CrushWorkspace work;
    PoolPlacement placement = before.place_pool(work, 1);
    uint32_t held = 0;
    for (uint32_t pg = 0; pg < 64; ++pg) held += std::ranges::count(placement.walk[pg], 5);
    map.osd_weight[5] = 0;
    Placer after = *before.prepare_next(std::make_shared<const OsdMap>(map));
    PoolPlacement updated = after.update_pool(work, before, placement, 1);
    EXPECT_EQ(updated.walked, held);
    EXPECT_EQ(updated, after.place_pool(work, 1));
    EXPECT_GT(held, 0u);
}

TEST(Placement, walks_nothing_again_for_an_osd_that_goes_down) {
    OsdMap map = small_cluster(8);
    Placer before = placer_of(map);
    CrushWorkspace work;
    PoolPlacement placement = before.place_pool(work, 1);
    map.osd_state[5] &= ~osd_up;
    Placer after = *before.prepare_next(std::make_shared<const OsdMap>(map));
    PoolPlacement updated = after.update_pool(work, before, placement, 1);
    EXPECT_EQ(updated.walked, 0u);
    EXPECT_LT(updated.derived, 64u);
    EXPECT_EQ(updated, after.place_pool(work, 1));
}

TEST(Placement, walks_no_pool_again_when_another_tree_changes) {
    OsdMap map = small_cluster(4);
    Placer before = placer_of(map);
    CrushWorkspace work;
    PoolPlacement placement = before.place_pool(work, 1);
    CrushMap crush = *map.crush;
    ASSERT_TRUE(
        insert_item(crush, 8, "osd.8", crush_weight_one, {{"root", "elsewhere"}, {"host", "far"}}));
    map.resize_osds(9);
    map.osd_state[8] = osd_exists | osd_up;
    map.osd_weight[8] = crush_weight_one;
    crush.max_devices = 9;
    map.set_crush(std::move(crush));
    Placer after = *before.prepare_next(std::make_shared<const OsdMap>(map));
    PoolPlacement updated = after.update_pool(work, before, placement, 1);
    EXPECT_EQ(updated.walked, 0u);
    EXPECT_EQ(updated, after.place_pool(work, 1));
}

TEST(Placement, of_a_pool_that_does_not_exist_is_empty) {
    PgSets sets = place(small_cluster(2), {9, 1});
    EXPECT_EQ(sets.acting.to_string(), "([], p-1)");
}

} // namespace
} // namespace cloudlet::rados
