#include "cloudlet/rados/crush_edit.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cloudlet/rados/crush_builder.h"
#include "crush_tree_weights.h"

namespace cloudlet::rados {

namespace {

// Carries out a change on a copy, so that a change that fails leaves no trace.
template <typename Change>
Result<void> all_or_nothing(CrushMap& map, Change change) {
    CrushMap changed = map;
    TRY(change(changed));
    map = std::move(changed);
    return {};
}

Result<void> check_name(std::string_view name) {
    if (is_valid_crush_name(name)) return {};
    return fail(Code::invalid,
                fmt::format("\"{}\" is no name; use letters, digits, '_', '-' and '.'", name));
}

Result<void> check_location(const CrushLocation& location) {
    for (const auto& [type, name] : location) {
        TRY(check_name(type));
        TRY(check_name(name));
    }
    return {};
}

// The bucket name that a location gives for a type, or nullptr.
const std::string* name_at(const CrushLocation& location, std::string_view type) {
    for (const auto& [wanted, name] : location) {
        if (wanted == type) return &name;
    }
    return nullptr;
}

Result<BucketAlg> default_alg(const CrushMap& map) {
    constexpr std::array<BucketAlg, 5> best_first = {
        BucketAlg::straw2, BucketAlg::straw, BucketAlg::tree, BucketAlg::list, BucketAlg::uniform};
    for (BucketAlg alg : best_first) {
        if (map.tunables.allowed_bucket_algs & (1u << static_cast<uint32_t>(alg))) return alg;
    }
    return fail(Code::invalid, "the map's tunables allow no bucket algorithm; choose a profile");
}

Result<int32_t> make_parent(CrushMap& map, const std::string& name, int32_t type, int32_t child) {
    std::array<int32_t, 1> items = {child};
    std::array<uint32_t, 1> weights = {0};
    auto bucket = TRY(make_bucket(TRY(default_alg(map)), static_cast<uint16_t>(type), items,
                                  weights, map.tunables.straw_calc_version));
    int32_t id = TRY(add_bucket(map, std::move(bucket)));
    map.item_names[id] = name;
    begin_weight_sets(map, id);
    return id;
}

// Makes the missing buckets of a location from the item up, and hangs the last of them (or the
// item) into the first that exists.
Result<void> hang(CrushMap& map, int32_t item, const CrushLocation& location) {
    int32_t current = item;
    for (const auto& [type, type_name] : std::map(map.type_names)) {
        const std::string* name = type == 0 ? nullptr : name_at(location, type_name);
        if (!name) continue;
        auto id = map.item_of(*name);
        if (!id) {
            current = TRY(make_parent(map, *name, type, current));
            continue;
        }
        const CrushBucket* parent = map.bucket(*id);
        if (!parent || parent->type != type) {
            return fail(Code::invalid,
                        fmt::format("{} is of type {}, not {}; correct the location", *name,
                                    map.type_name(parent ? parent->type : 0), type_name));
        }
        if (map.subtree_contains(current, *id)) {
            return fail(Code::invalid, fmt::format("{} lies below {} and cannot hold it", *name,
                                                   map.item_name(current)));
        }
        if (map.subtree_contains(*id, current)) {
            return fail(Code::already_exists, fmt::format("{} is below {} already; move it instead",
                                                          map.item_name(current), *name));
        }
        return attach(map, *id, current);
    }
    return {};
}

// Weighs the item in those buckets of a location that hold it. Gives in how many.
Result<size_t> weigh_at(CrushMap& map, int32_t item, uint32_t weight, const CrushLocation& location,
                        InSets in_sets) {
    size_t places = 0;
    for (const auto& [type, name] : location) {
        auto id = map.item_of(name);
        const CrushBucket* bucket = id ? map.bucket(*id) : nullptr;
        if (!bucket || !bucket->find(item)) continue;
        TRY(weigh_in(map, *id, item, weight, in_sets));
        ++places;
    }
    return places;
}

Result<void> insert(CrushMap& map, int32_t item, std::string_view name, uint32_t weight,
                    const CrushLocation& location) {
    TRY(check_name(name));
    TRY(check_location(location));
    auto known = map.item_of(name);
    if (known && *known != item) {
        return fail(Code::already_exists,
                    fmt::format("{} is the name of item {} already; choose another", name, *known));
    }
    map.item_names[item] = name;
    TRY(hang(map, item, location));
    // A bucket brings its weight sets along, and their sums.
    InSets in_sets = item >= 0 ? InSets::same : InSets::kept;
    if (TRY(weigh_at(map, item, weight, location, in_sets)) == 0) {
        return fail(Code::invalid,
                    fmt::format("the location of {} names no place; give it as type and name, of "
                                "types that the map has",
                                name));
    }
    if (item >= map.max_devices) map.max_devices = item + 1;
    complete_weight_sets(map);
    return rebuild_shadow_trees(map);
}

bool is_held(const CrushMap& map, int32_t item) {
    return std::any_of(map.buckets.begin(), map.buckets.end(),
                       [item](const auto& bucket) { return bucket && bucket->find(item); });
}

Result<void> detach_everywhere(CrushMap& map, int32_t item) {
    for (size_t slot = 0; slot < map.buckets.size(); ++slot) {
        while (map.buckets[slot] && map.buckets[slot]->find(item)) {
            // The holes of a tree look like device 0 of weight 0, and stay.
            const CrushBucket& bucket = *map.buckets[slot];
            bool hole = bucket.alg == BucketAlg::tree && item == 0 &&
                        bucket.item_weight(*bucket.find(item)) == 0;
            if (hole) break;
            TRY(detach(map, bucket.id, item));
        }
    }
    return {};
}

Result<void> check_not_taken(const CrushMap& map, int32_t bucket) {
    for (size_t id = 0; id < map.rules.size(); ++id) {
        if (!map.rules[id]) continue;
        for (const CrushStep& step : map.rules[id]->steps) {
            if (step.op != RuleOp::take) continue;
            auto origin = map.origin_of_shadow(step.arg1);
            if (step.arg1 != bucket && !(origin && origin->first == bucket)) continue;
            return fail(Code::conflict, fmt::format("rule {} takes {}; change or remove the rule "
                                                    "first",
                                                    id, map.item_name(bucket)));
        }
    }
    return {};
}

} // namespace

bool is_valid_crush_name(std::string_view name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        return letter || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    });
}

