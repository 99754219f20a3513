// Whole pools at once, and from one map to the next only what the difference can touch.

#include <algorithm>
#include <cstring>
#include <set>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/crush_hash.h"
#include "hierarchy_losses.h"
#include "placement_steps.h"

namespace cloudlet::rados {

void OsdRows::resize(size_t count, size_t width) {
    width_ = width;
    items_.assign(count * width, no_osd);
    sizes_.assign(count, 0);
}

void OsdRows::set(size_t row, std::span<const int32_t> osds) {
    if (osds.size() > width_) {
        OsdRows wider;
        wider.resize(count(), osds.size());
        for (size_t i = 0; i < count(); ++i) wider.set(i, (*this)[i]);
        *this = std::move(wider);
    }
    std::copy(osds.begin(), osds.end(), items_.begin() + static_cast<ptrdiff_t>(row * width_));
    sizes_[row] = static_cast<uint16_t>(osds.size());
}

bool OsdRows::operator==(const OsdRows& other) const {
    if (sizes_ != other.sizes_) return false;
    for (size_t row = 0; row < count(); ++row)
        if (!std::ranges::equal((*this)[row], other[row])) return false;
    return true;
}

bool PoolPlacement::operator==(const PoolPlacement& other) const {
    return pool == other.pool && walk == other.walk && up == other.up && acting == other.acting &&
           up_primary == other.up_primary && acting_primary == other.acting_primary;
}

namespace {

size_t at(int32_t osd) { return static_cast<size_t>(osd); }

PgId pg_at(PoolId pool, size_t seed) { return {pool, static_cast<uint32_t>(seed)}; }

uint32_t weight_of(const OsdMap& map, int32_t osd) {
    return map.has_osd(osd) ? map.osd_weight[at(osd)] : 0;
}

/// Scratch of derive_row(), so that a pool costs no allocation for each of its PGs.
struct RowScratch {
    OsdSet up;
};

/// Fills a row's up and acting sets from its walk.
void derive_row(const OsdMap& map, const Pool& pool, PoolPlacement& out, size_t row,
                RowScratch& scratch) {
    PgId pg = pg_at(out.pool, row);
    OsdSet& up = scratch.up;
    up.osds.assign(out.walk[row].begin(), out.walk[row].end());
    steps::drop_missing(map, pool, up.osds);
    if (!map.pg_upmap.empty() || !map.pg_upmap_items.empty()) steps::apply_upmap(map, pg, up.osds);
    steps::drop_down(map, pool, up.osds);
    up.primary = steps::choose_primary(map, pool, placement_seed(pool, pg), up.osds);
    out.up.set(row, up.osds);
    out.up_primary[row] = up.primary;
    if (map.pg_temp.empty() && map.primary_temp.empty()) {
        out.acting.set(row, up.osds);
        out.acting_primary[row] = up.primary;
    } else {
        OsdSet acting = steps::acting_of(map, pool, pg, up);
        out.acting.set(row, acting.osds);
        out.acting_primary[row] = acting.primary;
    }
    ++out.derived;
}

/// Walks the given rows of a pool in vectorised batches.
void walk_rows(const CrushMapper& mapper, CrushWorkspace& work, const OsdMap& map, const Pool& pool,
               PoolPlacement& out, std::span<const uint32_t> rows) {
    out.walked += static_cast<uint32_t>(rows.size());
    CrushQuery query{rule_of_pool(*map.crush, pool), pool.size, map.osd_weight, out.pool};
    if (query.rule < 0) {
        for (uint32_t row : rows) out.walk.set(row, {});
        return;
    }
    constexpr size_t batch = 4096; // keeps a batch's results in the cache
    std::vector<uint32_t> seeds;
    CrushResults results;
    for (size_t first = 0; first < rows.size(); first += batch) {
        auto part = rows.subspan(first, std::min(batch, rows.size() - first));
        seeds.clear();
        for (uint32_t row : part) seeds.push_back(placement_seed(pool, pg_at(out.pool, row)));
        mapper.map_many(work, query, seeds, results);
        for (size_t i = 0; i < part.size(); ++i) out.walk.set(part[i], results[i]);
    }
}

PoolPlacement empty_placement(const OsdMap& map, PoolId id) {
    const Pool* pool = map.pool(id);
    check(pool != nullptr, "the pool to place exists");
    PoolPlacement out;
    out.pool = id;
    for (OsdRows* rows : {&out.walk, &out.up, &out.acting}) rows->resize(pool->pg_num, pool->size);
    out.up_primary.assign(pool->pg_num, no_osd);
    out.acting_primary.assign(pool->pg_num, no_osd);
    return out;
}

/// The buckets that a rule can reach, in order of id.
std::set<int32_t> buckets_of_rule(const CrushMap& crush, const CrushRule& rule) {
    std::set<int32_t> reached;
    std::vector<int32_t> next;
    for (const CrushStep& step : rule.steps)
        if (step.op == RuleOp::take) next.push_back(step.arg1);
    while (!next.empty()) {
        const CrushBucket* bucket = crush.bucket(next.back());
        int32_t id = next.back();
        next.pop_back();
        if (!bucket || !reached.insert(id).second) continue;
        next.insert(next.end(), bucket->items.begin(), bucket->items.end());
    }
    return reached;
}

bool can_take(const CrushMap& crush, int32_t item) {
    return item >= 0 ? item < crush.max_devices : crush.bucket(item) != nullptr;
}

/// True when no walk of this rule can tell the two maps apart (with equal device weights).
bool same_hierarchy(const CrushMap& a, const CrushMap& b, int32_t rule_id, PoolId pool) {
    const CrushRule &rule = *a.rule(rule_id), &other = *b.rule(rule_id);
    if (rule.steps != other.steps || a.tunables != b.tunables) return false;
    for (const CrushStep& step : rule.steps)
        if (step.op == RuleOp::take && can_take(a, step.arg1) != can_take(b, step.arg1))
            return false;
    const CrushChooseArgs *args_a = a.choose_args_for(pool), *args_b = b.choose_args_for(pool);
    static const CrushChooseArgs none;
    const CrushChooseArgs &arguments_a = args_a ? *args_a : none,
                          &arguments_b = args_b ? *args_b : none;
    for (int32_t id : buckets_of_rule(a, rule)) {
        const CrushBucket* mine = a.bucket(id);
        const CrushBucket* theirs = b.bucket(id);
        if (!theirs || *mine != *theirs) return false;
        auto arg_a = arguments_a.find(id), arg_b = arguments_b.find(id);
        if ((arg_a == arguments_a.end()) != (arg_b == arguments_b.end())) return false;
        if (arg_a != arguments_a.end() && arg_a->second != arg_b->second) return false;
    }
    return true;
}

/// A rule whose accepted devices all come out again: one take, one emit, devices chosen last. Only
/// then does a walk's result show every device that the walk accepted.
bool shows_all_it_accepts(const CrushRule& rule) {
    int takes = 0, emits = 0, device_steps = 0;
    for (const CrushStep& step : rule.steps) {
        if (step.op == RuleOp::take) ++takes;
        if (step.op == RuleOp::emit) ++emits;
        bool choose = step.op == RuleOp::choose_firstn || step.op == RuleOp::choose_indep;
        bool leaf = step.op == RuleOp::chooseleaf_firstn || step.op == RuleOp::chooseleaf_indep;
        if ((leaf || choose) && device_steps) return false; // forgets what was chosen
        if (leaf || (choose && step.arg2 == 0)) ++device_steps;
    }
    return takes == 1 && emits == 1 && device_steps == 1;
}

struct Reweight {
    int32_t osd;
    uint32_t before, after;

