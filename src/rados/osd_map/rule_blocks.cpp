#include "rule_blocks.h"

#include <algorithm>
#include <set>

namespace cloudlet::rados {
namespace {

bool chooses(RuleOp op) {
    return op == RuleOp::choose_firstn || op == RuleOp::choose_indep ||
           op == RuleOp::chooseleaf_firstn || op == RuleOp::chooseleaf_indep;
}

void reach(const CrushMap& crush, int32_t item, uint32_t weight, std::set<int32_t>& seen,
           std::vector<std::pair<int32_t, uint32_t>>& found) {
    if (!seen.insert(item).second) return;
    if (item >= 0) {
        found.emplace_back(item, weight);
        return;
    }
    const CrushBucket* bucket = crush.bucket(item);
    if (!bucket) return;
    for (size_t i = 0; i < bucket->items.size(); ++i)
        if (uint32_t below = bucket->item_weight(i))
            reach(crush, bucket->items[i], below, seen, found);
}

} // namespace

std::vector<RuleBlock> blocks_of(const CrushRule& rule, int32_t size) {
    std::vector<RuleBlock> blocks;
    int32_t left = size;
    for (const CrushStep& step : rule.steps) {
        if (step.op == RuleOp::take) {
            blocks.push_back({.root = step.arg1, .wanted = 1});
        } else if (chooses(step.op) && !blocks.empty()) {
            RuleBlock& block = blocks.back();
            int32_t count = step.arg1 > 0 ? step.arg1 : std::max(0, size + step.arg1);
            if (!block.has_choice) {
                block.domain = step.arg2;
                block.domains = count;
            }
            block.has_choice = true;
            block.wanted = std::min(size, block.wanted * count);
        } else if (step.op == RuleOp::emit && !blocks.empty()) {
            blocks.back().wanted = std::clamp(blocks.back().wanted, 0, left);
            left -= blocks.back().wanted;
        }
    }
    // What comes out of a block at most cannot be wanted of more domains than that.
    for (RuleBlock& block : blocks) block.domains = std::min(block.domains, block.wanted);
    return blocks;
}

std::vector<std::pair<int32_t, uint32_t>> reachable_devices(const CrushMap& crush, int32_t root) {
    std::vector<std::pair<int32_t, uint32_t>> found;
    std::set<int32_t> seen;
    reach(crush, root, crush_weight_one, seen, found);
    return found;
}

std::vector<int32_t> items_of_type(const CrushMap& crush, int32_t root, int32_t type) {
    std::vector<int32_t> found, next = {root};
    std::set<int32_t> seen;
    while (!next.empty()) {
        int32_t item = next.back();
        next.pop_back();
        if (!seen.insert(item).second) continue;
        if (crush.type_of_item(item) == type) found.push_back(item);
        if (const CrushBucket* bucket = crush.bucket(item))
            next.insert(next.end(), bucket->items.begin(), bucket->items.end());
    }
    return found;
}

} // namespace cloudlet::rados