uint32_t crush_weight_of(float value) {
    return static_cast<uint32_t>(static_cast<int64_t>(value * 65536.0f));
}

Result<void> insert_item(CrushMap& map, int32_t item, std::string_view name, uint32_t weight,
                         const CrushLocation& location) {
    return all_or_nothing(
        map, [&](CrushMap& changed) { return insert(changed, item, name, weight, location); });
}

Result<void> update_item(CrushMap& map, int32_t item, std::string_view name, uint32_t weight,
                         const CrushLocation& location) {
    TRY(check_name(name));
    TRY(check_location(location));
    return all_or_nothing(map, [&](CrushMap& changed) -> Result<void> {
        // It is where it should be when the lowest bucket of the location holds it.
        for (const auto& [type, type_name] : changed.type_names) {
            const std::string* bucket_name = type == 0 ? nullptr : name_at(location, type_name);
            if (!bucket_name) continue;
            auto id = changed.item_of(*bucket_name);
            const CrushBucket* bucket = id ? changed.bucket(*id) : nullptr;
            if (!bucket || !bucket->find(item)) break;
            changed.item_names[item] = name;
            if (bucket->item_weight(*bucket->find(item)) == weight) return {};
            TRY(weigh_at(changed, item, weight, location, InSets::same));
            complete_weight_sets(changed);
            return rebuild_shadow_trees(changed);
        }
        TRY(detach_everywhere(changed, item));
        TRY(rebuild_shadow_trees(changed)); // their ids come before those of new buckets
        return insert(changed, item, name, weight, location);
    });
}