    /// Whether CRUSH sees the device in with one weight and out with the other.
    bool flips(uint32_t seed) const {
        auto is_in = [&](uint32_t weight) {
            if (weight >= crush_weight_one) return true;
            return weight && (crush_hash32(seed, static_cast<uint32_t>(osd)) & 0xffff) < weight;
        };
        return is_in(before) != is_in(after);
    }
};

/// What differs between two maps for the PGs of one pool.
class Difference {
public:
    Difference(const OsdMap& before, const OsdMap& after, PoolId id)
        : before_(before), after_(after), old_pool_(*before.pool(id)), pool_(*after.pool(id)) {
        int32_t old_rule = rule_of_pool(*before.crush, old_pool_);
        int32_t rule = rule_of_pool(*after.crush, pool_);
        all_walks_ = old_rule != rule || old_pool_.size != pool_.size;
        if (!all_walks_ && rule >= 0 && before.crush != after.crush &&
            !same_hierarchy(*before.crush, *after.crush, rule, id)) {
            losers_ = devices_that_lose(before, after, rule, id);
            all_walks_ = !losers_;
        }
        all_derived_ = old_pool_.type != pool_.type ||
                       before.primary_affinity.empty() != after.primary_affinity.empty();
        int32_t devices = std::max(before.max_osd(), after.max_osd());
        changed_.resize(at(devices));
        for (int32_t osd = 0; osd < devices; ++osd) compare(osd);
        if (rule >= 0 && !all_walks_) keep_reachable(*after.crush, *after.crush->rule(rule));
    }

