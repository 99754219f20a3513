#include "cloudlet/rados/crush_edit.h"

#include <fmt/ranges.h>

#include "cloudlet/rados/crush_builder.h"
#include "crush_oracle.h"

namespace cloudlet::rados {
namespace {

CrushMap small_map() {
    const CrushLayer layers[] = {{"host", BucketAlg::straw2, 2}, {"root", BucketAlg::straw2, 0}};
    return *build_crush_map(4, layers);
}

uint32_t weight_of(const CrushMap& map, std::string_view bucket) {
    return map.bucket(*map.item_of(bucket))->weight;
}

TEST(CrushEdit, puts_a_new_device_into_new_buckets_and_weighs_all_above) {
    CrushMap map = small_map();
    auto done =
        insert_item(map, 4, "osd.4", 2 * crush_weight_one, {{"host", "host9"}, {"root", "root"}});
    ASSERT_TRUE(done) << done.error().to_string();
    EXPECT_EQ(map.max_devices, 5);
    EXPECT_EQ(weight_of(map, "host9"), 2 * crush_weight_one);
    EXPECT_EQ(weight_of(map, "root"), 6 * crush_weight_one);
    EXPECT_TRUE(check_crush_map(map));
}

TEST(CrushEdit, says_what_is_wrong_and_leaves_the_map_alone) {
    CrushMap map = small_map();
    const CrushMap before = map;
    auto place = CrushLocation{{"host", "host0"}};
    EXPECT_EQ(insert_item(map, 4, "osd 4", 1, place).error().code, Code::invalid);
    EXPECT_EQ(insert_item(map, 4, "osd.3", 1, place).error().code, Code::already_exists);
    EXPECT_EQ(insert_item(map, 4, "osd.4", 1, {{"rack", "a"}}).error().code, Code::invalid);
    EXPECT_EQ(insert_item(map, 0, "osd.0", 1, place).error().code, Code::already_exists);
    EXPECT_EQ(move_item(map, "root", place).error().code, Code::invalid);
    EXPECT_EQ(move_item(map, "nobody", place).error().code, Code::not_found);
    EXPECT_EQ(remove_item(map, *map.item_of("host0")).error().code, Code::conflict);
    EXPECT_EQ(remove_item(map, 77).error().code, Code::not_found);
    EXPECT_EQ(reweight_item(map, 77, 1).error().code, Code::not_found);
    EXPECT_EQ(reweight_item(map, 0, 0xffffffff).error().code, Code::invalid);
    EXPECT_EQ(insert_bucket(map, "r1", "rack", {}).error().code, Code::not_found);
    EXPECT_EQ(set_device_class(map, -1, "ssd").error().code, Code::not_found);
    EXPECT_EQ(set_device_class(map, 0, "s s d").error().code, Code::invalid);
    EXPECT_EQ(map, before);
}

TEST(CrushEdit, removes_a_subtree_unless_a_rule_starts_there) {
    CrushMap map = small_map();
    EXPECT_EQ(remove_subtree(map, *map.item_of("root")).error().code, Code::conflict);
    ASSERT_TRUE(remove_subtree(map, *map.item_of("host0")));
    EXPECT_FALSE(map.item_of("host0"));
    EXPECT_EQ(weight_of(map, "root"), 2 * crush_weight_one);
    EXPECT_TRUE(map.item_of("osd.0"));
}

TEST(CrushEdit, keeps_the_ids_of_shadow_trees_when_devices_come_and_go) {
    CrushMap map = small_map();
    ASSERT_TRUE(set_device_class(map, 0, "ssd"));
    ASSERT_TRUE(set_device_class(map, 1, "hdd"));
    auto ids = map.class_buckets;
    ASSERT_TRUE(
        insert_item(map, 4, "osd.4", crush_weight_one, {{"host", "host7"}, {"root", "root"}}));
    ASSERT_TRUE(set_device_class(map, 4, "ssd"));
    for (const auto& [bucket, shadows] : ids) EXPECT_EQ(map.class_buckets[bucket], shadows);
    EXPECT_EQ(map.devices_below(*map.item_of("root~ssd")), (std::vector<int32_t>{0, 4}));
    ASSERT_TRUE(remove_device_class(map, 1));
    EXPECT_FALSE(map.class_of("hdd"));
    EXPECT_FALSE(map.item_of("root~hdd"));
}

TEST(CrushEdit, refuses_a_tree_that_holds_a_copy_of_another_and_leaves_the_map_alone) {
    CrushMap map = small_map();
    ASSERT_TRUE(set_device_class(map, 0, "ssd"));
    CrushBucket* root = map.bucket(*map.item_of("root"));
    ASSERT_TRUE(append_item(*root, *map.item_of("host0~ssd"), crush_weight_one, 1));
    CrushMap before = map;
    auto rebuilt = rebuild_shadow_trees(map);
    ASSERT_FALSE(rebuilt);
    EXPECT_THAT(rebuilt.error().message, testing::HasSubstr("a copy made for a device class"));
    EXPECT_EQ(map, before);
}

TEST(CrushEdit, keeps_a_tree_sound_when_items_leave_its_middle) {
    std::vector<int32_t> items = {0, 1, 2, 3, 4};
    std::vector<uint32_t> weights(5, crush_weight_one);
    auto bucket = *make_bucket(BucketAlg::tree, 1, items, weights, 1);
    ASSERT_TRUE(erase_item(bucket, 2, 1));
    EXPECT_EQ(bucket.items, (std::vector<int32_t>{0, 1, 0, 3, 4}));
    EXPECT_EQ(bucket.weight, 4 * crush_weight_one);
    ASSERT_TRUE(erase_item(bucket, 4, 1));
    EXPECT_EQ(bucket.items.size(), 4u);
    EXPECT_EQ(bucket.derived.size(), tree_node_count(4));
    EXPECT_EQ(bucket.derived[4], 3 * crush_weight_one); // the root of four leaves
}

// --- each change as crushtool makes it ---

// What crushtool 16.2 makes of a partial set of choose_args: every bucket gets weight sets, and a
// host weighs in the root's what its own sums to.
TEST(CrushEdit, completes_weight_sets_with_every_change_of_weight) {
    CrushMap map = small_map();
    int32_t host = *map.item_of("host0");
    map.choose_args[0][host].weight_sets = {{100, 200}, {300, 400}};
    ASSERT_TRUE(reweight_item(map, 0, crush_weight_one));
    auto& args = map.choose_args[0];
    using Sets = std::vector<std::vector<uint32_t>>;
    constexpr uint32_t one = crush_weight_one;
    EXPECT_EQ(args[host].weight_sets, (Sets{{one, 200}, {one, 400}}));
    EXPECT_EQ(args[*map.item_of("host1")].weight_sets, (Sets{{one, one}, {one, one}}));
    EXPECT_EQ(args[*map.item_of("root")].weight_sets,
              (Sets{{one + 200, 2 * one}, {one + 400, 2 * one}}));
}

class EditDifferential : public CrushOracle {
protected:
    // Random maps that crushtool changes soundly: with choose_args it may crash.
    template <typename Change>
    void compare(Change change) {
        constexpr size_t wanted = 40;
        size_t compared = 0;
        for_random_maps(2000, [&](Random& random, CrushMap map) {
            if (compared == wanted || has_uniform_or_tree(map)) return;
            map.max_devices = last_device(map) + 1;
            write("map", encode_crush_map(map));
            auto arguments = change(random, map);
            if (arguments.empty()) return;
            arguments.insert(arguments.begin(), {"-i", path("map"), "-o", path("changed")});
            map.max_devices = last_device(map) + 1; // crushtool counts anew
            auto output = try_crushtool(arguments);
            // It writes behind the end of some memory, and then crashes or waits for ever.
            if (!output || output->exit_status.signal != 0) return;
            EXPECT_TRUE(output->exit_status.ok())
                << fmt::format("{}", fmt::join(arguments, " ")) << "\n"
                << output->err.substr(0, 400);
            auto theirs = decode_crush_map(read("changed"));
            ASSERT_TRUE(theirs) << theirs.error().to_string();
            EXPECT_EQ(encode_crush_map(*theirs), encode_crush_map(map))
                << fmt::format("{}", fmt::join(arguments, " ")) << different_sets(*theirs, map);
            ++compared;
        });
        EXPECT_EQ(compared, wanted);
    }

