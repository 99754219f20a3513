#include "monitor/pg_pasts.h"

#include <bit>

namespace cloudlet::rados {
namespace {

PgPast created_in(const MapEpoch& now, PgId pg) {
    PgPast past{.view = now.view(pg)};
    Epoch epoch = now.epoch();
    past.history.epoch_created = epoch;
    past.history.same_up_since = epoch;
    past.history.same_interval_since = epoch;
    past.history.same_primary_since = epoch;
    return past;
}

void go_on(PgPast& past, PgView view, const OsdMap& last_map) {
    if (interval_change(past.view, view)) {
        PgHistory& history = past.history;
        // Nobody can have written without up_thru, so it does not matter when the PG was clean.
        past.intervals.push_back(
            close_interval(past.view, history.same_interval_since, last_map, 0));
        history.same_interval_since = view.epoch;
        if (past.view.up != view.up) history.same_up_since = view.epoch;
        if (past.view.acting.primary != view.acting.primary)
            history.same_primary_since = view.epoch;
    }
    past.view = std::move(view);
}

} // namespace

void PgPasts::begin(const MapEpoch& base) {
    pasts_.clear();
    for (const auto& [id, pool] : base.map().pools)
        for (uint32_t seed = 0; seed < pool.pg_num; ++seed)
            pasts_.emplace(PgId{id, seed}, created_in(base, {id, seed}));
}

void PgPasts::advance(const MapEpoch& before, const MapEpoch& now) {
    std::erase_if(pasts_, [&](const auto& entry) {
        const Pool* pool = now.map().pool(entry.first.pool);
        return !pool || entry.first.seed >= pool->pg_num;
    });
    add_new(before, now);
    for (auto& [pg, past] : pasts_)
        if (past.history.epoch_created != now.epoch()) go_on(past, now.view(pg), before.map());
}

void PgPasts::add_new(const MapEpoch& before, const MapEpoch& now) {
    for (const auto& [id, pool] : now.map().pools) {
        const Pool* old = before.map().pool(id);
        uint32_t few = old ? old->pg_num : 0;
        for (uint32_t seed = few; seed < pool.pg_num; ++seed) {
            if (!old) {
                pasts_.emplace(PgId{id, seed}, created_in(now, {id, seed}));
                continue;
            }
            PgPast child = pasts_.at({id, stable_mod(seed, few, std::bit_ceil(few) - 1)});
            child.view.pg.seed = seed;
            pasts_.emplace(PgId{id, seed}, std::move(child));
        }
    }
}

const PgPast* PgPasts::find(PgId pg) const {
    auto found = pasts_.find(pg);
    return found == pasts_.end() ? nullptr : &found->second;
}

} // namespace cloudlet::rados
