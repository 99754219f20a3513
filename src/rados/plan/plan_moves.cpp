// The accounting: what has to be copied between two worlds, and what each device holds in one.
//
// PGs of a pool may be of unequal size (pg_num is no power of two) and may split or merge. So data
// is counted in grains: the hash space cut into a power of two of equal parts, fine enough that a
// grain lies in one PG before and in one PG after.

#include <algorithm>
#include <bit>
#include <charconv>

#include "osd_map/rule_blocks.h"
#include "plan_steps.h"

namespace cloudlet::rados {
namespace {

size_t at(int32_t osd) { return static_cast<size_t>(osd); }

bool holds(std::span<const int32_t> row, int32_t osd) {
    return std::find(row.begin(), row.end(), osd) != row.end();
}

int shards_of_data(const OsdMap& map, const Pool& pool) {
    if (pool.can_shift()) return 1;
    auto profile = map.erasure_code_profiles.find(pool.erasure_code_profile);
    if (profile != map.erasure_code_profiles.end())
        if (auto k = profile->second.find("k"); k != profile->second.end()) {
            int value = 0;
            std::from_chars(k->second.data(), k->second.data() + k->second.size(), value);
            if (value > 0) return value;
        }
    return std::max(1, pool.min_size - 1); // Ceph's min_size is k + 1
}

/// What the i-th grain of a pool weighs; grains from `pgs` on share the PG of a lower one.
double grain_weight(const PoolWeight& weight, uint32_t i, uint32_t pgs) {
    if (weight.equal_pgs) return i < pgs ? weight.shard_bytes / pgs : 0;
    return weight.shard_bytes / std::bit_ceil(pgs);
}

/// The comparison of one pool.
class PoolMoves {
public:
    PoolMoves(const Settled& settled, const World& now, PoolId id)
        : old_map_(*settled.world->map), map_(*now.map), old_(settled.world->pool(id)),
          now_(*now.pool(id)), pool_(*map_.pool(id)), lost_(settled.lost),
          same_disks_(lost_.empty() && old_map_.osd_state == map_.osd_state) {}

    Movement compare(const PoolWeight& weight, std::vector<double>* received) {
        if (!old_) return {}; // no change makes a pool
        const Pool& old_pool = *old_map_.pool(now_.pool);
        uint32_t widest = std::max(old_pool.pg_num, pool_.pg_num);
        uint32_t grains = std::bit_ceil(widest);
        uint32_t old_mask = std::bit_ceil(old_pool.pg_num) - 1;
        uint32_t mask = std::bit_ceil(pool_.pg_num) - 1;
        marks_.assign(pool_.pg_num, 0);
        for (uint32_t i = 0; i < grains; ++i) {
            double grain = grain_weight(weight, i, widest);
            uint32_t from = stable_mod(i, old_pool.pg_num, old_mask);
            uint32_t to = stable_mod(i, pool_.pg_num, mask);
            // Grains above the last PG share the row of a lower one; its copies count once.
            Movement moves = compare_rows(old_->up[from], now_.up[to], grain, received);
            if (i < widest) total_.copies += moves.copies;
            total_.bytes += moves.bytes;
            marks_[to] |= static_cast<uint8_t>((moves.remapped ? mark_remapped : 0) |
                                               (moves.refilled ? mark_refilled : 0) |
                                               (moves.degraded ? mark_degraded : 0));
        }
        for (uint8_t mark : marks_) {
            total_.remapped += (mark & mark_remapped) != 0;
            total_.refilled += (mark & mark_refilled) && !(mark & mark_remapped);
            total_.degraded += (mark & mark_degraded) != 0;
        }
        return total_;
    }

private:
    static constexpr uint8_t mark_remapped = 1, mark_refilled = 2, mark_degraded = 4;

    Movement compare_rows(std::span<const int32_t> from, std::span<const int32_t> to, double grain,
                          std::vector<double>* received) const {
        Movement moves;
        bool same = std::ranges::equal(from, to);
        if (same && same_disks_) return moves;
        moves.remapped = !same;
        for (size_t i = 0; i < to.size(); ++i) {
            int32_t osd = to[i];
            if (osd == osd_none) continue;
            bool has_it = pool_.can_shift() ? holds(from, osd) : i < from.size() && from[i] == osd;
            if (has_it && !lost_.contains(osd)) continue;
            ++moves.copies;
            moves.bytes += grain;
            if (received) (*received)[at(osd)] += grain;
        }
        moves.refilled = same && moves.copies;
        moves.degraded = std::any_of(from.begin(), from.end(), [&](int32_t osd) {
            return osd != osd_none && (lost_.contains(osd) || !map_.is_up(osd));
        });
        return moves;
    }

