// What a PG tells of itself, and who is heard.

#include <algorithm>

#include <fmt/format.h>

#include "pg/placement_group.h"

namespace cloudlet::rados {

void PlacementGroup::receive(int32_t from, const MessageBody& body) {
    using namespace message;
    if (auto* m = std::get_if<Replicate>(&body)) return take_change(from, *m);
    if (auto* m = std::get_if<Replicated>(&body)) {
        if (m->lacks_object) return change_lacks_object(from, m->version);
        return change_is_safe(from, m->version);
    }
    if (auto* m = std::get_if<Query>(&body)) return take_query(from, *m);
    if (auto* m = std::get_if<Notify>(&body)) {
        if (is_primary()) heard_info(from, *m);
        return;
    }
    if (auto* m = std::get_if<FullRecord>(&body)) return take_full_record(from, *m);
    if (auto* m = std::get_if<Activate>(&body)) return told_to_serve(from, *m);
    if (auto* m = std::get_if<Activated>(&body))
        return m->refused ? refused_to_serve(from) : activated(from);
    if (auto* m = std::get_if<Learn>(&body)) {
        if (from == view_.acting.primary) learn(*m);
        return;
    }
    if (std::get_if<Drop>(&body)) {
        if (from == view_.acting.primary && !is_member()) host_.remove(pg_);
        return;
    }
    if (auto* m = std::get_if<Pull>(&body)) return serve_pull(from, *m);
    if (auto* m = std::get_if<Push>(&body)) return take_push(from, *m);
    if (auto* m = std::get_if<Pushed>(&body)) return pushed(from, *m);
    if (auto* m = std::get_if<Scan>(&body)) return serve_scan(from, *m);
    if (auto* m = std::get_if<Scanned>(&body)) return take_scan(from, *m);
    if (auto* m = std::get_if<BackfillProgress>(&body)) return take_progress(from, *m);
    if (auto* m = std::get_if<Reserve>(&body)) return take_reserve(from, *m);
    if (auto* m = std::get_if<ScrubReserve>(&body)) return take_scrub_reserve(from, *m);
    if (auto* m = std::get_if<ScrubAsk>(&body)) return serve_scrub(from, *m);
    if (auto* m = std::get_if<ScrubAnswer>(&body)) return take_scrub(from, *m);
}

void PlacementGroup::take_query(int32_t from, const message::Query& query) {
    if (!now_.flushed) {
        now_.held.edit().queries.emplace_back(from, query);
        return;
    }
    // A copy that did not exist when it was told to serve asks for it again so.
    if (now_.stage == PgStage::activating && now_.peering->awaited.contains(from))
        return send_activate(from);
    if (query.record) return host_.send(from, own_record());
    host_.send(from, own_notify(from));
}

void PlacementGroup::take_full_record(int32_t from, const message::FullRecord& record) {
    if (now_.stage == PgStage::get_missing) return take_record(from, record);
    if (now_.stage != PgStage::get_log || from != now_.peering->choice.authority.osd) return;
    PgInfo& mine = copy_.record.info;
    mine.last_user_version = std::max(mine.last_user_version, record.info.last_user_version);
    take_log(*record.log);
}

PgState PlacementGroup::state() const {
    PgState state;
    const bool created = copy_.record.info.history.last_epoch_started > 0;
    if (!created) state.set(PgFlag::creating);
    switch (now_.stage) {
    case PgStage::down: state.set(PgFlag::down); return state;
    case PgStage::incomplete: state.set(PgFlag::incomplete); return state;
    case PgStage::activating: state.set(PgFlag::activating); break;
    case PgStage::wait_readers: state.set(PgFlag::wait); break;
    case PgStage::active:
    case PgStage::peered: break;
    default: state.set(PgFlag::peering); return state;
    }
    const size_t count = view_.acting_count();
    if (now_.stage == PgStage::active) state.set(PgFlag::active);
    if (now_.stage == PgStage::peered) state.set(PgFlag::peered);
    if (count < view_.size) state.set(PgFlag::undersized);
    if (count < view_.size || objects_missing()) state.set(PgFlag::degraded);
    if (view_.up.osds != view_.acting.osds) state.set(PgFlag::remapped);
    add_work(state);
    return state;
}

void PlacementGroup::add_work(PgState& state) const {
    switch (now_.work) {
    case PgWork::recovery_wait: state.set(PgFlag::recovery_wait); break;
    case PgWork::recovering: state.set(PgFlag::recovering); break;
    case PgWork::recovery_too_full: state.set(PgFlag::recovery_toofull); break;
    case PgWork::unfound:
        state.set(all_filled() ? PgFlag::recovery_unfound : PgFlag::backfill_unfound);
        break;
    case PgWork::backfill_wait: state.set(PgFlag::backfill_wait); break;
    case PgWork::backfilling: state.set(PgFlag::backfilling); break;
    case PgWork::backfill_too_full: state.set(PgFlag::backfill_toofull); break;
    case PgWork::clean: state.set(PgFlag::clean); break;
    default: break;
    }
    if (now_.scrub) {
        state.set(PgFlag::scrubbing);
        if (now_.scrub->deep) state.set(PgFlag::deep);
        if (now_.scrub->repair) state.set(PgFlag::repair);
    }
    if (copy_.record.info.history.known_scrub_errors() > 0) state.set(PgFlag::inconsistent);
    auto end = lease_end();
    const bool cut_off = end && host_.world().now() >= *end;
    if (now_.stage == PgStage::active && cut_off) state.set(PgFlag::laggy);
}

PgReport PlacementGroup::report() const {
    PgReport report{.pg = pg_,
                    .state = state(),
                    .since = interval(),
                    .history = copy_.record.info.history,
                    .last_update = copy_.record.info.last_update,
                    .up = view_.up.osds,
                    .acting = view_.acting.osds,
                    .objects = copy_.objects,
                    .unfound = unfound(),
                    .scrub_errors = copy_.record.info.history.known_scrub_errors()};
    report.degraded = copy_.record.missing.size();
    for (const auto& [osd, peer] : now_.peers) {
        if (!peer.fill) report.degraded += peer.missing.size();
    }
    const size_t count = view_.acting_count();
    if (count < view_.size) report.degraded += (view_.size - count) * copy_.objects;
    const bool misplaced = view_.up.osds != view_.acting.osds && count >= view_.size;
    if (misplaced) report.misplaced = copy_.objects;
    return report;
}

std::string PlacementGroup::describe() const {
    return fmt::format("{} {} {} {} up {} acting {} {} missing {} queues {} writes {}",
                       pg_.to_string(), name_of(now_.stage), name_of(now_.work),
                       state().to_string(), osds_to_string(view_.up.osds),
                       osds_to_string(view_.acting.osds), copy_.record.info.last_update.to_string(),
                       copy_.record.missing.size(), now_.queues->size(), now_.writes.size());
}

} // namespace cloudlet::rados
