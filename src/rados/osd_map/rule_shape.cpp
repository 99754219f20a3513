#include "rule_shape.h"

#include <algorithm>
#include <set>

namespace cloudlet::rados {

RuleShape::RuleShape(const CrushMap& crush, int32_t rule_id, int32_t pool_size) {
    const CrushRule* rule = crush.rule(rule_id);
    if (!rule) return;
    std::vector<int32_t> takes;
    size_t branches = 1; // buckets that the steps since the last take have led to
    for (const CrushStep& step : rule->steps) {
        if (step.op == RuleOp::take) {
            takes.push_back(step.arg1);
            branches = 1;
        }
        bool leaf = step.op == RuleOp::chooseleaf_firstn || step.op == RuleOp::chooseleaf_indep;
        bool choose = step.op == RuleOp::choose_firstn || step.op == RuleOp::choose_indep;
        auto root = std::find_if(takes.begin(), takes.end(), [](int32_t take) { return take < 0; });
        if ((leaf || choose) && step.arg2 == 0 && root != takes.end()) device_roots_.insert(*root);
        if (!(leaf || choose) || step.arg2 <= 0) continue;
        int32_t count = step.arg1 > 0 ? step.arg1 : step.arg1 + pool_size;
        branches *= static_cast<size_t>(std::max(1, count));
        choices_.push_back({step.arg2, count > 0 ? branches : 0, leaf});
    }
    for (int32_t take : takes) add_devices(crush, take);
}

bool RuleShape::below_device_roots(int32_t osd) const {
    return std::all_of(device_roots_.begin(), device_roots_.end(), [&](int32_t root) {
        auto found = devices_.find(root);
        return found != devices_.end() && found->second.contains(osd);
    });
}

void RuleShape::add_devices(const CrushMap& crush, int32_t take) {
    std::map<int32_t, double> weights;
    double total = 0;
    auto descend = [&](auto&& self, int32_t item, uint32_t weight,
                       std::vector<int32_t> above) -> void {
        const CrushBucket* bucket = crush.bucket(item);
        if (!bucket) {
            weights[item] += weight;
            total += weight;
            ancestors_.try_emplace(item, std::move(above));
            devices_[take].insert(item);
            return;
        }
        for (size_t i = 0; i < choices_.size(); ++i)
            if (choices_[i].type == bucket->type) above[i] = item;
        for (size_t i = 0; i < bucket->items.size(); ++i)
            self(self, bucket->items[i], bucket->item_weight(i), above);
    };
    descend(descend, take, crush_weight_one, std::vector<int32_t>(choices_.size(), 0));
    for (const auto& [device, weight] : weights)
        shares_[device] += weight / total; // NaN below a root without weight
}

int32_t RuleShape::ancestor(int32_t device, size_t choice) const {
    auto found = ancestors_.find(device);
    return found == ancestors_.end() ? 0 : found->second[choice];
}

bool RuleShape::spreads(std::span<const int32_t> osds, size_t choice) const {
    std::set<int32_t> buckets;
    std::set<int32_t> devices; // one that stands twice in a set is one
    for (int32_t osd : osds) {
        if (osd == crush_item_none) continue;
        int32_t bucket = ancestor(osd, choice);
        if (bucket == 0) continue;
        devices.insert(osd);
        buckets.insert(bucket);
    }
    if (choices_[choice].leaf) return buckets.size() == devices.size();
    return buckets.size() <= choices_[choice].count;
}

bool RuleShape::allows(std::span<const int32_t> osds) const {
    if (!std::all_of(osds.begin(), osds.end(),
                     [&](int32_t osd) { return below_device_roots(osd); }))
        return false;
    for (size_t choice = 0; choice < choices_.size(); ++choice)
        if (!spreads(osds, choice)) return false;
    return true;
}

bool RuleShape::may_replace(std::span<const int32_t> osds, int32_t from, int32_t to) const {
    if (!shares_.contains(to) || std::find(osds.begin(), osds.end(), to) != osds.end())
        return false;
    for (size_t choice = 0; choice < choices_.size(); ++choice)
        if (!choices_[choice].leaf && ancestor(from, choice) != ancestor(to, choice)) return false;
    for (const auto& [take, devices] : devices_)
        if (devices.contains(from) != devices.contains(to)) return false;
    std::vector<int32_t> changed(osds.begin(), osds.end());
    std::replace(changed.begin(), changed.end(), from, to);
    for (size_t choice = 0; choice < choices_.size(); ++choice)
        if (!spreads(changed, choice)) return false;
    return true;
}

} // namespace cloudlet::rados
