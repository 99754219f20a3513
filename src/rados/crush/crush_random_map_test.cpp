#include "crush_random_map.h"

#include <cstdlib>
#include <numeric>
#include <random>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/crush_builder.h"
#include "cloudlet/rados/crush_codec.h"
#include "cloudlet/rados/crush_edit.h"

namespace cloudlet::rados {

namespace {

constexpr std::array<BucketAlg, 5> all_algs = {BucketAlg::uniform, BucketAlg::list, BucketAlg::tree,
                                               BucketAlg::straw, BucketAlg::straw2};

uint32_t random_weight(Random& random) {
    switch (random.below(8)) {
    case 0: return 0;
    case 1: return 1; // 0.00001
    case 2: return static_cast<uint32_t>(1 + random.below(100));
    case 3: return crush_weight_one;
    case 4: return static_cast<uint32_t>(random.below(90 * crush_weight_one));
    default: return static_cast<uint32_t>(random.below(2 * crush_weight_one));
    }
}

class Maker {
public:
    explicit Maker(Random& random) : random_(random) {
        one_alg_ = random.chance(0.7);
        equal_weights_ = random.chance(0.3);
        alg_ = random.chance(0.4) ? BucketAlg::straw2 : all_algs[random.below(5)];
        // What most clusters have, and what is drawn fastest.
        ordinary_ = random.chance(0.3);
        if (ordinary_) {
            one_alg_ = true;
            alg_ = BucketAlg::straw2;
        }
    }

    CrushMap make() {
        make_tunables();
        int32_t devices = static_cast<int32_t>(1 + random_.below(random_.chance(0.3) ? 8 : 60));
        map_.max_devices = devices + static_cast<int32_t>(random_.below(3));
        devices_ = static_cast<uint64_t>(devices);
        map_.type_names[0] = "osd";
        for (int32_t i = 0; i < devices; ++i) {
            level_.push_back(i);
            weights_.push_back(equal_weights_ ? crush_weight_one : random_weight(random_));
            map_.item_names[i] = fmt::format("osd.{}", i);
        }
        size_t levels = 1 + random_.below(4);
        for (size_t type = 1; type <= levels; ++type)
            add_level(static_cast<uint16_t>(type), levels);
        root_ = level_[0];
        if (random_.chance(0.3)) add_classes();
        if (!ordinary_ && random_.chance(0.3)) add_choose_args();
        for (size_t i = 0; i < 4; ++i) add_random_rule();
        return std::move(map_);
    }

private:
    void make_tunables() {
        constexpr std::array<std::string_view, 5> names = {"legacy", "bobtail", "firefly", "hammer",
                                                           "jewel"};
        map_.tunables = *CrushTunables::profile(names[random_.below(5)]);
        map_.tunables.straw_calc_version = static_cast<uint8_t>(random_.below(2));
        if (ordinary_) map_.tunables = CrushTunables();
        if (ordinary_ || !random_.chance(0.3)) return;
        map_.tunables.choose_local_tries = static_cast<uint32_t>(random_.below(4));
        map_.tunables.choose_local_fallback_tries = static_cast<uint32_t>(random_.below(6));
        map_.tunables.choose_total_tries = static_cast<uint32_t>(random_.below(60));
        map_.tunables.chooseleaf_descend_once = static_cast<uint32_t>(random_.below(2));
        map_.tunables.chooseleaf_vary_r = static_cast<uint8_t>(random_.below(5));
        map_.tunables.chooseleaf_stable = static_cast<uint8_t>(random_.below(2));
    }

    void add_level(uint16_t type, size_t levels) {
        // Not "type1": crushtool's parser takes that for a definition of type 1.
        constexpr std::array<std::string_view, 5> names = {"osd", "host", "rack", "row", "root"};
        map_.type_names[type] = names[type];
        std::vector<int32_t> above;
        std::vector<uint32_t> above_weights;
        size_t most = 1 + random_.below(12);
        for (size_t first = 0; first < level_.size();) {
            size_t count = type == levels ? level_.size() : 1 + random_.below(most);
            count = std::min(count, level_.size() - first);
            auto alg = one_alg_ ? alg_ : all_algs[random_.below(5)];
            if (alg == BucketAlg::tree && count > 64) alg = BucketAlg::straw2;
            std::vector<uint32_t> weights(weights_.begin() + static_cast<ptrdiff_t>(first),
                                          weights_.begin() + static_cast<ptrdiff_t>(first + count));
            // Ceph reads past the end of a tree whose weights are all 0, and compiles no such
            // uniform.
            bool needs_weight = alg == BucketAlg::tree || alg == BucketAlg::uniform;
            if (needs_weight && weights[0] < 100) weights[0] = 100;
            auto bucket = make_bucket(alg, type, std::span(level_).subspan(first, count), weights,
                                      map_.tunables.straw_calc_version);
            check(bucket.has_value(), "a random bucket is refused");
            above_weights.push_back(bucket->weight);
            if (random_.chance(0.1)) bucket->id = random_id();
            above.push_back(*add_bucket(map_, std::move(*bucket)));
            map_.item_names[above.back()] = fmt::format("bucket{}", -above.back());
            first += count;
        }
        level_ = std::move(above);
        weights_ = std::move(above_weights);
    }

    int32_t random_id() {
        for (;;) {
            auto id = -1 - static_cast<int32_t>(random_.below(200));
            if (!map_.bucket(id)) return id;
        }
    }