Result<int32_t> insert_bucket(CrushMap& map, std::string_view name, std::string_view type,
                              const CrushLocation& location) {
    TRY(check_name(name));
    if (map.item_of(name)) {
        return fail(Code::already_exists,
                    fmt::format("{} exists already; choose another name", name));
    }
    auto type_id = map.type_of(type);
    if (!type_id || *type_id <= 0) {
        return fail(Code::not_found, fmt::format("\"{}\" is no type of bucket in this map", type));
    }
    CrushMap changed = map;
    auto bucket = TRY(make_bucket(TRY(default_alg(changed)), static_cast<uint16_t>(*type_id), {},
                                  {}, changed.tunables.straw_calc_version));
    int32_t id = TRY(add_bucket(changed, std::move(bucket)));
    changed.item_names[id] = name;
    if (!location.empty()) TRY(move_item(changed, name, location));
    map = std::move(changed);
    return id;
}

Result<void> move_item(CrushMap& map, std::string_view name, const CrushLocation& location) {
    auto item = map.item_of(name);
    if (!item) return fail(Code::not_found, fmt::format("there is no item {}", name));
    return all_or_nothing(map, [&](CrushMap& changed) -> Result<void> {
        const CrushBucket* bucket = changed.bucket(*item);
        uint32_t weight = bucket ? bucket->weight : 0;
        auto parent = changed.parent_of(*item);
        if (!bucket && parent) {
            const CrushBucket& holder = *changed.bucket(*parent);
            weight = holder.item_weight(*holder.find(*item));
        }
        if (parent) TRY(detach(changed, *parent, *item));
        return insert(changed, *item, name, weight, location);
    });
}

Result<void> remove_item(CrushMap& map, int32_t item) {
    if (item < 0) {
        const CrushBucket* bucket = map.bucket(item);
        if (bucket && !bucket->items.empty()) {
            return fail(Code::conflict, fmt::format("{} holds {} items; remove or move them first",
                                                    map.item_name(item), bucket->items.size()));
        }
        TRY(check_not_taken(map, item));
    }
    bool known = is_held(map, item) || map.item_names.count(item) || map.bucket(item);
    if (!known) return fail(Code::not_found, fmt::format("there is no item {}", item));
    return all_or_nothing(map, [&](CrushMap& changed) -> Result<void> {
        TRY(detach_everywhere(changed, item));
        changed.item_names.erase(item);
        changed.item_classes.erase(item);
        if (item < 0) {
            drop_bucket(changed, item);
            keep_only_straw2_args(changed);
        }
        return rebuild_shadow_trees(changed);
    });
}

Result<void> remove_subtree(CrushMap& map, int32_t root) {
    if (!map.bucket(root)) return fail(Code::not_found, fmt::format("there is no bucket {}", root));
    std::vector<int32_t> doomed;
    for (const auto& bucket : map.buckets) {
        if (bucket && map.subtree_contains(root, bucket->id)) doomed.push_back(bucket->id);
    }
    for (int32_t id : doomed) TRY(check_not_taken(map, id));
    return all_or_nothing(map, [&](CrushMap& changed) -> Result<void> {
        TRY(detach_everywhere(changed, root));
        for (int32_t id : doomed) {
            TRY(detach_everywhere(changed, id));
            drop_bucket(changed, id);
        }
        keep_only_straw2_args(changed);
        return rebuild_shadow_trees(changed);
    });
}

Result<void> reweight_item(CrushMap& map, int32_t item, uint32_t weight) {
    return all_or_nothing(map, [&](CrushMap& changed) -> Result<void> {
        if (TRY(weigh_everywhere(changed, item, weight, InSets::same)) == 0)
            return fail(Code::not_found, fmt::format("no bucket holds {}; add it to one first",
                                                     changed.item_name(item)));
        complete_weight_sets(changed);
        return {};
    });
}

Result<void> rename_item(CrushMap& map, std::string_view from, std::string_view to) {
    TRY(check_name(to));
    auto item = map.item_of(from);
    if (!item) return fail(Code::not_found, fmt::format("there is no item {}", from));
    if (map.item_of(to)) {
        return fail(Code::already_exists,
                    fmt::format("{} exists already; choose another name", to));
    }
    return all_or_nothing(map, [&](CrushMap& changed) {
        changed.item_names[*item] = to;
        return rebuild_shadow_trees(changed);
    });
}

} // namespace cloudlet::rados