    const OsdMap &old_map_, &map_;
    const PoolPlacement* old_;
    const PoolPlacement& now_;
    const Pool& pool_;
    const std::set<int32_t>& lost_;
    bool same_disks_;
    Movement total_;
    std::vector<uint8_t> marks_;
};

} // namespace

const PoolPlacement* World::pool(PoolId id) const {
    auto found = std::find_if(pools->begin(), pools->end(),
                              [&](const PoolPlacement& placement) { return placement.pool == id; });
    return found == pools->end() ? nullptr : &*found;
}

std::map<PoolId, PoolWeight> weigh_pools(const OsdMap& map, const PlanOptions& options) {
    std::map<PoolId, PoolWeight> weights;
    bool by_pool = !options.pool_bytes.empty();
    for (const auto& [id, pool] : map.pools) {
        double bytes = pool.pg_num * (options.pg_bytes > 0 ? options.pg_bytes : 1);
        auto named = options.pool_bytes.find(std::string(map.pool_name(id)));
        if (named != options.pool_bytes.end())
            bytes = named->second;
        else if (by_pool && options.pg_bytes <= 0)
            bytes = 0;
        // Without figures a shard is what is counted, whatever it holds.
        bool counted = !by_pool && options.pg_bytes <= 0;
        weights[id] = {bytes / (counted ? 1 : shards_of_data(map, pool)), counted};
    }
    return weights;
}

Movement compare(const Settled& settled, const World& now,
                 const std::map<PoolId, PoolWeight>& weights, std::vector<double>* received) {
    Movement total;
    for (const PoolPlacement& placement : *now.pools) {
        Movement moves =
            PoolMoves(settled, now, placement.pool).compare(weights.at(placement.pool), received);
        total.remapped += moves.remapped;
        total.refilled += moves.refilled;
        total.copies += moves.copies;
        total.bytes += moves.bytes;
        total.degraded += moves.degraded;
    }
    return total;
}

namespace {

/// Adds what every device of a world holds.
void add_loads(const World& world, const std::map<PoolId, PoolWeight>& weights,
               std::vector<Load>& loads) {
    for (const PoolPlacement& placement : *world.pools) {
        uint32_t pgs = placement.pg_num(), grains = std::bit_ceil(pgs);
        for (uint32_t i = 0; i < grains; ++i) {
            double grain = grain_weight(weights.at(placement.pool), i, pgs);
            for (int32_t osd : placement.up[stable_mod(i, pgs, grains - 1)]) {
                if (osd == osd_none || at(osd) >= loads.size()) continue;
                loads[at(osd)].copies += i < pgs;
                loads[at(osd)].bytes += grain;
            }
        }
    }
}

/// Adds the bytes that each device's weight entitles it to.
void add_shares(const World& world, const std::map<PoolId, PoolWeight>& weights,
                std::vector<Load>& loads) {
    const OsdMap& map = *world.map;
    for (const auto& [id, pool] : map.pools) {
        int32_t rule = rule_of_pool(*map.crush, pool);
        if (rule < 0) continue;
        for (const RuleBlock& block : blocks_of(*map.crush->rule(rule), pool.size)) {
            auto devices = reachable_devices(*map.crush, block.root);
            auto effective = [&](const std::pair<int32_t, uint32_t>& device) {
                if (!map.is_up(device.first)) return 0.0;
                return static_cast<double>(device.second) * map.osd_weight[at(device.first)];
            };
            double sum = 0;
            for (const auto& device : devices) sum += effective(device);
            double bytes = weights.at(id).shard_bytes * block.wanted;
            for (const auto& device : devices)
                if (double weight = effective(device); weight > 0)
                    loads[at(device.first)].share += bytes * weight / sum;
        }
    }
}

std::vector<Load> loads_of(const World& world, const std::map<PoolId, PoolWeight>& weights,
                           size_t devices) {
    std::vector<Load> loads(devices);
    add_loads(world, weights, loads);
    add_shares(world, weights, loads);
    return loads;
}

void add(Load& sum, const Load& load) {
    sum.copies += load.copies;
    sum.bytes += load.bytes;
    sum.share += load.share;
}

/// Joins the hierarchies of two worlds: the later one, and in their old places items that left it.
class TreeWalk {
public:
    TreeWalk(const World& before, const World& after, std::vector<Load> loads_before,
             std::vector<Load> loads_after, const std::vector<double>& received,
             const std::set<int32_t>& replaced)
        : before_(before), after_(after), loads_before_(std::move(loads_before)),
          loads_after_(std::move(loads_after)), received_(received), replaced_(replaced) {
        note_items(before, in_before_);
        note_items(after, in_after_);
    }

