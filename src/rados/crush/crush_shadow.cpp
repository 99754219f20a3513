// Shadow trees: for each device class a copy of every tree that holds its devices alone. Rules that
// take "default~ssd" walk the copy.
#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "cloudlet/rados/crush_builder.h"
#include "cloudlet/rados/crush_edit.h"
#include "crush_tree_weights.h"

namespace cloudlet::rados {

namespace {

using Shadows = std::map<int32_t, std::map<int32_t, int32_t>>;

class ShadowMaker {
public:
    ShadowMaker(CrushMap& map, Shadows old) : map_(map), old_(std::move(old)) {
        for (const auto& [bucket, shadows] : old_) {
            for (const auto& [device_class, id] : shadows) old_ids_.insert(id);
        }
    }

    // Gives the id of the copy of `original` for a class; children are copied before their parents.
    Result<int32_t> copy(int32_t original, int32_t device_class) {
        auto& made = map_.class_buckets[original];
        if (auto found = made.find(device_class); found != made.end()) return found->second;
        const CrushBucket source = *map_.bucket(original);
        CrushBucket shadow = TRY(make_bucket(source.alg, source.type, {}, {}, straw_version()));
        shadow.hash = source.hash;
        std::vector<size_t> origins; // position in the copy -> position in the original
        for (size_t i = 0; i < source.items.size(); ++i) {
            int32_t item = source.items[i];
            uint32_t weight = source.item_weight(i);
            if (item >= 0) {
                auto found = map_.item_classes.find(item);
                if (found == map_.item_classes.end() || found->second != device_class) continue;
            } else {
                item = TRY(copy(item, device_class));
                weight = map_.bucket(item)->weight;
            }
            TRY(append(shadow, item, weight));
            origins.push_back(i);
        }
        shadow.id = id_for(original, device_class);
        int32_t id = TRY(add_bucket(map_, shadow));
        map_.class_buckets[original][device_class] = id;
        map_.item_classes[id] = device_class;
        map_.item_names[id] =
            fmt::format("{}~{}", map_.item_name(original), map_.class_names.at(device_class));
        copy_weight_sets(original, id, shadow.items, origins);
        return id;
    }

private:
    uint8_t straw_version() const { return map_.tunables.straw_calc_version; }

    // In a uniform tree the copies of unequal children have unequal weights; the first one's
    // serves.
    Result<void> append(CrushBucket& shadow, int32_t item, uint32_t weight) {
        if (shadow.alg == BucketAlg::uniform && !shadow.items.empty()) {
            weight = shadow.uniform_weight;
        }
        return append_item(shadow, item, weight, straw_version());
    }

    // The id that the copy had before, else the first that is free now and was free before.
    int32_t id_for(int32_t original, int32_t device_class) const {
        if (auto bucket = old_.find(original); bucket != old_.end()) {
            auto found = bucket->second.find(device_class);
            if (found != bucket->second.end()) return found->second;
        }
        int32_t id = -1;
        while (map_.bucket(id) || old_ids_.count(id)) --id;
        return id;
    }

    void copy_weight_sets(int32_t original, int32_t shadow, const std::vector<int32_t>& items,
                          const std::vector<size_t>& origins) {
        for (auto& [pool, args] : map_.choose_args) {
            auto found = args.find(original);
            if (found == args.end() || found->second.weight_sets.empty()) continue;
            CrushChooseArg arg;
            auto& sums = sums_[{pool, shadow}];
            for (size_t set = 0; set < found->second.weight_sets.size(); ++set) {
                auto& weights = arg.weight_sets.emplace_back();
                for (size_t i = 0; i < items.size(); ++i) {
                    weights.push_back(items[i] >= 0 ? found->second.weight_sets[set][origins[i]]
                                                    : sum_of(pool, items[i], set));
                }
                // Ceph keeps the sum of the last position alone; the others' parents see 0.
                sums.assign(set, 0);
                sums.push_back(std::accumulate(weights.begin(), weights.end(), uint32_t{0}));
            }
            args[shadow] = std::move(arg);
        }
    }

