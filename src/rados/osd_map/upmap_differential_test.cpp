// Exceptions that even out a map, and those that say nothing any more: against Ceph's osdmaptool.
#include "cloudlet/rados/crush_builder.h"
#include "cloudlet/rados/crush_edit.h"
#include "cloudlet/rados/placement.h"
#include "cloudlet/rados/upmap.h"
#include "crush/crush_random_map.h"
#include "osd_map_random.h"
#include "osdmaptool_oracle.h"

namespace cloudlet::rados {
namespace {

/// 6 hosts of two OSDs, 128 PGs with a copy in each of three hosts.
OsdMap uneven_cluster() {
    CrushLayer layers[] = {{"host", BucketAlg::straw2, 2}, {"root", BucketAlg::straw2, 0}};
    CrushMap crush = *build_crush_map(12, layers);
    OsdMap map;
    map.epoch = 1;
    map.resize_osds(12);
    for (auto& state : map.osd_state) state = osd_exists | osd_up;
    for (auto& weight : map.osd_weight) weight = crush_weight_one;
    map.pools[1].set_pg_num(128, 128);
    map.pool_names[1] = "data";
    map.set_crush(std::move(crush));
    return map;
}

uint32_t spread(const OsdMap& map) {
    CrushWorkspace work;
    Placer placer = *Placer::prepare(std::make_shared<const OsdMap>(map));
    PoolPlacement placement = placer.place_pool(work, 1);
    std::vector<uint32_t> counts(map.osd_state.size());
    for (uint32_t pg = 0; pg < placement.pg_num(); ++pg)
        for (int32_t osd : placement.up[pg]) ++counts[static_cast<size_t>(osd)];
    auto [least, most] = std::minmax_element(counts.begin(), counts.end());
    return *most - *least;
}

TEST_F(OsdmaptoolDifferential, evens_out_a_map_with_exceptions_that_ceph_keeps) {
    write("map", uneven_cluster());
    ASSERT_GT(spread(uneven_cluster()), 4u);
    ToolRun run = ours({path("map"), "--upmap", path("commands"), "--upmap-active",
                        "--upmap-deviation", "1", "--upmap-max", "100", "--save"});
    EXPECT_EQ(run.status, 0) << run.err;
    EXPECT_LE(spread(*decode_osd_map(*io::read_file(path("map")))), 2u);
    EXPECT_THAT(*io::read_file(path("commands")), testing::HasSubstr("ceph osd pg-upmap-items 1."));
    ToolRun ceph = theirs({path("map"), "--upmap-cleanup", "-"});
    EXPECT_EQ(ceph.out, "checking for upmap cleanups\n");
}

/// What is left of unevenness: how far the OSDs are from their share of all copies, in PGs.
struct Unevenness {
    double worst = 0;  // the most that one is above its share
    size_t broken = 0; // PGs with two copies in one host
    size_t exceptions = 0;
};

Unevenness unevenness_of(const OsdMap& map) {
    CrushWorkspace work;
    Placer placer = *Placer::prepare(std::make_shared<const OsdMap>(map));
    PoolPlacement placement = placer.place_pool(work, 1);
    std::map<int32_t, double> counts, weights;
    double total = 0;
    for (const auto& bucket : map.crush->buckets)
        for (size_t i = 0; bucket && i < bucket->items.size(); ++i)
            if (bucket->items[i] >= 0) total += weights[bucket->items[i]] = bucket->item_weight(i);
    Unevenness result{.exceptions = map.pg_upmap_items.size()};
    for (uint32_t pg = 0; pg < placement.pg_num(); ++pg) {
        std::set<int32_t> hosts;
        for (int32_t osd : placement.up[pg]) {
            ++counts[osd];
            result.broken += !hosts.insert(*map.crush->parent_of(osd)).second;
        }
    }
    const Pool& pool = map.pools.at(1);
    for (auto [osd, weight] : weights)
        result.worst =
            std::max(result.worst, counts[osd] - weight / total * pool.size * pool.pg_num);
    return result;
}

/// Hosts of 1 to 4 OSDs of unlike weights, all up and in.
OsdMap random_cluster(Random& random) {
    auto per_host = static_cast<uint32_t>(1 + random.below(4));
    auto hosts = static_cast<uint32_t>(2 + random.below(5));
    CrushLayer layers[] = {{"host", BucketAlg::straw2, per_host}, {"root", BucketAlg::straw2, 0}};
    CrushMap crush = *build_crush_map(hosts * per_host, layers);
    for (uint32_t osd = 0; osd < hosts * per_host; ++osd)
        if (random.chance(0.3)) {
            auto quarters = static_cast<uint32_t>(2 + random.below(5));
            EXPECT_TRUE(
                reweight_item(crush, static_cast<int32_t>(osd), quarters * crush_weight_one / 4));
        }
    OsdMap map;
    map.epoch = 1;
    map.resize_osds(static_cast<int32_t>(hosts * per_host));
    for (auto& state : map.osd_state) state = osd_exists | osd_up;
    for (auto& weight : map.osd_weight) weight = crush_weight_one;
    auto pgs = static_cast<uint32_t>(32 << random.below(4));
    map.pools[1].set_pg_num(pgs, pgs);
    map.pools[1].size = static_cast<uint8_t>(2 + random.below(2));
    map.pool_names[1] = "data";
    map.set_crush(std::move(crush));
    return map;
}

/// Ceph chooses at random among what helps, so that only the effect can be compared.
TEST_F(OsdmaptoolDifferential, evens_out_random_clusters_no_worse_than_ceph) {
    uint64_t seed = first_seed();
    for (uint64_t left = seeds_to_run(400) / 20; left > 0 && !HasFailure(); --left, ++seed) {
        SCOPED_TRACE(fmt::format("CLOUDLET_SEED={}", seed));
        Random random(seed);
        OsdMap map = random_cluster(random);
        write("ceph", map);
        write("cloudlet", map);
        for (const char* name : {"ceph", "cloudlet"}) {
            std::vector<std::string> line = {path(name),
                                             "--upmap",
                                             path("commands"),
                                             "--upmap-active",
                                             "--upmap-deviation",
                                             "1",
                                             "--upmap-max",
                                             "100",
                                             "--save"};
            ToolRun run = name == std::string_view("ceph") ? theirs(line) : ours(line);
            ASSERT_EQ(run.status, 0) << run.err;
        }
        Unevenness before = unevenness_of(map);
        Unevenness ceph = unevenness_of(*decode_osd_map(*io::read_file(path("ceph"))));
        Unevenness cloudlet = unevenness_of(*decode_osd_map(*io::read_file(path("cloudlet"))));
        EXPECT_EQ(cloudlet.broken, 0u);
        EXPECT_LE(cloudlet.worst, std::max(ceph.worst, 1.0) + 1e-9) << "before: " << before.worst;
        if (before.worst <= 0) {
            EXPECT_EQ(cloudlet.exceptions, ceph.exceptions);
        }
    }
}

TEST_F(OsdmaptoolDifferential, cleans_up_random_maps_as_ceph_does) {
    uint64_t seed = first_seed();
    for (uint64_t left = seeds_to_run(1000) / 10; left > 0 && !HasFailure(); --left, ++seed) {
        SCOPED_TRACE(fmt::format("CLOUDLET_SEED={}", seed));
        Random random(seed);
        write("map", random_osd_map(random));
        expect_same({path("map"), "--upmap-cleanup", "-"});
    }
}

TEST_F(OsdmaptoolDifferential, cleans_up_stale_exceptions_as_ceph_does) {
    OsdMap map = uneven_cluster();
    CrushWorkspace work;
    Placer placer = *Placer::prepare(std::make_shared<const OsdMap>(map));
    auto up = placer.place(work, {1, 3}).up.osds;
    auto spare = [&](std::vector<int32_t> taken) {
        int32_t osd = 0;
        while (std::ranges::any_of(taken, [&](int32_t t) { return t / 2 == osd / 2; })) ++osd;
        return osd;
    };
    map.pg_upmap_items[{1, 3}] = {{up[0], spare(up)}};          // stays
    map.pg_upmap_items[{1, 4}] = {{up[0] ^ 1, up[0] ^ 1}};      // changes nothing
    map.pg_upmap_items[{1, 900}] = {{0, 1}};                    // of no PG
    map.pg_upmap_items[{7, 1}] = {{0, 1}};                      // of no pool
    map.pg_upmap[{1, 5}] = placer.place(work, {1, 5}).raw.osds; // says what CRUSH says
    map.pg_upmap[{1, 6}] = {0, 1, 2};                           // two in one host
    write("map", map);
    expect_same({path("map"), "--upmap-cleanup", "-"});
}

} // namespace
} // namespace cloudlet::rados
