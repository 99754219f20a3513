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

    // What the weight sets of `args` say of a bucket, position by position.
    std::vector<uint32_t> sum_weight_sets(int32_t id, CrushChooseArgs& args) {
        const CrushBucket& bucket = *map_.bucket(id);
        auto found = args.find(id);
        std::vector<uint32_t> sums(found == args.end() ? 0 : found->second.weight_sets.size());
        for (size_t i = 0; i < bucket.items.size(); ++i) {
            std::vector<uint32_t> below;
            if (bucket.items[i] < 0) {
                below = sum_weight_sets(bucket.items[i], args);
                below.resize(sums.size());
            }
            for (size_t set = 0; set < sums.size(); ++set) {
                uint32_t& weight = found->second.weight_sets[set][i];
                if (bucket.items[i] < 0) weight = below[set];
                sums[set] += weight;
            }
        }
        return sums;
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
    map = std::move(changed);
    return {};
}

} // namespace cloudlet::rados
