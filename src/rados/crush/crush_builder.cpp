#include "cloudlet/rados/crush_builder.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "cloudlet/rados/crush_codec.h"
#include "crush_straw.h"

namespace cloudlet::rados {

namespace {

constexpr size_t max_tree_items = 64; // the format counts a tree's nodes in one byte

size_t tree_depth(size_t leaves) {
    return leaves == 0 ? 0 : static_cast<size_t>(std::bit_width(leaves - 1)) + 1;
}

size_t tree_parent(size_t node) {
    size_t height = static_cast<size_t>(std::countr_zero(node));
    bool on_right = (node >> (height + 1)) & 1;
    size_t step = size_t{1} << height;
    return on_right ? node - step : node + step;
}

// Adds to a leaf and all nodes above it, modulo 2^32 like the sums themselves.
void add_to_tree(CrushBucket& bucket, size_t index, uint32_t difference) {
    size_t node = tree_leaf(index);
    bucket.derived[node] += difference;
    for (size_t level = 1; level < tree_depth(bucket.items.size()); ++level) {
        node = tree_parent(node);
        bucket.derived[node] += difference;
    }
}

void rebuild_list(CrushBucket& bucket) {
    bucket.derived.resize(bucket.weights.size());
    std::partial_sum(bucket.weights.begin(), bucket.weights.end(), bucket.derived.begin());
}

Result<void> check_sum(const CrushBucket& bucket, uint32_t removed, uint32_t added) {
    uint64_t sum = uint64_t{bucket.weight} - removed + added;
    if (sum <= std::numeric_limits<uint32_t>::max()) return {};
    return fail(Code::invalid, fmt::format("the weights of bucket {} sum to {}; at most 65535 fit",
                                           bucket.id, sum / crush_weight_one));
}

Result<void> check_tree_size(size_t items) {
    if (items <= max_tree_items) return {};
    return fail(Code::invalid, fmt::format("a tree bucket of {} items; at most {} fit, use straw2",
                                           items, max_tree_items));
}

} // namespace

size_t tree_node_count(size_t leaves) { return leaves == 0 ? 0 : size_t{1} << tree_depth(leaves); }

Result<CrushBucket> make_bucket(BucketAlg alg, uint16_t type, std::span<const int32_t> items,
                                std::span<const uint32_t> weights, uint8_t straw_calc_version) {
    CrushBucket bucket;
    bucket.alg = alg;
    bucket.type = type;
    if (alg == BucketAlg::uniform && !weights.empty()) bucket.uniform_weight = weights[0];
    uint64_t sum = 0;
    for (size_t i = 0; i < items.size(); ++i) {
        sum += alg == BucketAlg::uniform ? bucket.uniform_weight : weights[i];
    }
    if (sum > std::numeric_limits<uint32_t>::max()) {
        return fail(Code::invalid, fmt::format("weights that sum to {}; at most 65535 fit a bucket",
                                               sum / crush_weight_one));
    }
    bucket.weight = static_cast<uint32_t>(sum);
    bucket.items.assign(items.begin(), items.end());
    if (alg == BucketAlg::uniform) return bucket;
    if (alg == BucketAlg::tree) {
        TRY(check_tree_size(items.size()));
        bucket.derived.resize(tree_node_count(items.size()));
        for (size_t i = 0; i < items.size(); ++i) add_to_tree(bucket, i, weights[i]);
        return bucket;
    }
    bucket.weights.assign(weights.begin(), weights.end());
    if (alg == BucketAlg::list) rebuild_list(bucket);
    if (alg == BucketAlg::straw)
        bucket.derived = compute_straws(bucket.weights, straw_calc_version);
    return bucket;
}

Result<int32_t> add_bucket(CrushMap& map, CrushBucket bucket) {
    size_t slot = static_cast<size_t>(-1 - int64_t{bucket.id});
    if (bucket.id == 0) {
        auto free = std::find(map.buckets.begin(), map.buckets.end(), std::nullopt);
        slot = static_cast<size_t>(free - map.buckets.begin());
    } else if (bucket.id > 0) {
        return fail(Code::invalid, fmt::format("bucket id {} is not negative", bucket.id));
    }
    if (slot >= crush_max_buckets) {
        return fail(Code::too_large,
                    fmt::format("bucket id {} is below -{}; choose ids from -1 down", bucket.id,
                                crush_max_buckets));
    }
    if (slot >= map.buckets.size()) {
        size_t slots = map.buckets.empty() ? 8 : map.buckets.size();
        while (slot >= slots) slots *= 2;
        map.buckets.resize(slots);
    }
    if (map.buckets[slot]) {
        return fail(Code::already_exists,
                    fmt::format("bucket id {} is taken; choose another or remove it", bucket.id));
    }
    int32_t id = -1 - static_cast<int32_t>(slot);
    bucket.id = id;
    map.buckets[slot] = std::move(bucket);
    return id;
}

Result<int32_t> add_rule(CrushMap& map, CrushRule rule, int32_t id) {
    size_t slot = static_cast<size_t>(id);
    if (id < 0) {
        auto free = std::find(map.rules.begin(), map.rules.end(), std::nullopt);
        slot = static_cast<size_t>(free - map.rules.begin());
    }
    if (slot >= crush_max_rules) {
        return fail(Code::too_large,
                    fmt::format("rule id {} is too large; a map has at most {} rules", slot,
                                crush_max_rules));
    }
    if (slot >= map.rules.size()) map.rules.resize(slot + 1);
    if (map.rules[slot]) {
        return fail(Code::already_exists,
                    fmt::format("rule id {} is taken; choose another or remove it", slot));
    }
    map.rules[slot] = std::move(rule);
    return static_cast<int32_t>(slot);
}

Result<void> append_item(CrushBucket& bucket, int32_t item, uint32_t weight,
                         uint8_t straw_calc_version) {
    TRY(check_sum(bucket, 0, weight));
    if (bucket.alg == BucketAlg::uniform) {
        if (bucket.items.empty()) bucket.uniform_weight = weight;
        if (bucket.uniform_weight != weight) {
            return fail(
                Code::invalid,
                fmt::format("uniform bucket {} has items of weight {}, not {}; give the item "
                            "that weight or change the bucket's algorithm",
                            bucket.id, bucket.uniform_weight, weight));
        }
    }
    if (bucket.alg == BucketAlg::tree) {
        TRY(check_tree_size(bucket.items.size() + 1));
        size_t old_nodes = bucket.derived.size();
        bucket.items.push_back(item);
        bucket.derived.resize(tree_node_count(bucket.items.size()));
        // A level more: the new root starts with what the old one, now its left child, holds.
        if (old_nodes != 0 && bucket.derived.size() > old_nodes) {
            bucket.derived[bucket.derived.size() / 2] = bucket.derived[old_nodes / 2];
        }
        add_to_tree(bucket, bucket.items.size() - 1, weight);
    } else {
        bucket.items.push_back(item);
    }
    bucket.weight += weight;
    if (bucket.alg == BucketAlg::uniform || bucket.alg == BucketAlg::tree) return {};
    bucket.weights.push_back(weight);
    if (bucket.alg == BucketAlg::list) rebuild_list(bucket);
    if (bucket.alg == BucketAlg::straw) {
        bucket.derived = compute_straws(bucket.weights, straw_calc_version);
    }
    return {};
}

namespace {

// A tree keeps its shape: the leaf becomes item 0 of weight 0, and only empty leaves at the end go.
void erase_from_tree(CrushBucket& bucket, size_t index) {
    uint32_t weight = bucket.item_weight(index);
    bucket.items[index] = 0;
    add_to_tree(bucket, index, 0u - weight);
    bucket.weight -= weight;
    size_t left = bucket.items.size();
    while (left > 0 && bucket.derived[tree_leaf(left - 1)] == 0) --left;
    bucket.items.resize(left);
    bucket.derived.resize(tree_node_count(left));
}

} // namespace

Result<void> erase_item(CrushBucket& bucket, int32_t item, uint8_t straw_calc_version) {
    auto index = bucket.find(item);
    if (!index) {
        return fail(Code::not_found,
                    fmt::format("bucket {} does not hold item {}", bucket.id, item));
    }
    if (bucket.alg == BucketAlg::tree) {
        erase_from_tree(bucket, *index);
        return {};
    }
    bucket.weight -= std::min(bucket.weight, bucket.item_weight(*index));
    bucket.items.erase(bucket.items.begin() + static_cast<std::ptrdiff_t>(*index));
    if (bucket.alg == BucketAlg::uniform) return {};
    bucket.weights.erase(bucket.weights.begin() + static_cast<std::ptrdiff_t>(*index));
    if (bucket.alg == BucketAlg::list) rebuild_list(bucket);
    if (bucket.alg == BucketAlg::straw) {
        bucket.derived = compute_straws(bucket.weights, straw_calc_version);
    }
    return {};
}

Result<void> set_item_weight(CrushBucket& bucket, int32_t item, uint32_t weight,
                             uint8_t straw_calc_version) {
    auto index = bucket.find(item);
    if (!index) {
        return fail(Code::not_found,
                    fmt::format("bucket {} does not hold item {}", bucket.id, item));
    }
    if (bucket.alg == BucketAlg::uniform) {
        uint64_t sum = uint64_t{weight} * bucket.items.size();
        if (sum > std::numeric_limits<uint32_t>::max()) {
            return fail(Code::invalid, fmt::format("{} items of weight {} do not fit bucket {}",
                                                   bucket.items.size(), weight, bucket.id));
        }
        bucket.uniform_weight = weight;
        bucket.weight = static_cast<uint32_t>(sum);
        return {};
    }
    uint32_t old = bucket.item_weight(*index);
    TRY(check_sum(bucket, old, weight));
    bucket.weight += weight - old;
    if (bucket.alg == BucketAlg::tree) {
        add_to_tree(bucket, *index, weight - old);
        return {};
    }
    bucket.weights[*index] = weight;
    if (bucket.alg == BucketAlg::list) rebuild_list(bucket);
    if (bucket.alg == BucketAlg::straw) {
        bucket.derived = compute_straws(bucket.weights, straw_calc_version);
    }
    return {};
}

namespace {

struct Layered {
    std::vector<int32_t> items;
    std::vector<uint32_t> weights;
};

Result<Layered> add_layer(CrushMap& map, uint16_t type, const CrushLayer& layer, Layered below) {
    Layered above;
    size_t group = layer.size == 0 ? below.items.size() : layer.size;
    for (size_t first = 0; first < below.items.size(); first += group) {
        size_t count = std::min(group, below.items.size() - first);
        auto bucket = TRY(make_bucket(layer.alg, type, std::span(below.items).subspan(first, count),
                                      std::span(below.weights).subspan(first, count),
                                      map.tunables.straw_calc_version));
        above.weights.push_back(bucket.weight);
        int32_t id = TRY(add_bucket(map, std::move(bucket)));
        map.item_names[id] = layer.size == 0
                                 ? layer.type_name
                                 : fmt::format("{}{}", layer.type_name, above.items.size());
        above.items.push_back(id);
    }
    return above;
}

} // namespace

Result<CrushMap> build_crush_map(uint32_t devices, std::span<const CrushLayer> layers,
                                 const CrushTunables& tunables) {
    if (devices == 0 || layers.empty()) {
        return fail(Code::invalid, "a layered map needs devices and at least one layer, like "
                                   "\"host straw2 2 root straw2 0\"");
    }
    CrushMap map;
    map.tunables = tunables;
    map.max_devices = static_cast<int32_t>(devices);
    map.type_names[0] = "osd";
    Layered level;
    for (uint32_t i = 0; i < devices; ++i) {
        level.items.push_back(static_cast<int32_t>(i));
        level.weights.push_back(crush_weight_one);
        map.item_names[static_cast<int32_t>(i)] = fmt::format("osd.{}", i);
    }
    uint16_t type = 0;
    for (const CrushLayer& layer : layers) {
        map.type_names[++type] = layer.type_name;
        level = TRY(add_layer(map, type, layer, std::move(level)));
    }
    if (level.items.size() != 1) return map;
    CrushRule rule;
    int32_t domain = layers.size() > 1 ? 1 : 0;
    rule.steps = {{RuleOp::take, level.items[0], 0},
                  {domain == 0 ? RuleOp::choose_firstn : RuleOp::chooseleaf_firstn, 0, domain},
                  {RuleOp::emit, 0, 0}};
    int32_t id = TRY(add_rule(map, std::move(rule)));
    map.rule_names[id] = "replicated_rule";
    return map;
}

} // namespace cloudlet::rados
