#include "rule_shape.h"

#include <algorithm>
#include <set>

namespace cloudlet::rados {

namespace {

constexpr int64_t max_devices = int64_t{1} << 31; // far above any set; a product stays in range

} // namespace

RuleShape::RuleShape(const CrushMap& crush, int32_t rule_id, int32_t pool_size) {
    const CrushRule* rule = crush.rule(rule_id);
    if (!rule) return;
    std::vector<int32_t> takes;
    size_t branches = 1; // buckets that the steps since the last take have led to
    Part part;
    std::set<int32_t> counted; // of a type that the part chooses twice the first count is taken
    for (const CrushStep& step : rule->steps) {
        if (step.op == RuleOp::take) {
            takes.push_back(step.arg1);
            branches = 1;
            part.root = step.arg1;
        }
        if (step.op == RuleOp::emit) {
            if (part.root < 0) parts_.push_back(part);
            part = {};
            counted.clear();
        }
        bool leaf = step.op == RuleOp::chooseleaf_firstn || step.op == RuleOp::chooseleaf_indep;
        bool choose = step.op == RuleOp::choose_firstn || step.op == RuleOp::choose_indep;
        if (!(leaf || choose)) continue;
        int32_t count = step.arg1 > 0 ? step.arg1 : step.arg1 + pool_size;
        if (counted.insert(step.arg2).second)
            part.devices = std::clamp<int64_t>(part.devices * count, -max_devices, max_devices);
        if (step.arg2 <= 0) continue;
        branches *= static_cast<size_t>(std::max(1, count));
        choices_.push_back({step.arg2, count > 0 ? branches : 0, leaf});
    }
    // A device that two takes lead to counts in the bucket below the take of the lesser id.
    std::sort(takes.begin(), takes.end());
    for (int32_t take : takes) add_devices(crush, take);
}

bool RuleShape::keeps_to_parts(std::span<const int32_t> osds) const {
    size_t next = 0;
    for (const Part& part : parts_) {
        auto below = devices_.find(part.root);
        for (int64_t i = 0; i < part.devices && next < osds.size(); ++i, ++next)
            if (below == devices_.end() || !below->second.contains(osds[next])) return false;
    }
    return true;
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
            auto& known = ancestors_.try_emplace(item, above).first->second;
            for (size_t i = 0; i < above.size(); ++i)
                if (known[i] == 0) known[i] = above[i]; // another take may lead through the type
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
    if (!keeps_to_parts(osds)) return false;
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
