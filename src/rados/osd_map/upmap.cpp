#include "cloudlet/rados/upmap.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "cloudlet/rados/placement.h"
#include "rule_shape.h"

namespace cloudlet::rados {
namespace {

size_t at(int32_t osd) { return static_cast<size_t>(osd); }

using Items = std::vector<std::pair<int32_t, int32_t>>;

bool marked_out(const OsdMap& map, int32_t osd) {
    return map.has_osd(osd) && map.osd_weight[at(osd)] == 0;
}

/// Items whose source is still there and whose target is in.
Items useful_items(const OsdMap& map, const Items& items, const std::vector<int32_t>& raw) {
    Items useful;
    for (const auto& item : items)
        if (std::find(raw.begin(), raw.end(), item.first) != raw.end() &&
            !marked_out(map, item.second))
            useful.push_back(item);
    return useful;
}

/// Looks at the entries of one PG after another.
class StaleFinder {
public:
    StaleFinder(const OsdMap& map, const Placer& placer) : map_(map), placer_(placer) {}

    void look_at(PgId pg) {
        const Pool* pool = map_.pool(pg.pool);
        if (!pool || pg.seed >= pool->pg_num || pg.seed >= pool->pg_num_pending) return cancel(pg);
        PgSets sets = placer_.place(work_, pg);
        if (!keeps_to_rule(*pool, sets.mapped.osds)) return cancel(pg);
        if (auto whole = map_.pg_upmap.find(pg); whole != map_.pg_upmap.end())
            if (whole->second == sets.raw.osds || whole->second.size() != pool->size)
                return cancel(pg);
        auto items = map_.pg_upmap_items.find(pg);
        if (items == map_.pg_upmap_items.end()) return;
        Items useful = useful_items(map_, items->second, sets.raw.osds);
        if (useful.empty()) return cancel(pg);
        if (useful != items->second) changes.new_items[pg] = useful;
    }

    UpmapChanges changes;

private:
    void cancel(PgId pg) {
        if (map_.pg_upmap.contains(pg)) changes.old_upmap.insert(pg);
        if (map_.pg_upmap_items.contains(pg)) changes.old_items.insert(pg);
    }

    bool keeps_to_rule(const Pool& pool, const std::vector<int32_t>& osds) {
        int32_t rule = pool.crush_rule; // even one of another type, which places nothing
        auto shape = shapes_.try_emplace({rule, pool.size}, *map_.crush, rule, pool.size).first;
        if (!shape->second.allows(osds)) return false;
        // A hole keeps to no rule, either: CRUSH may find what an exception cannot.
        return std::all_of(osds.begin(), osds.end(), [&](int32_t osd) {
            auto share = shape->second.shares().find(osd);
            return share != shape->second.shares().end() && share->second != 0 && !map_.is_out(osd);
        });
    }

    const OsdMap& map_;
    const Placer& placer_;
    CrushWorkspace work_;
    std::map<std::pair<int32_t, int32_t>, RuleShape> shapes_;
};

/// One pool's OSDs with what they have and what they should have.
class Balancer {
public:
    Balancer(const OsdMap& map, PoolId id, const BalanceOptions& options, const Placer& placer)
        : map_(map), pool_(*map.pool(id)), options_(options),
          shape_(*map.crush, rule_of_pool(*map.crush, pool_), pool_.size) {
        CrushWorkspace work;
        sets_.resize(pool_.pg_num);
        double total_weight = 0;
        for (const auto& [osd, share] : shape_.shares()) {
            if (map.is_out(osd) || !(share > 0)) continue;
            load_[osd].weight = share * map.osd_weight[at(osd)];
            total_weight += load_[osd].weight;
        }
        for (uint32_t seed = 0; seed < pool_.pg_num; ++seed) {
            sets_[seed] = placer.place(work, {id, seed});
            for (int32_t osd : sets_[seed].up.osds)
                if (auto load = load_.find(osd); load != load_.end())
                    load->second.pgs.insert({id, seed});
        }
        // Of all copies that there should be: where some find no place, nobody has too many.
        const double total_pgs = static_cast<double>(pool_.size) * pool_.pg_num;
        for (auto& [osd, load] : load_)
            load.target = total_weight > 0 ? total_pgs * load.weight / total_weight : 0;
    }

    UpmapChanges run() {
        UpmapChanges changes;
        while (changes.size() < options_.max_changes && !balanced() && move_one(changes)) {
        }
        return changes;
    }

private:
    struct Load {
        double weight = 0, target = 0;
        std::set<PgId> pgs;
        double excess() const { return static_cast<double>(pgs.size()) - target; }
    };

    bool balanced() const {
        return std::all_of(load_.begin(), load_.end(), [&](const auto& entry) {
            return std::abs(entry.second.excess()) <= options_.max_deviation;
        });
    }

    std::vector<int32_t> by_excess() const {
        std::vector<int32_t> osds;
        for (const auto& [osd, load] : load_) osds.push_back(osd);
        std::stable_sort(osds.begin(), osds.end(), [&](int32_t a, int32_t b) {
            return load_.at(a).excess() > load_.at(b).excess();
        });
        return osds;
    }

