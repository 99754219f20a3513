#include "hierarchy_losses.h"

#include <algorithm>
#include <set>

namespace cloudlet::rados {
namespace {

size_t at(int32_t osd) { return static_cast<size_t>(osd); }

/// The one choose step of a rule whose result shows all that it accepts, or nullptr.
const CrushStep* only_choice(const CrushRule& rule) {
    const CrushStep* choice = nullptr;
    int takes = 0, emits = 0;
    for (const CrushStep& step : rule.steps) {
        switch (step.op) {
        case RuleOp::take: ++takes; break;
        case RuleOp::emit: ++emits; break;
        case RuleOp::choose_firstn:
        case RuleOp::choose_indep:
            if (choice || step.arg2 != 0) return nullptr; // gives buckets
            choice = &step;
            break;
        case RuleOp::chooseleaf_firstn:
        case RuleOp::chooseleaf_indep:
            if (choice) return nullptr;
            choice = &step;
            break;
        case RuleOp::set_choose_local_tries:
        case RuleOp::set_choose_local_fallback_tries: return nullptr;
        default: break;
        }
    }
    return takes == 1 && emits == 1 ? choice : nullptr;
}

int64_t sum_of(const CrushBucket& bucket) {
    int64_t sum = 0;
    for (size_t i = 0; i < bucket.items.size(); ++i) sum += bucket.item_weight(i);
    return sum;
}

class Comparison {
public:
    Comparison(const OsdMap& before, const OsdMap& after, int32_t domain)
        : osds_(before), before_(*before.crush), after_(*after.crush), domain_(domain),
          losers_(at(before.max_osd())) {}

    /// False when a result would not tell.
    bool compare(int32_t id, bool in_domain) {
        if (id >= 0) return true;
        const CrushBucket *old = before_.bucket(id), *now = after_.bucket(id);
        if (!old || !now || !visited_.insert(id).second) return false;
        in_domain = in_domain || old->type == domain_;
        if (*old == *now)
            return std::all_of(old->items.begin(), old->items.end(),
                               [&](int32_t item) { return compare(item, in_domain); });
        bool drawn_by_weight = old->alg == BucketAlg::straw2 && now->alg == BucketAlg::straw2 &&
                               old->type == now->type && old->hash == now->hash;
        if (!drawn_by_weight || sum_of(*old) == 0 || sum_of(*now) == 0) return false;
        return compare_items(*old, *now, in_domain);
    }

    std::vector<bool> take() { return std::move(losers_); }

private:
    /// What stays must stay in order: of equal draws the first wins.
    bool compare_items(const CrushBucket& old, const CrushBucket& now, bool in_domain) {
        size_t next = 0;
        for (size_t i = 0; i < old.items.size(); ++i) {
            int32_t item = old.items[i];
            bool stays = next < now.items.size() && now.items[next] == item;
            uint32_t weight = stays ? now.item_weight(next) : 0;
            if (weight > old.item_weight(i)) return false;
            bool loses = weight < old.item_weight(i);
            if (stays && !compare(item, in_domain)) return false;
            if (loses && !note_losers(item, in_domain)) return false;
            next += stays;
        }
        return next == now.items.size();
    }

    /// Every draw of a losing item must end in a device that the result shows.
    bool note_losers(int32_t item, bool in_domain) {
        if (item >= 0) {
            if (!osds_.has_osd(item) || !in_domain) return false;
            losers_[at(item)] = true;
            return osds_.osd_weight[at(item)] >= crush_weight_one;
        }
        const CrushBucket* bucket = before_.bucket(item);
        if (!bucket || bucket->items.empty() || sum_of(*bucket) == 0) return false;
        in_domain = in_domain || bucket->type == domain_;
        return std::all_of(bucket->items.begin(), bucket->items.end(),
                           [&](int32_t below) { return note_losers(below, in_domain); });
    }

    const OsdMap& osds_;
    const CrushMap &before_, &after_;
    int32_t domain_;
    std::vector<bool> losers_;
    std::set<int32_t> visited_; // a bucket with two places could give a device twice
};

} // namespace

std::optional<std::vector<bool>> devices_that_lose(const OsdMap& before, const OsdMap& after,
                                                   int32_t rule, PoolId pool) {
    const CrushMap &old = *before.crush, &now = *after.crush;
    const CrushRule *old_rule = old.rule(rule), *now_rule = now.rule(rule);
    if (!old_rule || !now_rule || old_rule->steps != now_rule->steps ||
        old.tunables != now.tunables || old.max_devices != now.max_devices ||
        old.choose_args_for(pool) || now.choose_args_for(pool) || old.tunables.choose_local_tries ||
        old.tunables.choose_local_fallback_tries)
        return std::nullopt;
    const CrushStep* choice = only_choice(*old_rule);
    if (!choice) return std::nullopt;
    auto take = std::find_if(old_rule->steps.begin(), old_rule->steps.end(),
                             [](const CrushStep& step) { return step.op == RuleOp::take; });
    Comparison comparison(before, after, choice->arg2);
    if (!comparison.compare(take->arg1, choice->arg2 == 0)) return std::nullopt;
    return comparison.take();
}

} // namespace cloudlet::rados
