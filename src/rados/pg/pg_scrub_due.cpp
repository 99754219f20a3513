// Scrubs that nobody asked for: when they are due, the slots that they take, and what ends them
// early. A slot is given or refused at once; who is refused gives back what he has and tries again
// later, so nobody waits for anybody.

#include "cloudlet/rados/planted_bug.h"
#include "pg/placement_group.h"

namespace cloudlet::rados {

std::optional<DueScrub> PlacementGroup::scrub_due() const {
    const bool rests =
        is_primary() && now_.stage == PgStage::active && now_.work == PgWork::clean && !now_.scrub;
    const bool tries = now_.scrub_slots && host_.world().now() < now_.scrub_slots->again_at;
    if (!rests || tries) return std::nullopt;
    const bool hold_shallow = flag(map_noscrub) && !planted(PlantedBug::ignore_noscrub);
    return due_scrub(pg_, copy_.record.info.history, host_.options().scrub,
                     {.shallow = hold_shallow, .deep = flag(map_nodeep_scrub)},
                     host_.world().wall());
}

void PlacementGroup::reserve_scrub() {
    if (!scrub_due() || !host_.take_scrub_slot(pg_)) return;
    now_.scrub_slots = std::make_unique<PgScrubSlots>();
    for (const auto& [osd, peer] : now_.peers) {
        if (peer.fill) continue;
        now_.scrub_slots->waits_for.insert(osd);
        host_.send(osd, message::ScrubReserve{pg_, message::ScrubReserve::Step::ask});
    }
    if (now_.scrub_slots->waits_for.empty()) scrub_slots_answered();
}

void PlacementGroup::take_scrub_reserve(int32_t from, const message::ScrubReserve& reserve) {
    using Step = message::ScrubReserve::Step;
    switch (reserve.step) {
    case Step::ask: {
        const bool serves = now_.stage == PgStage::replica && from == view_.acting.primary;
        const bool given = serves && host_.take_scrub_slot(pg_);
        return host_.send(from, message::ScrubReserve{pg_, given ? Step::granted : Step::refused});
    }
    case Step::release:
        if (is_primary() || planted(PlantedBug::leak_scrub_slot)) return;
        return host_.give_back_scrub_slot(pg_);
    case Step::granted:
    case Step::refused:
        if (!now_.scrub_slots || !now_.scrub_slots->waits_for.erase(from)) return;
        if (reserve.step == Step::granted)
            now_.scrub_slots->held.insert(from);
        else
            now_.scrub_slots->refused = true;
        if (now_.scrub_slots->waits_for.empty()) scrub_slots_answered();
        return;
    }
}

/// Everybody has answered, so no answer can be taken for one to a later question. Much may have
/// happened since.
void PlacementGroup::scrub_slots_answered() {
    auto slots = std::move(now_.scrub_slots);
    const auto due = slots->refused ? std::nullopt : scrub_due();
    now_.scrub_slots = std::move(slots);
    if (!due) return give_up_scrub();
    host_.scrub_begins(due->deep);
    begin_scrub({.pg = pg_, .deep = due->deep}, true);
}

void PlacementGroup::give_up_scrub() {
    if (tells()) tell("somebody has no slot for its scrub");
    give_back_scrub_slots();
    const Duration pause = host_.options().scrub_retry;
    now_.scrub_slots = std::make_unique<PgScrubSlots>();
    now_.scrub_slots->again_at = host_.world().now() + pause / 2 +
                                 Duration(static_cast<Duration::rep>(host_.world().random().below(
                                     static_cast<uint64_t>(pause.count()))));
}

void PlacementGroup::give_back_scrub_slots() {
    if (!now_.scrub_slots) return;
    for (int32_t osd : now_.scrub_slots->held)
        host_.send(osd, message::ScrubReserve{pg_, message::ScrubReserve::Step::release});
    now_.scrub_slots.reset();
    host_.give_back_scrub_slot(pg_);
}

/// An operator wants no such scrubs; what he asked for himself goes on.
bool PlacementGroup::scrub_is_held() const {
    const PgScrub& scrub = *now_.scrub;
    return scrub.scheduled && flag(scrub.deep ? map_nodeep_scrub : map_noscrub);
}

} // namespace cloudlet::rados