    /// Moves a PG from the fullest OSD that can give to the emptiest that can take.
    bool move_one(UpmapChanges& changes) {
        std::vector<int32_t> order = by_excess();
        for (auto from = order.begin(); from != order.end(); ++from) {
            if (load_.at(*from).excess() <= 0) break;
            for (auto to = order.rbegin(); to != order.rend() && *to != *from; ++to) {
                // One PG less here and one more there must bring both nearer to their share.
                if (load_.at(*from).excess() - load_.at(*to).excess() <= 1) break;
                if (move_between(*from, *to, changes)) return true;
            }
        }
        return false;
    }

    bool move_between(int32_t from, int32_t to, UpmapChanges& changes) {
        for (const PgId& pg : load_.at(from).pgs) {
            PgSets& sets = sets_[pg.seed];
            if (map_.pg_upmap.contains(pg)) continue; // an operator's own mapping
            if (!shape_.may_replace(sets.mapped.osds, from, to)) continue;
            Items items = redirected(items_of(pg, changes), from, to);
            if (!leads_to(sets.raw.osds, items, sets.mapped.osds, from, to)) continue;
            changes.new_items.erase(pg);
            changes.old_items.erase(pg);
            if (!items.empty()) {
                changes.new_items[pg] = items;
            } else if (map_.pg_upmap_items.contains(pg)) {
                changes.old_items.insert(pg);
            }
            std::replace(sets.mapped.osds.begin(), sets.mapped.osds.end(), from, to);
            load_.at(to).pgs.insert(pg);
            load_.at(from).pgs.erase(PgId(pg)); // last: `pg` lives in this set
            return true;
        }
        return false;
    }

    Items items_of(PgId pg, const UpmapChanges& changes) const {
        if (auto found = changes.new_items.find(pg); found != changes.new_items.end())
            return found->second;
        if (changes.old_items.contains(pg)) return {};
        auto found = map_.pg_upmap_items.find(pg);
        return found == map_.pg_upmap_items.end() ? Items{} : found->second;
    }

    /// With a -> from among the items, a -> to takes its place (nothing, when that is a itself).
    static Items redirected(Items items, int32_t from, int32_t to) {
        auto leading = std::find_if(items.begin(), items.end(),
                                    [&](const auto& item) { return item.second == from; });
        if (leading == items.end()) {
            items.emplace_back(from, to);
        } else if (leading->first == to) {
            items.erase(leading);
        } else {
            leading->second = to;
        }
        return items;
    }

    /// Items apply in order and never make a double: the result must be what was wanted.
    bool leads_to(std::vector<int32_t> osds, const Items& items, std::vector<int32_t> wanted,
                  int32_t from, int32_t to) const {
        for (const auto& [source, target] : items) {
            auto place = std::find(osds.begin(), osds.end(), source);
            if (place != osds.end() && !marked_out(map_, target) &&
                std::find(osds.begin(), osds.end(), target) == osds.end())
                *place = target;
        }
        std::replace(wanted.begin(), wanted.end(), from, to);
        return osds == wanted;
    }

    const OsdMap& map_;
    const Pool& pool_;
    BalanceOptions options_;
    RuleShape shape_;
    std::map<int32_t, Load> load_;
    std::vector<PgSets> sets_;
};

} // namespace

std::string UpmapChanges::commands() const {
    std::string text;
    for (const PgId& pg : old_upmap)
        text += fmt::format("ceph osd rm-pg-upmap {}\n", pg.to_string());
    for (const PgId& pg : old_items)
        text += fmt::format("ceph osd rm-pg-upmap-items {}\n", pg.to_string());
    for (const auto& [pg, items] : new_items) {
        text += fmt::format("ceph osd pg-upmap-items {}", pg.to_string());
        for (const auto& [from, to] : items) text += fmt::format(" {} {}", from, to);
        text += '\n';
    }
    return text;
}

void apply_upmap_changes(OsdMap& map, const UpmapChanges& changes) {
    for (const PgId& pg : changes.old_upmap) map.pg_upmap.erase(pg);
    for (const PgId& pg : changes.old_items) map.pg_upmap_items.erase(pg);
    for (const auto& [pg, items] : changes.new_items) map.pg_upmap_items[pg] = items;
}

Result<UpmapChanges> stale_upmaps(const OsdMap& map) {
    std::set<PgId> pgs;
    for (const auto& [pg, osds] : map.pg_upmap) pgs.insert(pg);
    for (const auto& [pg, items] : map.pg_upmap_items) pgs.insert(pg);
    if (pgs.empty()) return UpmapChanges{};
    Placer placer = TRY(Placer::prepare(std::make_shared<const OsdMap>(map)));
    StaleFinder finder(map, placer);
    for (const PgId& pg : pgs) finder.look_at(pg);
    return std::move(finder.changes);
}

Result<UpmapChanges> balance_pool(const OsdMap& map, PoolId id, const BalanceOptions& options) {
    if (!map.pool(id)) return fail(Code::not_found, fmt::format("there is no pool {}", id));
    Placer placer = TRY(Placer::prepare(std::make_shared<const OsdMap>(map)));
    return Balancer(map, id, options, placer).run();
}

} // namespace cloudlet::rados
