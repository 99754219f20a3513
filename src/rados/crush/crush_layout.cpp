#include "crush_layout.h"

#include <algorithm>
#include <atomic>

namespace cloudlet::rados {

namespace {

std::atomic<uint64_t> next_serial = 1;

Straw2View add_view(CrushLayout& layout, const std::vector<int32_t>& ids,
                    const std::vector<int32_t>& items, const std::vector<uint32_t>& weights) {
    // An item of weight 0 never wins against another, so it need not take part.
    std::vector<Straw2Entry> entries;
    for (size_t i = 0; i < items.size(); ++i) {
        if (weights[i] != 0) entries.push_back({ids[i], weights[i]});
    }
    Straw2View view = layout.draws.add(entries);
    for (size_t i = 0; i < items.size(); ++i) {
        if (weights[i] != 0) layout.draw_items.push_back(items[i]);
    }
    layout.draw_items.resize(layout.draws.ids.size());
    return view;
}

void add_bucket(CrushLayout& layout, const CrushBucket& bucket) {
    PreparedBucket prepared;
    prepared.id = bucket.id;
    prepared.type = bucket.type;
    prepared.alg = bucket.alg;
    prepared.size = static_cast<uint32_t>(bucket.items.size());
    prepared.first = static_cast<uint32_t>(layout.items.size());
    layout.items.insert(layout.items.end(), bucket.items.begin(), bucket.items.end());
    layout.weights.insert(layout.weights.end(), bucket.weights.begin(), bucket.weights.end());
    layout.weights.resize(layout.items.size());
    if (bucket.alg == BucketAlg::tree) {
        prepared.nodes = static_cast<uint32_t>(layout.nodes.size());
        prepared.node_count = static_cast<uint32_t>(bucket.derived.size());
        layout.nodes.insert(layout.nodes.end(), bucket.derived.begin(), bucket.derived.end());
    } else {
        layout.derived.insert(layout.derived.end(), bucket.derived.begin(), bucket.derived.end());
    }
    layout.derived.resize(layout.items.size());
    layout.all_straw2 &= bucket.alg == BucketAlg::straw2;
    if (bucket.alg == BucketAlg::straw2) {
        prepared.view = add_view(layout, bucket.items, bucket.items, bucket.weights);
    }
    layout.buckets[static_cast<size_t>(-1 - bucket.id)] = prepared;
}

std::vector<PreparedArgs> prepare_args(CrushLayout& layout, const CrushMap& map,
                                       const CrushChooseArgs& args) {
    std::vector<PreparedArgs> prepared(map.buckets.size());
    for (const auto& [id, arg] : args) {
        const CrushBucket* bucket = map.bucket(id);
        if (!bucket || bucket->alg != BucketAlg::straw2) continue;
        if (arg.ids.empty() && arg.weight_sets.empty()) continue;
        const auto& ids = arg.ids.empty() ? bucket->items : arg.ids;
        PreparedArgs& entry = prepared[static_cast<size_t>(-1 - id)];
        entry.first_view = static_cast<uint32_t>(layout.views.size());
        entry.positions = static_cast<uint32_t>(std::max<size_t>(1, arg.weight_sets.size()));
        for (size_t p = 0; p < entry.positions; ++p) {
            const auto& weights = arg.weight_sets.empty() ? bucket->weights : arg.weight_sets[p];
            layout.views.push_back(add_view(layout, ids, bucket->items, weights));
        }
    }
    return prepared;
}

} // namespace

const std::vector<PreparedArgs>* CrushLayout::choose_args_for(int64_t pool) const {
    auto found = choose_args.find(pool);
    if (found == choose_args.end()) found = choose_args.find(crush_default_choose_args);
    return found == choose_args.end() ? nullptr : &found->second;
}

CrushLayout lay_out(const CrushMap& map) {
    CrushLayout layout;
    layout.serial = next_serial.fetch_add(1);
    layout.max_devices = map.max_devices;
    layout.kernels = &draw_kernels();
    layout.tunables = map.tunables;
    layout.rules = map.rules;
    layout.buckets.resize(map.buckets.size());
    for (const auto& bucket : map.buckets) {
        if (bucket) add_bucket(layout, *bucket);
    }
    for (const auto& [pool, args] : map.choose_args) {
        layout.choose_args[pool] = prepare_args(layout, map, args);
    }
    return layout;
}

} // namespace cloudlet::rados