    void add_classes() {
        int32_t classes[] = {class_id_for(map_, "ssd"), class_id_for(map_, "hdd")};
        for (int32_t device = 0; device < map_.max_devices; ++device) {
            if (random_.chance(0.9)) map_.item_classes[device] = classes[random_.below(2)];
        }
        check(rebuild_shadow_trees(map_).has_value(), "no shadow trees");
    }

    // Ceph looks at choose_args of straw2 buckets only.
    void add_choose_args() {
        int64_t pool = random_.chance(0.5) ? 0 : crush_default_choose_args;
        size_t positions = 1 + random_.below(3);
        auto& args = map_.choose_args[pool];
        for (const auto& bucket : map_.buckets) {
            if (!bucket || bucket->items.empty() || bucket->alg != BucketAlg::straw2) continue;
            if (random_.chance(0.4)) continue;
            CrushChooseArg arg;
            if (random_.chance(0.3)) {
                for (int32_t item : bucket->items) arg.ids.push_back(item - 1000);
            }
            if (arg.ids.empty() || random_.chance(0.8)) {
                for (size_t p = 0; p < positions; ++p) {
                    auto& weights = arg.weight_sets.emplace_back();
                    for (size_t i = 0; i < bucket->items.size(); ++i) {
                        weights.push_back(random_weight(random_));
                    }
                }
            }
            args[bucket->id] = std::move(arg);
        }
    }

    int32_t random_start() {
        if (random_.chance(0.6)) return root_;
        // A device with a name: crushtool's decompiler stops in the middle of a line at one
        // without.
        if (random_.chance(0.05)) {
            uint64_t named = std::min<uint64_t>(3, devices_);
            return static_cast<int32_t>(random_.below(named));
        }
        for (;;) {
            const auto& bucket = map_.buckets[random_.below(map_.buckets.size())];
            if (bucket) return bucket->id;
        }
    }

    int32_t random_type() {
        return static_cast<int32_t>(random_.below(map_.type_names.size() + (random_.chance(0.05))));
    }

    int32_t random_count() {
        constexpr std::array<int32_t, 8> counts = {0, 0, 0, 1, 2, 3, -1, 4};
        return counts[random_.below(counts.size())];
    }

    CrushStep random_choose() {
        constexpr std::array<RuleOp, 4> ops = {RuleOp::choose_firstn, RuleOp::choose_indep,
                                               RuleOp::chooseleaf_firstn, RuleOp::chooseleaf_indep};
        return {ops[random_.below(4)], random_count(), random_type()};
    }

    CrushStep random_setting() {
        auto op = static_cast<RuleOp>(8 + random_.below(6));
        bool tries = op == RuleOp::set_choose_tries || op == RuleOp::set_chooseleaf_tries;
        auto value = static_cast<int32_t>(random_.below(tries ? 100 : 4));
        return {op, random_.chance(0.05) ? -1 : value, 0};
    }

    void add_random_rule() {
        CrushRule rule;
        rule.ruleset = static_cast<uint8_t>(map_.rules.size());
        rule.type = random_.chance(0.5) ? 1 : 3;
        size_t parts = ordinary_ || random_.chance(0.8) ? 1 : 2;
        for (size_t part = 0; part < parts; ++part) {
            while (random_.chance(0.25)) rule.steps.push_back(random_setting());
            rule.steps.push_back({RuleOp::take, random_start(), 0});
            while (random_.chance(0.1)) rule.steps.push_back(random_setting());
            if (!ordinary_ && random_.chance(0.3)) rule.steps.push_back(random_choose());
            rule.steps.push_back(random_choose());
            if (ordinary_) rule.steps.back().op = RuleOp::chooseleaf_firstn;
            // A bucket in a result would corrupt crushtool's statistics.
            CrushStep& last = rule.steps.back();
            bool leaf = last.op == RuleOp::chooseleaf_firstn || last.op == RuleOp::chooseleaf_indep;
            if (!leaf) last.arg2 = 0;
            rule.steps.push_back({RuleOp::emit, 0, 0});
        }
        auto id = add_rule(map_, std::move(rule));
        map_.rule_names[*id] = fmt::format("rule{}", *id);
    }

    Random& random_;
    CrushMap map_;
    bool one_alg_, equal_weights_, ordinary_;
    BucketAlg alg_;
    std::vector<int32_t> level_;
    std::vector<uint32_t> weights_;
    uint64_t devices_ = 0;
    int32_t root_ = 0;
};

} // namespace

CrushMap random_crush_map(Random& random) { return Maker(random).make(); }

std::vector<uint32_t> random_reweights(Random& random, const CrushMap& map) {
    std::vector<uint32_t> reweights(static_cast<size_t>(map.max_devices), crush_weight_one);
    double out = random.chance(0.5) ? 0.05 : 0.4;
    for (uint32_t& weight : reweights) {
        if (random.chance(out)) weight = 0;
        if (random.chance(out)) weight = static_cast<uint32_t>(random.below(crush_weight_one));
    }
    return reweights;
}

namespace {

TEST(RandomCrushMap, is_valid_and_survives_its_bytes) {
    Random random(std::random_device{}());
    for (int i = 0; i < 200; ++i) {
        CrushMap map = random_crush_map(random);
        std::string bytes = encode_crush_map(map);
        auto again = decode_crush_map(bytes);
        ASSERT_TRUE(again) << again.error().to_string();
        EXPECT_EQ(*again, map);
        EXPECT_EQ(encode_crush_map(*again), bytes);
    }
}

} // namespace
} // namespace cloudlet::rados
