// Which release of a client a map needs at least: by the newest feature that it uses. The pairs of
// feature and release are those of Ceph's release notes.

#include <algorithm>

#include "cloudlet/rados/placement.h"
#include "tools/osd_map_text.h"

namespace cloudlet::rados {
namespace {

constexpr uint8_t argonaut = 1, dumpling = 4, firefly = 6, hammer = 8, jewel = 10, luminous = 12;

/// Old clients can be sent one default weight set instead of the weights, nothing more.
bool needs_choose_args(const CrushMap& crush) {
    if (crush.choose_args.empty()) return false;
    if (crush.choose_args.size() > 1) return true;
    const auto& [pool, args] = *crush.choose_args.begin();
    if (pool != crush_default_choose_args) return true;
    return std::any_of(args.begin(), args.end(), [](const auto& entry) {
        const CrushChooseArg& arg = entry.second;
        return !arg.ids.empty() || arg.weight_sets.size() > 1;
    });
}

bool has_step(const CrushMap& crush, int32_t rule, RuleOp op) {
    const CrushRule* found = crush.rule(rule);
    return found && std::any_of(found->steps.begin(), found->steps.end(),
                                [op](const CrushStep& step) { return step.op == op; });
}

bool has_straw2(const CrushMap& crush) {
    return std::any_of(crush.buckets.begin(), crush.buckets.end(), [](const auto& bucket) {
        return bucket && bucket->alg == BucketAlg::straw2;
    });
}

uint8_t release_of_pools(const OsdMap& map) {
    uint8_t release = argonaut;
    for (const auto& [id, pool] : map.pools) {
        if (pool.flags & pool_hashpspool) release = std::max(release, dumpling);
        int32_t rule = rule_of_pool(*map.crush, pool);
        if (has_step(*map.crush, rule, RuleOp::set_chooseleaf_stable))
            release = std::max(release, jewel);
        // That a pool is erasure-coded is the OSDs' affair.
        if (!pool.tiers.empty() || pool.tier_of >= 0 ||
            has_step(*map.crush, rule, RuleOp::set_chooseleaf_vary_r))
            release = std::max(release, firefly);
    }
    return release;
}

} // namespace

uint8_t min_compat_client(const OsdMap& map) {
    const CrushTunables& t = map.crush->tunables;
    if (!map.pg_upmap.empty() || !map.pg_upmap_items.empty() || needs_choose_args(*map.crush))
        return luminous;
    uint8_t release = release_of_pools(map);
    if (t.chooseleaf_stable) release = std::max(release, jewel);
    if (has_straw2(*map.crush)) release = std::max(release, hammer);
    bool affinity = std::any_of(map.primary_affinity.begin(), map.primary_affinity.end(),
                                [](uint32_t value) { return value != full_affinity; });
    if (affinity || t.chooseleaf_vary_r) release = std::max(release, firefly);
    bool argonauts = t.choose_local_tries == 2 && t.choose_local_fallback_tries == 5 &&
                     t.choose_total_tries == 19 && !t.chooseleaf_descend_once;
    if (!argonauts) release = std::max(release, dumpling);
    return release;
}

} // namespace cloudlet::rados
