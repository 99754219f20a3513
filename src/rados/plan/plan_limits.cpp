// How much a walk may try before a plan is refused.

#include <algorithm>

#include <fmt/format.h>

#include "plan_steps.h"

namespace cloudlet::rados {
namespace {

/// Draws that a rule may make for one PG if none succeeds; saturates. The legacy profile comes to
/// 10,584 for three copies, a rule for erasure-coded pools to some thousands.
uint64_t tries_of(const CrushRule& rule, const CrushTunables& tunables, uint64_t copies) {
    uint64_t total = uint64_t{tunables.choose_total_tries} + 1, leaf = 0;
    uint64_t local = tunables.choose_local_tries, fallback = tunables.choose_local_fallback_tries;
    for (const CrushStep& step : rule.steps) {
        auto most = [&](uint64_t& value) {
            if (step.arg1 > 0) value = std::max(value, static_cast<uint64_t>(step.arg1));
        };
        if (step.op == RuleOp::set_choose_tries) most(total);
        if (step.op == RuleOp::set_chooseleaf_tries) most(leaf);
        if (step.op == RuleOp::set_choose_local_tries) most(local);
        if (step.op == RuleOp::set_choose_local_fallback_tries) most(fallback);
        if (step.op == RuleOp::choose_firstn || step.op == RuleOp::choose_indep ||
            step.op == RuleOp::chooseleaf_firstn || step.op == RuleOp::chooseleaf_indep)
            most(copies);
    }
    if (leaf == 0) leaf = tunables.chooseleaf_descend_once ? 1 : total;
    uint64_t draws = 1;
    for (uint64_t factor : {total, leaf, copies, 1 + local + fallback})
        draws = factor > UINT32_MAX ? UINT32_MAX : std::min<uint64_t>(draws * factor, UINT32_MAX);
    return draws;
}

} // namespace

Result<> check_tries(const OsdMap& map, uint64_t most) {
    for (const auto& [id, pool] : map.pools) {
        const int32_t number = rule_of_pool(*map.crush, pool);
        if (number < 0) continue;
        const auto& rule = *map.crush->rules[static_cast<size_t>(number)];
        if (tries_of(rule, map.crush->tunables, pool.size) <= most) continue;
        return fail(Code::too_large,
                    fmt::format("pool '{}': rule {} may try more than {} times for one PG, which "
                                "takes too long to plan; choose a profile (ceph osd crush tunables "
                                "optimal), or lower what the rule sets and chooses",
                                map.pool_name(id), number, most));
    }
    return {};
}

} // namespace cloudlet::rados
