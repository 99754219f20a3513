#include "cloudlet/rados/placement.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/crush_hash.h"
#include "placement_steps.h"

namespace cloudlet::rados {
namespace {

constexpr uint8_t linux_hash = 1;

uint32_t mask_of(uint32_t count) { return std::bit_ceil(count) - 1; }

size_t at(int32_t osd) { return static_cast<size_t>(osd); }

int32_t first_of(std::span<const int32_t> osds) {
    for (int32_t osd : osds)
        if (osd != osd_none) return osd;
    return no_osd;
}

/// Leaves out OSDs: by closing ranks, or by a hole.
template <typename Keep>
void leave_out(const Pool& pool, std::vector<int32_t>& osds, Keep keep) {
    if (pool.can_shift()) {
        std::erase_if(osds, [&](int32_t osd) { return !keep(osd); });
    } else {
        for (int32_t& osd : osds)
            if (!keep(osd)) osd = osd_none;
    }
}

bool marked_out(const OsdMap& map, int32_t osd) {
    return map.has_osd(osd) && map.osd_weight[at(osd)] == 0;
}

void apply_item(const OsdMap& map, std::pair<int32_t, int32_t> item, std::vector<int32_t>& osds) {
    auto [from, to] = item;
    auto place = std::find(osds.begin(), osds.end(), from);
    // A target that is out is ignored, as is one that the set already holds.
    if (place == osds.end() || marked_out(map, to)) return;
    if (std::find(osds.begin(), osds.end(), to) == osds.end()) *place = to;
}

} // namespace

uint32_t object_hash(const Pool& pool, const ObjectName& object) {
    std::string_view key = object.locator_key.empty() ? object.name : object.locator_key;
    auto hash = pool.object_hash == linux_hash ? hash_name_linux : hash_name_rjenkins;
    if (object.name_space.empty()) return hash(key);
    std::string joined(object.name_space);
    joined += '\x1f'; // cannot be in a namespace, so that no two pairs collide
    joined += key;
    return hash(joined);
}

PgId pg_of_raw(const Pool& pool, PgId raw) {
    return {raw.pool, stable_mod(raw.seed, pool.pg_num, mask_of(pool.pg_num))};
}

uint32_t placement_seed(const Pool& pool, PgId raw) {
    uint32_t folded = stable_mod(raw.seed, pool.pgp_num, mask_of(pool.pgp_num));
    auto pool_number = static_cast<uint32_t>(raw.pool);
    if (pool.flags & pool_hashpspool) return crush_hash32(folded, pool_number);
    return folded + pool_number; // old pools overlap: pool 1's 0 is pool 0's 1
}

int32_t rule_of_pool(const CrushMap& crush, const Pool& pool) {
    for (size_t id = 0; id < crush.rules.size(); ++id) {
        const auto& rule = crush.rules[id];
        if (rule && rule->ruleset == pool.crush_rule &&
            rule->type == static_cast<uint8_t>(pool.type) && rule->min_size <= pool.size &&
            rule->max_size >= pool.size)
            return static_cast<int32_t>(id);
    }
    return -1;
}

std::string osds_to_string(std::span<const int32_t> osds) {
    std::string text = "[";
    for (int32_t osd : osds) {
        if (text.size() > 1) text += ',';
        text += std::to_string(osd);
    }
    return text + "]";
}

std::string OsdSet::to_string() const {
    return fmt::format("({}, p{})", osds_to_string(osds), primary);
}

namespace steps {

void drop_missing(const OsdMap& map, const Pool& pool, std::vector<int32_t>& osds) {
    leave_out(pool, osds, [&](int32_t osd) { return map.exists(osd); });
}

void apply_upmap(const OsdMap& map, PgId pg, std::vector<int32_t>& osds) {
    if (auto whole = map.pg_upmap.find(pg); whole != map.pg_upmap.end()) {
        for (int32_t osd : whole->second)
            if (marked_out(map, osd)) return; // ignores the items, too
        osds = whole->second;
    }
    if (auto items = map.pg_upmap_items.find(pg); items != map.pg_upmap_items.end())
        for (const auto& item : items->second) apply_item(map, item, osds);
}

void drop_down(const OsdMap& map, const Pool& pool, std::vector<int32_t>& osds) {
    leave_out(pool, osds, [&](int32_t osd) { return map.is_up(osd); });
}

int32_t choose_primary(const OsdMap& map, const Pool& pool, uint32_t seed,
                       std::vector<int32_t>& osds) {
    int32_t primary = first_of(osds);
    auto is_full = [&](int32_t osd) {
        return osd == osd_none || map.affinity(osd) == full_affinity;
    };
    if (map.primary_affinity.empty() || std::all_of(osds.begin(), osds.end(), is_full))
        return primary;
    // The first OSD that the hash of seed and OSD does not turn down; else the first of all.
    auto accepts = [&](int32_t osd) {
        if (osd == osd_none) return false;
        uint32_t affinity = map.affinity(osd);
        return affinity >= full_affinity ||
               crush_hash32(seed, static_cast<uint32_t>(osd)) >> 16 < affinity;
    };
    auto chosen = std::find_if(osds.begin(), osds.end(), accepts);
    if (chosen == osds.end()) chosen = std::find(osds.begin(), osds.end(), primary);
    if (chosen == osds.end()) return no_osd;
    primary = *chosen;
    if (pool.can_shift()) std::rotate(osds.begin(), chosen, chosen + 1);
    return primary;
}

OsdSet acting_of(const OsdMap& map, const Pool& pool, PgId pg, const OsdSet& up) {
    OsdSet acting;
    if (auto temp = map.pg_temp.find(pg); temp != map.pg_temp.end()) {
        acting.osds = temp->second;
        drop_down(map, pool, acting.osds);
        acting.primary = first_of(acting.osds);
    }
    if (auto temp = map.primary_temp.find(pg); temp != map.primary_temp.end())
        acting.primary = temp->second;
    if (!acting.osds.empty()) return acting;
    acting.osds = up.osds;
    if (acting.primary == no_osd) acting.primary = up.primary;
    return acting;
}

PgSets derive(const OsdMap& map, const Pool& pool, PgId pg, uint32_t seed,
              std::span<const int32_t> walk) {
    PgSets sets;
    sets.raw.osds.assign(walk.begin(), walk.end());
    drop_missing(map, pool, sets.raw.osds);
    sets.raw.primary = first_of(sets.raw.osds);
    sets.mapped = sets.raw;
    apply_upmap(map, pg, sets.mapped.osds);
    sets.mapped.primary = first_of(sets.mapped.osds);
    sets.up.osds = sets.mapped.osds;
    drop_down(map, pool, sets.up.osds);
    sets.up.primary = choose_primary(map, pool, seed, sets.up.osds);
    sets.acting = acting_of(map, pool, pg, sets.up);
    return sets;
}

} // namespace steps

Result<Placer> Placer::prepare(std::shared_ptr<const OsdMap> map) {
    CrushMapper mapper = TRY(CrushMapper::prepare(*map->crush));
    return Placer(std::move(map), std::move(mapper));
}

Result<Placer> Placer::prepare_next(std::shared_ptr<const OsdMap> map) const {
    if (map->crush == map_->crush) return Placer(std::move(map), mapper_);
    return prepare(std::move(map));
}

PgSets Placer::place(CrushWorkspace& work, PgId pg) const {
    const Pool* pool = map_->pool(pg.pool);
    if (!pool) return {};
    uint32_t seed = placement_seed(*pool, pg);
    std::span<const int32_t> walk;
    if (int32_t rule = rule_of_pool(*map_->crush, *pool); rule >= 0)
        walk = mapper_.map(work, {rule, pool->size, map_->osd_weight, pg.pool}, seed);
    return steps::derive(*map_, *pool, pg_of_raw(*pool, pg), seed, walk);
}

} // namespace cloudlet::rados
