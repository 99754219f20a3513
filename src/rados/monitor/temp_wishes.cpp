#include "monitor/temp_wishes.h"

#include <algorithm>

namespace cloudlet::rados {
namespace {

bool serves_nothing(const MapEpoch& now, PgId pg, const std::vector<int32_t>& osds) {
    const Pool* pool = now.map().pool(pg.pool);
    if (!pool || pg.seed >= pool->pg_num || now.up(pg).osds == osds) return true;
    return std::none_of(osds.begin(), osds.end(),
                        [&](int32_t osd) { return now.map().is_up(osd); });
}

bool may_ask(const MapEpoch& now, PgId pg, int32_t asker, Epoch epoch) {
    return now.map().is_up(asker) && now.serves(pg, asker) &&
           now.map().osd_info[static_cast<size_t>(asker)].up_from <= epoch;
}

} // namespace

void TempWishes::want(PgId pg, int32_t asker, Epoch epoch, std::vector<int32_t> osds) {
    wishes_[pg] = {asker, epoch, std::move(osds)};
}

void TempWishes::forget(int32_t asker) {
    std::erase_if(wishes_, [&](const auto& entry) { return entry.second.asker == asker; });
}

void TempWishes::draft(const MapEpoch& now, MapDraft& draft) {
    const PgOsds& temps = now.map().pg_temp;
    for (auto& [pg, wish] : wishes_)
        if (serves_nothing(now, pg, wish.osds)) wish.osds.clear();
    std::erase_if(wishes_, [&](const auto& entry) {
        auto& [pg, wish] = entry;
        if (!may_ask(now, pg, wish.asker, wish.epoch)) return true;
        auto present = temps.find(pg);
        return present == temps.end() ? wish.osds.empty() : present->second == wish.osds;
    });
    for (const auto& [pg, wish] : wishes_) draft.change().new_pg_temp[pg] = wish.osds;
    for (const auto& [pg, osds] : temps)
        if (!wishes_.contains(pg) && serves_nothing(now, pg, osds))
            draft.change().new_pg_temp[pg] = {};
}

} // namespace cloudlet::rados