    /// Whether a PG's walk must be repeated, given what it was.
    bool touches_walk(PgId pg, std::span<const int32_t> walk) const {
        if (all_walks_) return true;
        uint32_t seed = placement_seed(pool_, pg);
        if (seed != placement_seed(old_pool_, pg)) return true;
        if (losers_ && met_a_loser(walk)) return true;
        for (const Reweight& reweight : reweights_) {
            if (!reweight.flips(seed)) continue;
            // Turned down from now on: matters only to a walk that had accepted it.
            bool leaves = reweight.after < reweight.before;
            if (!leaves || !shows_all_ ||
                std::find(walk.begin(), walk.end(), reweight.osd) != walk.end())
                return true;
        }
        return false;
    }

    /// Whether its sets must be derived anew from the same walk.
    bool touches_sets(PgId pg, std::span<const int32_t> walk) const {
        return all_derived_ || changed(walk) ||
               entry_touched(before_.pg_upmap, after_.pg_upmap, pg) ||
               entry_touched(before_.pg_temp, after_.pg_temp, pg) || items_touched(pg) ||
               primary_touched(pg);
    }

private:
    /// An incomplete walk does not tell what it met.
    bool met_a_loser(std::span<const int32_t> walk) const {
        return walk.size() < pool_.size || std::any_of(walk.begin(), walk.end(), [&](int32_t osd) {
                   return osd == osd_none || (*losers_)[at(osd)];
               });
    }

    void compare(int32_t osd) {
        uint32_t before = weight_of(before_, osd), after = weight_of(after_, osd);
        if (before != after) reweights_.push_back({osd, before, after});
        bool both = before_.has_osd(osd) && after_.has_osd(osd);
        changed_[at(osd)] = before_.has_osd(osd) != after_.has_osd(osd) ||
                            before_.exists(osd) != after_.exists(osd) ||
                            before_.is_up(osd) != after_.is_up(osd) ||
                            (before == 0) != (after == 0) ||
                            (both && before_.affinity(osd) != after_.affinity(osd));
    }

    /// Reweights of devices that the rule cannot reach touch no walk.
    void keep_reachable(const CrushMap& crush, const CrushRule& rule) {
        shows_all_ = shows_all_it_accepts(rule);
        std::vector<bool> reachable(changed_.size());
        auto mark = [&](int32_t item) {
            if (item >= 0 && at(item) < reachable.size()) reachable[at(item)] = true;
        };
        for (const CrushStep& step : rule.steps)
            if (step.op == RuleOp::take) mark(step.arg1);
        for (int32_t id : buckets_of_rule(crush, rule))
            for (int32_t item : crush.bucket(id)->items) mark(item);
        // choose_args may give other ids to draw with, never other devices.
        std::erase_if(reweights_, [&](const Reweight& r) { return !reachable[at(r.osd)]; });
        constexpr size_t worth_asking = 64; // asking about more costs as much as walking
        all_walks_ = reweights_.size() > worth_asking;
    }