    uint32_t sum_of(int64_t pool, int32_t shadow, size_t set) const {
        auto found = sums_.find({pool, shadow});
        return found != sums_.end() && set < found->second.size() ? found->second[set] : 0;
    }

    CrushMap& map_;
    Shadows old_;
    std::set<int32_t> old_ids_;
    std::map<std::pair<int64_t, int32_t>, std::vector<uint32_t>> sums_;
};

bool is_taken_by_rule(const CrushMap& map, int32_t item) {
    for (const auto& rule : map.rules) {
        if (!rule) continue;
        for (const CrushStep& step : rule->steps) {
            if (step.op == RuleOp::take && step.arg1 == item) return true;
        }
    }
    return false;
}

// A class without devices goes, unless a rule takes one of its trees.
void drop_dead_classes(CrushMap& map) {
    std::set<int32_t> alive;
    for (const auto& [item, device_class] : map.item_classes) {
        if (item >= 0) alive.insert(device_class);
    }
    for (const auto& [bucket, shadows] : map.class_buckets) {
        for (const auto& [device_class, id] : shadows) {
            if (is_taken_by_rule(map, id)) alive.insert(device_class);
        }
    }
    std::erase_if(map.class_names, [&](const auto& entry) { return !alive.count(entry.first); });
}

// As only a file can have it: what holds a copy would hold nothing while copies are made anew.
Result<void> refuse_held_copies(const CrushMap& without_copies) {
    for (const auto& bucket : without_copies.buckets) {
        if (!bucket) continue;
        for (int32_t item : bucket->items) {
            if (item >= 0 || without_copies.bucket(item)) continue;
            return fail(Code::invalid, fmt::format("bucket {} holds item {}, which is a copy made "
                                                   "for a device class; take it out of there",
                                                   without_copies.item_name(bucket->id), item));
        }
    }
    return {};
}

} // namespace

Result<void> rebuild_shadow_trees(CrushMap& map) {
    CrushMap changed = map;
    Shadows old = changed.class_buckets;
    drop_dead_classes(changed);
    std::vector<int32_t> shadows;
    for (const auto& bucket : changed.buckets) {
        if (bucket && changed.is_shadow(bucket->id)) shadows.push_back(bucket->id);
    }
    for (int32_t id : shadows) drop_bucket(changed, id);
    if (!shadows.empty()) keep_only_straw2_args(changed);
    TRY(refuse_held_copies(changed));
    changed.class_buckets.clear();
    ShadowMaker maker(changed, std::move(old));
    for (int32_t root : changed.roots()) {
        for (const auto& [device_class, name] : changed.class_names) {
            TRY(maker.copy(root, device_class));
        }
    }
    map = std::move(changed);
    return {};
}

int32_t class_id_for(CrushMap& map, std::string_view name) {
    if (auto known = map.class_of(name)) return *known;
    // One more than the last, as long as that is free.
    int32_t id = map.class_names.empty() ? 0 : map.class_names.rbegin()->first + 1;
    map.class_names[id] = name;
    return id;
}

Result<void> set_device_class(CrushMap& map, int32_t device, std::string_view class_name) {
    if (device < 0 || device >= map.max_devices) {
        return fail(Code::not_found,
                    fmt::format("{} is no device of this map; only devices have a class",
                                map.item_name(device)));
    }
    if (!is_valid_crush_name(class_name)) {
        return fail(Code::invalid,
                    fmt::format("\"{}\" is no name for a class; use letters, digits, "
                                "'_', '-' and '.'",
                                class_name));
    }
    CrushMap changed = map;
    changed.item_classes[device] = class_id_for(changed, class_name);
    TRY(rebuild_shadow_trees(changed));
    map = std::move(changed);
    return {};
}

Result<void> remove_device_class(CrushMap& map, int32_t device) {
    CrushMap changed = map;
    if (changed.item_classes.erase(device) == 0) return {};
    TRY(rebuild_shadow_trees(changed));
    map = std::move(changed);
    return {};
}

} // namespace cloudlet::rados