    std::vector<PlanNode> walk() {
        auto roots = after_.map->crush->roots_without_shadows();
        for (int32_t root : before_.map->crush->roots_without_shadows())
            if (!in_after_.contains(root)) roots.push_back(root);
        std::sort(roots.rbegin(), roots.rend());
        for (int32_t root : roots) visit(root, 0);
        return std::move(nodes_);
    }

private:
    /// Items of a hierarchy with their weights; what stands in several places counts once.
    using Items = std::map<int32_t, double>;

    static void note_items(const World& world, Items& items) {
        const OsdMap& map = *world.map;
        for (const auto& bucket : map.crush->buckets) {
            if (!bucket || map.crush->is_shadow(bucket->id)) continue;
            items.emplace(bucket->id, 0);
            for (size_t i = 0; i < bucket->items.size(); ++i) {
                int32_t item = bucket->items[i];
                double reweight = item >= 0 && map.exists(item) ? map.osd_weight[at(item)] : 0;
                items.emplace(item, reweight / crush_weight_one * bucket->item_weight(i) /
                                        crush_weight_one);
            }
        }
    }

    std::vector<int32_t> children(int32_t id) const {
        std::vector<int32_t> items;
        if (const CrushBucket* bucket = after_.map->crush->bucket(id)) items = bucket->items;
        if (const CrushBucket* bucket = before_.map->crush->bucket(id))
            for (int32_t item : bucket->items)
                if (!in_after_.contains(item)) items.push_back(item);
        if (std::all_of(items.begin(), items.end(), [](int32_t item) { return item >= 0; }))
            std::sort(items.begin(), items.end());
        return items;
    }

    PlanNode make_node(int32_t id, uint32_t depth) const {
        const World& named = in_after_.contains(id) ? after_ : before_;
        const CrushMap& crush = *named.map->crush;
        PlanNode node;
        node.id = id;
        node.depth = depth;
        node.name = crush.item_name(id);
        node.type = crush.type_name(crush.type_of_item(id).value_or(0));
        if (!in_before_.contains(id)) node.fate = PlanNode::Fate::added;
        if (!in_after_.contains(id)) node.fate = PlanNode::Fate::removed;
        if (node.fate == PlanNode::Fate::stays && replaced_.contains(id))
            node.fate = PlanNode::Fate::replaced;
        if (id < 0) return node;
        if (auto item = in_before_.find(id); item != in_before_.end())
            node.weight_before = item->second;
        if (auto item = in_after_.find(id); item != in_after_.end())
            node.weight_after = item->second;
        if (at(id) >= loads_before_.size()) return node; // in the hierarchy, but no OSD
        node.before = loads_before_[at(id)];
        node.after = loads_after_[at(id)];
        node.received = received_[at(id)];
        return node;
    }

    void visit(int32_t id, uint32_t depth) {
        if (!visited_.insert(id).second) return;
        size_t index = nodes_.size();
        nodes_.push_back(make_node(id, depth));
        for (int32_t child : children(id)) {
            if (visited_.contains(child)) continue;
            size_t first = nodes_.size();
            visit(child, depth + 1);
            PlanNode& node = nodes_[index];
            const PlanNode& below = nodes_[first];
            node.weight_before += below.weight_before;
            node.weight_after += below.weight_after;
            node.received += below.received;
            add(node.before, below.before);
            add(node.after, below.after);
        }
    }

    const World &before_, &after_;
    std::vector<Load> loads_before_, loads_after_;
    const std::vector<double>& received_;
    const std::set<int32_t>& replaced_;
    Items in_before_, in_after_;
    std::set<int32_t> visited_;
    std::vector<PlanNode> nodes_;
};

} // namespace

std::vector<PlanNode> load_tree(const World& before, const World& after,
                                const std::map<PoolId, PoolWeight>& weights,
                                const std::vector<double>& received,
                                const std::set<int32_t>& replaced) {
    size_t devices = received.size();
    return TreeWalk(before, after, loads_of(before, weights, devices),
                    loads_of(after, weights, devices), received, replaced)
        .walk();
}

} // namespace cloudlet::rados
