#include <numeric>

#include <fmt/format.h>

#include "cloudlet/rados/crush_builder.h"
#include "cloudlet/rados/crush_edit.h"
#include "crush_straw.h"

namespace cloudlet::rados {

namespace {

class Reweighter {
public:
    explicit Reweighter(CrushMap& map) : map_(map) {}

    // Children first; a bucket with several parents is summed once.
    Result<void> sum(int32_t id) {
        CrushBucket& bucket = *map_.bucket(id);
        if (!done_.insert(id).second) return {};
        for (int32_t item : bucket.items) {
            if (item < 0) TRY(sum(item));
        }
        if (bucket.alg == BucketAlg::uniform) return sum_uniform(bucket);
        uint64_t total = 0;
        for (size_t i = 0; i < bucket.items.size(); ++i) {
            int32_t item = bucket.items[i];
            if (item < 0) weight_slot(bucket, i) = map_.bucket(item)->weight;
            total += bucket.item_weight(i);
        }
        bucket.weight = TRY(fit(bucket, total));
        // Ceph sums neither a list nor the inner nodes of a tree anew here, and we follow.
        if (bucket.alg == BucketAlg::straw) {
            bucket.derived = compute_straws(bucket.weights, map_.tunables.straw_calc_version);
        }
        return {};
    }

    // What the first weight set of a bucket sums to, after those below it. Ceph leaves the sets of
    // later positions as they are, and we follow.
    uint32_t sum_weight_sets(int32_t id, CrushChooseArgs& args) {
        const CrushBucket& bucket = *map_.bucket(id);
        auto found = args.find(id);
        bool has_set = found != args.end() && !found->second.weight_sets.empty();
        uint32_t sum = 0;
        for (size_t i = 0; i < bucket.items.size(); ++i) {
            int32_t item = bucket.items[i];
            uint32_t below = item < 0 ? sum_weight_sets(item, args) : 0;
            if (!has_set) continue;
            uint32_t& weight = found->second.weight_sets[0][i];
            if (item < 0) weight = below;
            sum += weight;
        }
        return sum;
    }

private:
    static uint32_t& weight_slot(CrushBucket& bucket, size_t index) {
        return bucket.alg == BucketAlg::tree ? bucket.derived[tree_leaf(index)]
                                             : bucket.weights[index];
    }

    Result<uint32_t> fit(const CrushBucket& bucket, uint64_t total) const {
        if (total <= 0xffffffff) return static_cast<uint32_t>(total);
        return fail(Code::invalid, fmt::format("the weights in {} sum to more than 65535",
                                               map_.item_name(bucket.id)));
    }

    // Its items get the average of the buckets among them, when these are the majority.
    Result<void> sum_uniform(CrushBucket& bucket) {
        uint64_t total = 0;
        size_t buckets = 0;
        for (int32_t item : bucket.items) {
            if (item >= 0) continue;
            total += map_.bucket(item)->weight;
            ++buckets;
        }
        TRY(fit(bucket, total));
        if (buckets > bucket.items.size() - buckets) {
            bucket.uniform_weight = static_cast<uint32_t>(total / buckets);
        }
        bucket.weight = TRY(fit(bucket, uint64_t{bucket.uniform_weight} * bucket.items.size()));
        return {};
    }

    CrushMap& map_;
    std::set<int32_t> done_;
};

} // namespace

Result<void> reweight_all(CrushMap& map) {
    CrushMap changed = map;
    Reweighter reweighter(changed);
    for (int32_t root : changed.roots()) {
        TRY(reweighter.sum(root));
        for (auto& [pool, args] : changed.choose_args) reweighter.sum_weight_sets(root, args);
    }
    TRY(rebuild_shadow_trees(changed));
    map = std::move(changed);
    return {};
}

} // namespace cloudlet::rados
