#include "cloudlet/rados/map_epoch.h"

#include <algorithm>

#include "cloudlet/rados/osd_map_codec.h"

namespace cloudlet::rados {

namespace {

OsdSet set_at(const OsdRows& rows, const std::vector<int32_t>& primaries, size_t place) {
    auto row = rows[place];
    return {{row.begin(), row.end()}, primaries[place]};
}

} // namespace

Result<MapEpochPtr> MapEpoch::first(std::shared_ptr<const OsdMap> map) {
    auto placer = TRY(Placer::prepare(map));
    auto epoch = std::shared_ptr<MapEpoch>(new MapEpoch(std::move(map), std::move(placer)));
    epoch->place(nullptr);
    return MapEpochPtr(std::move(epoch));
}

Result<MapEpochPtr> MapEpoch::next(const MapEpochPtr& before, const OsdMapIncremental& step) {
    auto map = std::make_shared<const OsdMap>(TRY(apply_incremental(before->map(), step)));
    auto placer = TRY(before->placer_.prepare_next(map));
    auto epoch = std::shared_ptr<MapEpoch>(new MapEpoch(std::move(map), std::move(placer)));
    epoch->place(before.get());
    return MapEpochPtr(std::move(epoch));
}

void MapEpoch::place(const MapEpoch* before) {
    CrushWorkspace work;
    for (const auto& [id, pool] : map_->pools) {
        const PoolPlacement* old = nullptr;
        if (before) {
            auto found = before->placements_.find(id);
            if (found != before->placements_.end()) old = &found->second;
        }
        placements_.emplace(id, old ? placer_.update_pool(work, before->placer_, *old, id)
                                    : placer_.place_pool(work, id));
    }
}

const PoolPlacement* MapEpoch::placement(PgId pg) const {
    auto found = placements_.find(pg.pool);
    if (found == placements_.end() || pg.seed >= found->second.pg_num()) return nullptr;
    return &found->second;
}

OsdSet MapEpoch::up(PgId pg) const {
    const PoolPlacement* pool = placement(pg);
    return pool ? set_at(pool->up, pool->up_primary, pg.seed) : OsdSet{};
}

OsdSet MapEpoch::acting(PgId pg) const {
    const PoolPlacement* pool = placement(pg);
    return pool ? set_at(pool->acting, pool->acting_primary, pg.seed) : OsdSet{};
}

PgView MapEpoch::view(PgId pg) const { return view_pg(*map_, pg, up(pg), acting(pg)); }

bool MapEpoch::serves(PgId pg, int32_t osd) const {
    const PoolPlacement* pool = placement(pg);
    if (!pool) return false;
    auto up = pool->up[pg.seed], acting = pool->acting[pg.seed];
    return std::ranges::find(up, osd) != up.end() || std::ranges::find(acting, osd) != acting.end();
}

PgId MapEpoch::pg_of(PoolId id, const ObjectName& object) const {
    const Pool* pool = map_->pool(id);
    if (!pool) return {-1, 0};
    return pg_of_raw(*pool, {id, object_hash(*pool, object)});
}

Result<MapEpochPtr> MapCache::first(const std::shared_ptr<const OsdMap>& map) {
    {
        std::lock_guard lock(mutex_);
        auto found = by_map_.find(map.get());
        // A MapEpoch owns its map, so while it lives the address means this map.
        if (found != by_map_.end())
            if (auto result = found->second.lock()) return result;
    }
    auto made = TRY(MapEpoch::first(map));
    std::lock_guard lock(mutex_);
    by_map_.insert_or_assign(map.get(), made);
    forget_expired();
    return made;
}

Result<MapEpochPtr> MapCache::next(const MapEpochPtr& before, const MapStep& step) {
    const Key key{before.get(), step.get()};
    {
        std::lock_guard lock(mutex_);
        auto found = kept_.find(key);
        // An address may have been given to another map since: only the owners tell.
        if (found != kept_.end() && found->second.before.lock() == before &&
            found->second.step.lock() == step)
            if (auto result = found->second.result.lock()) return result;
    }
    auto made = TRY(MapEpoch::next(before, *step));
    std::lock_guard lock(mutex_);
    kept_.insert_or_assign(key, Kept{before, step, made});
    by_map_.insert_or_assign(made->shared_map().get(), made);
    forget_expired();
    return made;
}

/// Now and then, so that it costs each step little and never more room than is in use twice.
void MapCache::forget_expired() {
    if (kept_.size() + by_map_.size() < sweep_at_) return;
    std::erase_if(kept_, [](const auto& kept) { return kept.second.result.expired(); });
    std::erase_if(by_map_, [](const auto& kept) { return kept.second.expired(); });
    sweep_at_ = 2 * (kept_.size() + by_map_.size()) + least_sweep;
}

} // namespace cloudlet::rados