    bool changed(std::span<const int32_t> osds) const {
        return std::any_of(osds.begin(), osds.end(), [&](int32_t osd) {
            return osd >= 0 && at(osd) < changed_.size() && changed_[at(osd)];
        });
    }

    bool entry_touched(const PgOsds& before, const PgOsds& after, PgId pg) const {
        if (before.empty() && after.empty()) return false;
        auto old = before.find(pg), now = after.find(pg);
        if (old == before.end() || now == after.end())
            return (old == before.end()) != (now == after.end());
        return old->second != now->second || changed(now->second);
    }

    bool items_touched(PgId pg) const {
        const PgItems &before = before_.pg_upmap_items, &after = after_.pg_upmap_items;
        if (before.empty() && after.empty()) return false;
        auto old = before.find(pg), now = after.find(pg);
        if (old == before.end() || now == after.end())
            return (old == before.end()) != (now == after.end());
        if (old->second != now->second) return true;
        return std::any_of(now->second.begin(), now->second.end(), [&](const auto& item) {
            const int32_t both[] = {item.first, item.second};
            return changed(both);
        });
    }

    bool primary_touched(PgId pg) const {
        const auto &before = before_.primary_temp, &after = after_.primary_temp;
        if (before.empty() && after.empty()) return false;
        auto old = before.find(pg), now = after.find(pg);
        if (old == before.end() || now == after.end())
            return (old == before.end()) != (now == after.end());
        return old->second != now->second;
    }

    const OsdMap &before_, &after_;
    const Pool &old_pool_, &pool_;
    bool all_walks_ = false, all_derived_ = false, shows_all_ = false;
    std::optional<std::vector<bool>> losers_; // when all that the hierarchies differ by is losses
    std::vector<Reweight> reweights_;
    std::vector<bool> changed_;
};

} // namespace

PoolPlacement Placer::place_pool(CrushWorkspace& work, PoolId id) const {
    PoolPlacement out = empty_placement(*map_, id);
    const Pool& pool = *map_->pool(id);
    std::vector<uint32_t> rows(pool.pg_num);
    for (uint32_t row = 0; row < pool.pg_num; ++row) rows[row] = row;
    walk_rows(mapper_, work, *map_, pool, out, rows);
    RowScratch scratch;
    for (uint32_t row : rows) derive_row(*map_, pool, out, row, scratch);
    return out;
}

PoolPlacement Placer::update_pool(CrushWorkspace& work, const Placer& before,
                                  const PoolPlacement& old, PoolId id) const {
    const Pool* old_pool = before.map().pool(id);
    if (!old_pool || old.pool != id || old.pg_num() != old_pool->pg_num)
        return place_pool(work, id);
    const Pool& pool = *map_->pool(id);
    Difference difference(before.map(), *map_, id);
    PoolPlacement out = empty_placement(*map_, id);
    std::vector<uint32_t> walks, derivations;
    for (uint32_t row = 0; row < pool.pg_num; ++row) {
        PgId pg = pg_at(id, row);
        if (row >= old.pg_num() || difference.touches_walk(pg, old.walk[row])) {
            walks.push_back(row);
            continue;
        }
        out.walk.set(row, old.walk[row]);
        if (difference.touches_sets(pg, old.walk[row])) {
            derivations.push_back(row);
            continue;
        }
        out.up.set(row, old.up[row]);
        out.acting.set(row, old.acting[row]);
        out.up_primary[row] = old.up_primary[row];
        out.acting_primary[row] = old.acting_primary[row];
    }
    walk_rows(mapper_, work, *map_, pool, out, walks);
    RowScratch scratch;
    for (uint32_t row : walks) derive_row(*map_, pool, out, row, scratch);
    for (uint32_t row : derivations) derive_row(*map_, pool, out, row, scratch);
    return out;
}

} // namespace cloudlet::rados
