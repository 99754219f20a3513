#include "crush_tree_weights.h"

#include <numeric>
#include <set>

#include <fmt/format.h>

#include "cloudlet/rados/crush_builder.h"

namespace cloudlet::rados {

namespace {

// The weight sets of one bucket, in all sets of choose_args.
template <typename Change>
void for_each_arg(CrushMap& map, int32_t bucket, Change change) {
    for (auto& [pool, args] : map.choose_args) {
        if (auto found = args.find(bucket); found != args.end()) change(found->second);
    }
}

Result<CrushBucket*> find_bucket(CrushMap& map, int32_t id) {
    if (CrushBucket* bucket = map.bucket(id)) return bucket;
    return fail(Code::not_found, fmt::format("there is no bucket {}", id));
}

} // namespace

Result<void> weigh_in(CrushMap& map, int32_t id, int32_t item, uint32_t weight, InSets in_sets) {
    CrushBucket* bucket = TRY(find_bucket(map, id));
    TRY(set_item_weight(*bucket, item, weight, map.tunables.straw_calc_version));
    size_t index = *bucket->find(item);
    if (in_sets == InSets::same) {
        for_each_arg(map, id, [&](CrushChooseArg& arg) {
            for (auto& weights : arg.weight_sets) weights[index] = weight;
        });
    }
    TRY(weigh_everywhere(map, id, bucket->weight, InSets::kept));
    return {};
}

Result<size_t> weigh_everywhere(CrushMap& map, int32_t item, uint32_t weight, InSets in_sets) {
    size_t places = 0;
    for (size_t slot = 0; slot < map.buckets.size(); ++slot) {
        if (!map.buckets[slot] || !map.buckets[slot]->find(item)) continue;
        TRY(weigh_in(map, map.buckets[slot]->id, item, weight, in_sets));
        ++places;
    }
    return places;
}

namespace {

size_t positions_of(const CrushChooseArgs& args) {
    for (const auto& [bucket, arg] : args)
        if (!arg.weight_sets.empty()) return arg.weight_sets.size();
    return 0;
}

std::vector<uint32_t> item_weights(const CrushBucket& bucket) {
    std::vector<uint32_t> weights;
    for (size_t i = 0; i < bucket.items.size(); ++i) weights.push_back(bucket.item_weight(i));
    return weights;
}

// Completes one set of choose_args from the leaves up.
class WeightSetCompleter {
public:
    WeightSetCompleter(const CrushMap& map, CrushChooseArgs& args)
        : map_(map), args_(args), positions_(positions_of(args)) {}

    void complete() {
        if (positions_ == 0) return;
        for (const auto& bucket : map_.buckets)
            if (bucket) complete(bucket->id);
    }

private:
    void complete(int32_t id) {
        if (!done_.insert(id).second) return;
        const CrushBucket& bucket = *map_.bucket(id);
        for (int32_t item : bucket.items)
            if (item < 0) complete(item);
        CrushChooseArg& arg = args_[id];
        if (arg.weight_sets.empty()) arg.weight_sets.assign(positions_, item_weights(bucket));
        for (size_t i = 0; i < bucket.items.size(); ++i)
            if (bucket.items[i] < 0) take_sums(arg, i, args_[bucket.items[i]]);
    }

    static void take_sums(CrushChooseArg& arg, size_t index, const CrushChooseArg& below) {
        if (arg.weight_sets.size() != below.weight_sets.size()) return;
        for (size_t position = 0; position < arg.weight_sets.size(); ++position) {
            const auto& weights = below.weight_sets[position];
            arg.weight_sets[position][index] =
                std::accumulate(weights.begin(), weights.end(), uint32_t{0});
        }
    }

    const CrushMap& map_;
    CrushChooseArgs& args_;
    const size_t positions_;
    std::set<int32_t> done_;
};

} // namespace

void complete_weight_sets(CrushMap& map) {
    for (auto& [pool, args] : map.choose_args) WeightSetCompleter(map, args).complete();
}

Result<void> attach(CrushMap& map, int32_t id, int32_t item) {
    CrushBucket* bucket = TRY(find_bucket(map, id));
    // A uniform bucket takes no other weight than its own; the caller's weigh_in() follows.
    uint32_t weight = bucket->alg == BucketAlg::uniform ? bucket->uniform_weight : 0;
    TRY(append_item(*bucket, item, weight, map.tunables.straw_calc_version));
    for_each_arg(map, id, [&](CrushChooseArg& arg) {
        for (auto& weights : arg.weight_sets) weights.push_back(weight);
        if (!arg.ids.empty()) arg.ids.push_back(item);
    });
    return {};
}

Result<void> detach(CrushMap& map, int32_t id, int32_t item) {
    CrushBucket* bucket = TRY(find_bucket(map, id));
    auto index = bucket->find(item);
    if (!index) {
        return fail(Code::not_found,
                    fmt::format("{} is not in {}", map.item_name(item), map.item_name(id)));
    }
    size_t before = bucket->items.size();
    TRY(weigh_in(map, id, item, 0, InSets::same));
    complete_weight_sets(map);
    TRY(erase_item(*bucket, item, map.tunables.straw_calc_version));
    // A tree keeps a hole where the item was, and loses holes at its end.
    bool keeps_hole = bucket->alg == BucketAlg::tree;
    for_each_arg(map, id, [&](CrushChooseArg& arg) {
        auto cut = [&](auto& values) {
            if (values.size() != before) return;
            if (keeps_hole) {
                values.resize(bucket->items.size());
            } else {
                values.erase(values.begin() + static_cast<std::ptrdiff_t>(*index));
            }
        };
        for (auto& weights : arg.weight_sets) cut(weights);
        cut(arg.ids);
    });
    return {};
}

void begin_weight_sets(CrushMap& map, int32_t id) {
    for (auto& [pool, args] : map.choose_args) {
        size_t positions = std::max<size_t>(1, positions_of(args));
        args[id].weight_sets.assign(positions, item_weights(*map.bucket(id)));
    }
}

void drop_bucket(CrushMap& map, int32_t id) {
    if (map.bucket(id)) map.buckets[static_cast<size_t>(-1 - id)].reset();
    map.item_names.erase(id);
    map.item_classes.erase(id);
    map.class_buckets.erase(id);
    for (auto& [pool, args] : map.choose_args) args.erase(id);
}

void keep_only_straw2_args(CrushMap& map) {
    for (auto& [pool, args] : map.choose_args) {
        std::erase_if(args, [&](const auto& entry) {
            const CrushBucket* bucket = map.bucket(entry.first);
            return !bucket || bucket->alg != BucketAlg::straw2;
        });
    }
}

} // namespace cloudlet::rados
