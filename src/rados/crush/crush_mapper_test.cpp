#include "cloudlet/rados/crush_mapper.h"

#include <numeric>

#include "cloudlet/rados/crush_builder.h"
#include "cloudlet/rados/crush_edit.h"
#include "crush_oracle.h"

namespace cloudlet::rados {
namespace {

using testing::ElementsAre;

CrushMap hosts_of(uint32_t devices, uint32_t size, BucketAlg alg = BucketAlg::straw2) {
    const CrushLayer layers[] = {{"host", alg, size}, {"root", alg, 0}};
    return *build_crush_map(devices, layers);
}

std::vector<uint32_t> all_in(uint32_t devices) {
    return std::vector<uint32_t>(devices, crush_weight_one);
}

int32_t add_pair(CrushMap& map, BucketAlg alg, uint16_t type, int32_t first, int32_t second,
                 uint32_t weight) {
    std::array<int32_t, 2> items = {first, second};
    std::array<uint32_t, 2> weights = {weight, weight};
    return *add_bucket(map, *make_bucket(alg, type, items, weights, 0));
}

// The cluster of Ceph's documentation, "placing different pools on different OSDs": hosts -1 and -2
// with SSDs, -3 and -4 with platters, roots -5 (platter) and -6 (ssd), tunables of its time.
CrushMap ssd_and_platter(BucketAlg alg) {
    CrushMap map;
    map.tunables = *CrushTunables::profile("legacy");
    map.max_devices = 8;
    for (int32_t device = 0; device < 8; device += 2) {
        add_pair(map, alg, 1, device, device + 1, crush_weight_one);
    }
    add_pair(map, alg, 2, -3, -4, 2 * crush_weight_one);
    add_pair(map, alg, 2, -1, -2, 2 * crush_weight_one);
    auto take = [&](int32_t root, int32_t count, std::vector<CrushStep> before = {}) {
        before.push_back({RuleOp::take, root, 0});
        before.push_back({RuleOp::chooseleaf_firstn, count, 1});
        before.push_back({RuleOp::emit, 0, 0});
        return before;
    };
    for (auto& steps : {take(-5, 0), take(-6, 0), take(-5, -1, take(-6, 1))}) {
        CrushRule rule;
        rule.steps = steps;
        EXPECT_TRUE(add_rule(map, rule));
    }
    return map;
}

TEST(CrushMapper, maps_the_documented_cluster_as_ceph_does) {
    using Mappings = std::vector<std::vector<int32_t>>;
    for (BucketAlg alg : {BucketAlg::straw, BucketAlg::straw2}) {
        auto mapper = *CrushMapper::prepare(ssd_and_platter(alg));
        CrushWorkspace work;
        auto in = all_in(8);
        auto first_four = [&](int32_t rule, int32_t count) {
            Mappings mappings;
            for (uint32_t x = 0; x < 4; ++x) {
                auto items = mapper.map(work, {rule, count, in}, x);
                mappings.emplace_back(items.begin(), items.end());
            }
            return mappings;
        };
        EXPECT_EQ(first_four(0, 2), (Mappings{{7, 5}, {7, 5}, {7, 4}, {7, 4}}));
        EXPECT_EQ(first_four(1, 2), (Mappings{{0, 3}, {0, 2}, {1, 3}, {0, 3}}));
        EXPECT_EQ(first_four(2, 5), (Mappings{{0, 7, 5}, {0, 7, 5}, {1, 7, 4}, {0, 7, 4}}));
    }
}

TEST(CrushMapper, maps_nothing_for_a_rule_that_does_not_exist) {
    auto mapper = *CrushMapper::prepare(hosts_of(4, 2));
    CrushWorkspace work;
    CrushResults results;
    auto in = all_in(4);
    CrushQuery query = {.rule = 7, .result_max = 3, .reweights = in};
    EXPECT_TRUE(mapper.map(work, query, 1).empty());
    std::vector<uint32_t> inputs = {1, 2};
    mapper.map_many(work, query, inputs, results);
    ASSERT_EQ(results.count(), 2u);
    EXPECT_TRUE(results[1].empty());
}

TEST(CrushMapper, gives_fewer_than_wanted_when_hosts_are_few_and_holes_for_indep) {
    CrushMap map = hosts_of(4, 2);
    auto indep =
        create_simple_rule(map, "ec", "root", "host", "", RuleMode::indep, RuleType::erasure);
    ASSERT_TRUE(indep);
    auto mapper = *CrushMapper::prepare(map);
    CrushWorkspace work;
    auto in = all_in(4);
    EXPECT_EQ(mapper.map(work, {.rule = 0, .result_max = 3, .reweights = in}, 5).size(), 2u);
    auto holes = mapper.map(work, {.rule = *indep, .result_max = 3, .reweights = in}, 5);
    ASSERT_EQ(holes.size(), 3u);
    EXPECT_EQ(std::count(holes.begin(), holes.end(), crush_item_none), 1);
}

TEST(CrushMapper, takes_devices_above_the_reweights_for_out) {
    auto mapper = *CrushMapper::prepare(hosts_of(4, 2));
    CrushWorkspace work;
    auto in = all_in(2);
    for (uint32_t x = 0; x < 100; ++x) {
        auto items = mapper.map(work, {.rule = 0, .result_max = 2, .reweights = in}, x);
        ASSERT_EQ(items.size(), 1u);
        EXPECT_LT(items[0], 2);
    }
}

TEST(CrushMapper, clamps_what_nobody_can_want) {
    auto mapper = *CrushMapper::prepare(hosts_of(4, 2));
    CrushWorkspace work;
    auto in = all_in(4);
    EXPECT_TRUE(mapper.map(work, {.rule = 0, .result_max = -5, .reweights = in}, 1).empty());
    EXPECT_EQ(mapper.map(work, {.rule = 0, .result_max = 1 << 30, .reweights = in}, 1).size(), 2u);
}

TEST(CrushMapper, serves_several_maps_with_one_workspace) {
    auto small = *CrushMapper::prepare(hosts_of(4, 2, BucketAlg::uniform));
    auto large = *CrushMapper::prepare(hosts_of(60, 3, BucketAlg::uniform));
    CrushWorkspace work;
    auto in = all_in(60);
    CrushQuery query = {.rule = 0, .result_max = 2, .reweights = in};
    for (uint32_t x = 0; x < 50; ++x) {
        CrushWorkspace fresh;
        auto alone = small.map(fresh, query, x);
        std::vector<int32_t> expected(alone.begin(), alone.end());
        large.map(work, query, x);
        EXPECT_THAT(small.map(work, query, x), testing::ElementsAreArray(expected));
    }
}

// A walk of a hostile rule ends: 2^31 tries for each of thousands of replicas.
TEST(CrushMapper, gives_up_in_bounded_time) {
    CrushMap map = hosts_of(4, 2);
    for (RuleOp op : {RuleOp::chooseleaf_firstn, RuleOp::chooseleaf_indep}) {
        CrushRule rule;
        rule.steps = {{RuleOp::set_choose_tries, 0x7fffffff, 0},
                      {RuleOp::set_chooseleaf_tries, 0x7fffffff, 0},
                      {RuleOp::take, map.roots()[0], 0},
                      {op, 0x7fffffff, 1},
                      {RuleOp::emit, 0, 0}};
        ASSERT_TRUE(add_rule(map, rule));
    }
    auto mapper = *CrushMapper::prepare(map);
    CrushWorkspace work;
    std::vector<uint32_t> out(4, 0);
    EXPECT_TRUE(mapper.map(work, {.rule = 1, .result_max = 4096, .reweights = out}, 1).empty());
    auto holes = mapper.map(work, {.rule = 2, .result_max = 4096, .reweights = out}, 1);
    EXPECT_EQ(std::count(holes.begin(), holes.end(), crush_item_none), 4096);
}

using MapperOracle = CrushOracle;

// "  0:     12345" lines.
std::vector<uint64_t> parse_tries(const std::string& text) {
    std::vector<uint64_t> tries;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        size_t number = 0;
        uint64_t count = 0;
        if (std::sscanf(line.c_str(), " %zu: %lu", &number, &count) == 2) tries.push_back(count);
    }
    return tries;
}

TEST_F(MapperOracle, counts_tries_as_crushtool_does) {
    for_random_maps(20, [&](Random&, CrushMap map) {
        map.rules.resize(1);
        write("map", encode_crush_map(map));
        auto theirs = parse_tries(crushtool({"-i", path("map"), "--test", "--show-choose-tries",
                                             "--num-rep", "3", "--min-x", "0", "--max-x", "499"}));
        auto mapper = *CrushMapper::prepare(map);
        CrushWorkspace work;
        work.count_tries();
        auto in = all_in(static_cast<uint32_t>(map.max_devices));
        CrushResults results;
        std::vector<uint32_t> inputs(500);
        std::iota(inputs.begin(), inputs.end(), 0);
        mapper.map_many(work, {.rule = 0, .result_max = 3, .reweights = in, .choose_args = 0},
                        inputs, results);
        std::vector<uint64_t> ours(work.tries().begin(), work.tries().end());
        // It keeps the last count, of exhausted indep steps, and does not print it.
        EXPECT_EQ(theirs.size(), map.tunables.choose_total_tries);
        ASSERT_EQ(ours.size(), theirs.size() + 1);
        ours.pop_back();
        EXPECT_EQ(ours, theirs);
    });
}

TEST_F(MapperOracle, builds_layered_maps_as_crushtool_does) {
    crushtool({"--build", "--num_osds", "17", "host", "straw2", "4", "rack", "list", "2", "root",
               "straw", "0", "-o", path("built")});
    const CrushLayer layers[] = {{"host", BucketAlg::straw2, 4},
                                 {"rack", BucketAlg::list, 2},
                                 {"root", BucketAlg::straw, 0}};
    auto ours = build_crush_map(17, layers);
    ASSERT_TRUE(ours) << ours.error().to_string();
    EXPECT_EQ(encode_crush_map(*ours), read("built"));
}

} // namespace
} // namespace cloudlet::rados