    // Only sets that are not equal, so that a failure can be read.
    static std::string different_sets(const CrushMap& theirs, const CrushMap& ours) {
        std::string text;
        for (const auto& bucket : ours.buckets) {
            if (!bucket) continue;
            for (const auto& [pool, args] : ours.choose_args) {
                auto sets = [&](const CrushMap& map) {
                    const auto& there = map.choose_args.at(pool);
                    auto found = there.find(bucket->id);
                    return found == there.end()
                               ? "none"
                               : fmt::format("{}", fmt::join(found->second.weight_sets, " "));
                };
                if (sets(theirs) == sets(ours)) continue;
                text += fmt::format("\n{} in {}: theirs {}, ours {}, items {}",
                                    ours.item_name(bucket->id), pool, sets(theirs), sets(ours),
                                    fmt::join(bucket->items, " "));
            }
        }
        return text;
    }

    static CrushLocation random_location(Random& random, const CrushMap& map) {
        for (;;) {
            auto device = static_cast<int32_t>(random.below(uint64_t(map.max_devices)));
            if (auto location = map.location_of(device); !location.empty()) return location;
        }
    }

    static void add_location(std::vector<std::string>& arguments, const CrushLocation& location) {
        for (const auto& [type, name] : location) {
            arguments.insert(arguments.end(), {"--loc", type, name});
        }
    }
};

TEST_F(EditDifferential, drains_a_uniform_bucket_that_loses_an_item) {
    const CrushLayer layers[] = {{"host", BucketAlg::uniform, 3}, {"root", BucketAlg::straw2, 0}};
    CrushMap map = *build_crush_map(6, layers);
    write("map", encode_crush_map(map));
    crushtool({"-i", path("map"), "-o", path("changed"), "--remove-item", "osd.1"});
    ASSERT_TRUE(remove_item(map, 1));
    EXPECT_EQ(weight_of(map, "host0"), 0u);
    EXPECT_EQ(weight_of(map, "root"), 3 * crush_weight_one);
    EXPECT_EQ(read("changed"), encode_crush_map(map));
}

// The copies for classes are made when the item leaves its place, before new buckets take ids.
TEST_F(EditDifferential, moves_an_item_in_a_map_whose_classes_have_no_shadow_trees) {
    CrushMap map = small_map();
    map.item_classes[0] = class_id_for(map, "ssd");
    write("map", encode_crush_map(map));
    crushtool({"-i", path("map"), "-o", path("changed"), "--update-item", "0", "2", "osd.0",
               "--loc", "host", "fresh", "--loc", "root", "root"});
    ASSERT_TRUE(
        update_item(map, 0, "osd.0", 2 * crush_weight_one, {{"host", "fresh"}, {"root", "root"}}));
    EXPECT_EQ(read("changed"), encode_crush_map(map));
}

TEST_F(EditDifferential, adds_an_item) {
    compare([](Random& random, CrushMap& map) {
        auto location = random_location(random, map);
        if (random.chance(0.5)) location[0].second = "new-one";
        auto weight = static_cast<uint32_t>(random.below(100)) * 6554;
        std::string text = fmt::format("{:.9g}", crush_weight_to_float(weight));
        int32_t device = map.max_devices + static_cast<int32_t>(random.below(3));
        auto done = insert_item(map, device, "fresh", weight, location);
        EXPECT_TRUE(done) << done.error().to_string();
        std::vector<std::string> arguments = {"--add-item", std::to_string(device), text, "fresh"};
        add_location(arguments, location);
        return arguments;
    });
}

TEST_F(EditDifferential, moves_and_reweights_an_item) {
    compare([](Random& random, CrushMap& map) {
        auto location = random_location(random, map);
        auto device = static_cast<int32_t>(random.below(uint64_t(map.max_devices)));
        std::string name = map.item_name(device);
        auto done = update_item(map, device, name, 3 * crush_weight_one, location);
        EXPECT_TRUE(done) << done.error().to_string();
        std::vector<std::string> arguments = {"--update-item", std::to_string(device), "3", name};
        add_location(arguments, location);
        return arguments;
    });
}

TEST_F(EditDifferential, removes_an_item) {
    compare([](Random& random, CrushMap& map) -> std::vector<std::string> {
        auto device = static_cast<int32_t>(random.below(uint64_t(map.max_devices)));
        std::string name = map.item_name(device);
        auto done = remove_item(map, device);
        EXPECT_TRUE(done) << done.error().to_string();
        return {"--remove-item", name};
    });
}

TEST_F(EditDifferential, reweights_an_item) {
    compare([](Random& random, CrushMap& map) -> std::vector<std::string> {
        auto device = static_cast<int32_t>(random.below(uint64_t(map.max_devices)));
        auto done = reweight_item(map, device, crush_weight_one / 4);
        EXPECT_TRUE(done) << done.error().to_string();
        return {"--reweight-item", map.item_name(device), "0.25"};
    });
}

TEST_F(EditDifferential, reweights_everything) {
    compare([](Random&, CrushMap& map) -> std::vector<std::string> {
        EXPECT_TRUE(reweight_all(map));
        return {"--reweight"};
    });
}

TEST_F(EditDifferential, adds_a_bucket) {
    compare([](Random& random, CrushMap& map) {
        auto location = random_location(random, map);
        std::vector<std::string> arguments = {"--add-bucket", "fresh", location[0].first};
        location.erase(location.begin());
        if (random.chance(0.3)) location.clear();
        auto done = insert_bucket(map, "fresh", arguments[2], location);
        EXPECT_TRUE(done) << done.error().to_string();
        add_location(arguments, location);
        return arguments;
    });
}

TEST_F(EditDifferential, moves_a_bucket) {
    compare([](Random& random, CrushMap& map) -> std::vector<std::string> {
        auto location = random_location(random, map);
        if (location.size() < 3) return {};
        std::string name = location[0].second;
        location = random_location(random, map);
        location.erase(location.begin());
        if (location == map.location_of(*map.item_of(name))) return {}; // nothing to write
        auto done = move_item(map, name, location);
        EXPECT_TRUE(done) << done.error().to_string();
        std::vector<std::string> arguments = {"--move", name};
        add_location(arguments, location);
        return arguments;
    });
}

TEST_F(EditDifferential, makes_and_removes_rules) {
    compare([](Random& random, CrushMap& map) -> std::vector<std::string> {
        if (random.chance(0.3)) {
            EXPECT_TRUE(remove_rule(map, "rule2"));
            return {"--remove-rule", "rule2"};
        }
        auto location = random_location(random, map);
        const auto& [type, root] = location.back();
        std::string domain = random.chance(0.2) ? "osd" : location.front().first;
        if (random.chance(0.5)) {
            std::string device_class = map.class_names.empty() ? "" : "ssd";
            auto id = create_simple_rule(map, "fresh", root, domain, device_class, RuleMode::firstn,
                                         RuleType::replicated);
            if (!id) return {};
            std::vector<std::string> arguments = {"--create-replicated-rule", "fresh", root,
                                                  domain};
            if (!device_class.empty()) {
                arguments.insert(arguments.end(), {"--device-class", device_class});
            }
            return arguments;
        }
        bool firstn = random.chance(0.5);
        auto id =
            create_simple_rule(map, "fresh", root, domain, "",
                               firstn ? RuleMode::firstn : RuleMode::indep, RuleType::replicated);
        EXPECT_TRUE(id) << id.error().to_string();
        return {"--create-simple-rule", "fresh", root, domain, firstn ? "firstn" : "indep"};
    });
}

} // namespace
} // namespace cloudlet::rados
