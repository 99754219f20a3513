// Every mapping of random maps must equal that of Ceph's crushtool (Debian's ceph-base).
#include <charconv>
#include <numeric>

#include "cloudlet/rados/crush_builder.h"
#include "cloudlet/rados/crush_edit.h"
#include "cloudlet/rados/crush_mapper.h"
#include "crush_oracle.h"

namespace cloudlet::rados {
namespace {

using Mapping = std::vector<int32_t>;

using CrushDifferential = CrushOracle;

// "CRUSH rule 0 x 17 [1,2147483647,3]", in order of rule and x.
std::vector<Mapping> parse_mappings(std::string_view text) {
    std::vector<Mapping> mappings;
    while (!text.empty()) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        if (!line.starts_with("CRUSH rule")) continue;
        Mapping& mapping = mappings.emplace_back();
        line.remove_prefix(line.find('[') + 1);
        while (!line.empty() && line[0] != ']') {
            int32_t item = 0;
            auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), item);
            mapping.push_back(item);
            line.remove_prefix(static_cast<size_t>(end - line.data()));
            if (line.starts_with(',')) line.remove_prefix(1);
        }
    }
    return mappings;
}

constexpr uint32_t inputs_per_map = 128;

struct Case {
    CrushMap map;
    std::vector<uint32_t> reweights;
    int32_t result_max;
    uint32_t first_x;
};

Case random_case(uint64_t seed) {
    Random random(seed);
    Case made = {.map = random_crush_map(random),
                 .reweights = {},
                 .result_max = static_cast<int32_t>(1 + random.below(7)),
                 .first_x = static_cast<uint32_t>(random.below(1u << 30))};
    made.reweights = random_reweights(random, made.map);
    // crushtool takes a device that no bucket holds for out, and prints nothing when all are out.
    bool any = false;
    for (int32_t device = 0; device < made.map.max_devices; ++device) {
        uint32_t& weight = made.reweights[static_cast<size_t>(device)];
        bool present = made.map.parent_of(device).has_value();
        if (present && !any) weight |= 1;
        if (!present) weight = 0;
        any = any || present;
    }
    return made;
}

std::vector<std::string> test_arguments(const std::string& path, const Case& given) {
    std::vector<std::string> arguments = {
        "-i",        path,
        "--test",    "--show-mappings",
        "--num-rep", std::to_string(given.result_max),
        "--min-x",   std::to_string(given.first_x),
        "--max-x",   std::to_string(given.first_x + inputs_per_map - 1)};
    for (size_t i = 0; i < given.reweights.size(); ++i) {
        if (given.reweights[i] == crush_weight_one) continue;
        arguments.insert(arguments.end(), {"--weight", std::to_string(i),
                                           fmt::format("{:.9g}", given.reweights[i] / 65536.0)});
    }
    return arguments;
}

// 50,000, or what CLOUDLET_MAPPINGS says.
uint64_t mappings_to_compare() {
    const char* wanted = std::getenv("CLOUDLET_MAPPINGS");
    return wanted ? std::strtoull(wanted, nullptr, 10) : 50'000;
}

TEST_F(CrushDifferential, maps_as_crushtool_does) {
    uint64_t wanted = mappings_to_compare(), done = 0;
    uint64_t seed = first_seed();
    CrushWorkspace work;
    for (; done < wanted; ++seed) {
        SCOPED_TRACE(fmt::format("CLOUDLET_SEED={}", seed));
        Case given = random_case(seed);
        write("map", encode_crush_map(given.map));
        auto theirs = parse_mappings(crushtool(test_arguments(path("map"), given)));
        auto mapper = CrushMapper::prepare(given.map);
        ASSERT_TRUE(mapper) << mapper.error().to_string();
        std::vector<uint32_t> inputs(inputs_per_map);
        std::iota(inputs.begin(), inputs.end(), given.first_x);
        ASSERT_EQ(theirs.size(), given.map.rules.size() * inputs.size());
        CrushResults together;
        for (size_t rule = 0; rule < given.map.rules.size(); ++rule) {
            CrushQuery query = {static_cast<int32_t>(rule), given.result_max, given.reweights, 0};
            mapper->map_many(work, query, inputs, together);
            for (size_t i = 0; i < inputs.size(); ++i) {
                auto ours = mapper->map(work, query, inputs[i]);
                const Mapping& expected = theirs[rule * inputs.size() + i];
                ASSERT_THAT(ours, testing::ElementsAreArray(expected)) << rule << " " << inputs[i];
                ASSERT_THAT(together[i], testing::ElementsAreArray(expected))
                    << "together: " << rule << " " << inputs[i];
            }
            done += inputs.size();
        }
    }
}

constexpr uint64_t maps_to_rewrite = 60;

TEST_F(CrushDifferential, writes_what_crushtool_writes) {
    for_random_maps(maps_to_rewrite, [&](Random&, CrushMap map) {
        map.max_devices = last_device(map) + 1; // crushtool counts anew
        write("map", encode_crush_map(map));
        crushtool({"-i", path("map"), "--set-choose-total-tries",
                   std::to_string(map.tunables.choose_total_tries), "-o", path("again")});
        EXPECT_EQ(read("again"), read("map"));
    });
}

TEST_F(CrushDifferential, makes_the_shadow_trees_that_crushtool_makes) {
    for_random_maps(maps_to_rewrite, [&](Random& random, CrushMap map) {
        if (has_uniform_or_tree(map)) return;
        map.max_devices = last_device(map) + 1;
        for (int32_t device = 0; device < map.max_devices; ++device) {
            if (!random.chance(0.8)) continue;
            map.item_classes[device] = class_id_for(map, random.chance(0.5) ? "nvme" : "ssd");
        }
        write("map", encode_crush_map(map));
        crushtool({"-i", path("map"), "--rebuild-class-roots", "-o", path("again")});
        auto theirs = decode_crush_map(read("again"));
        ASSERT_TRUE(theirs) << theirs.error().to_string();
        ASSERT_TRUE(rebuild_shadow_trees(map));
        EXPECT_EQ(encode_crush_map(*theirs), encode_crush_map(map));
    });
}

TEST_F(CrushDifferential, builds_buckets_as_crushtool_compiles_them) {
    for_random_maps(maps_to_rewrite, [&](Random&, CrushMap map) {
        // Buckets are the point here; not all that a binary map may hold compiles again.
        map.rules.clear();
        map.rule_names.clear();
        map.choose_args.clear();
        write("map", encode_crush_map(map));
        crushtool({"-d", path("map"), "-o", path("text")});
        crushtool({"-c", path("text"), "--enable-unsafe-tunables", "-o", path("compiled")});
        auto compiled = decode_crush_map(read("compiled"));
        ASSERT_TRUE(compiled) << compiled.error().to_string();
        EXPECT_EQ(encode_crush_map(*compiled), read("compiled"));
        for (const auto& bucket : compiled->buckets) {
            if (!bucket) continue;
            std::vector<uint32_t> weights;
            for (size_t i = 0; i < bucket->items.size(); ++i) {
                weights.push_back(bucket->item_weight(i));
            }
            auto ours = make_bucket(bucket->alg, bucket->type, bucket->items, weights,
                                    compiled->tunables.straw_calc_version);
            ASSERT_TRUE(ours) << ours.error().to_string();
            ours->id = bucket->id;
            EXPECT_EQ(*ours, *bucket) << name_of(bucket->alg) << " " << bucket->id;
        }
    });
}

} // namespace
} // namespace cloudlet::rados
