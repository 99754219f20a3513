// Peering, first part: a primary asks all who may know something: what they have (get_info), the
// authority for its log (get_log), and those who will serve for theirs (get_missing).

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/rados/planted_bug.h"
#include "pg/placement_group.h"

namespace cloudlet::rados {

void PlacementGroup::start_peering() {
    now_.peering = std::make_unique<PgPeering>();
    update_prior();
}

void PlacementGroup::update_prior() {
    bool changed = false;
    for (auto at = now_.peering->asked.begin(); at != now_.peering->asked.end();) {
        if (at->second == up_since(at->first)) {
            ++at;
            continue;
        }
        now_.infos.edit().erase(PgShard{at->first});
        now_.peering->reads_until.erase(at->first);
        at = now_.peering->asked.erase(at);
        changed = true;
    }
    PriorSet prior = copy_.past.prior_set(
        view_, host_.map()->map(), copy_.record.info.history.last_epoch_started, 1, damaged());
    if (planted(PlantedBug::ignore_past_intervals)) prior.down = false;
    changed =
        changed || prior.ask != now_.peering->prior.ask || prior.down != now_.peering->prior.down;
    now_.peering->prior = std::move(prior);
    const bool asks = now_.stage == PgStage::get_info || now_.stage == PgStage::down ||
                      now_.stage == PgStage::incomplete;
    if (asks ? now_.stage == PgStage::down && !now_.peering->prior.down : changed)
        go(PgStage::get_info, PgEvent::prior_set_changed);
    ask_infos();
}

/// Those whose records could not be read, as far as they were heard.
std::map<int32_t, Epoch> PlacementGroup::damaged() const {
    std::map<int32_t, Epoch> osds;
    for (const auto& [shard, info] : *now_.infos)
        if (info.damaged_until) osds.emplace(shard.osd, info.damaged_until);
    const Epoch ours = copy_.record.info.damaged_until;
    if (ours) osds.emplace(host_.number(), ours);
    return osds;
}

void PlacementGroup::ask_infos() {
    const bool asks = now_.stage == PgStage::get_info || now_.stage == PgStage::down ||
                      now_.stage == PgStage::incomplete;
    if (!asks) return;
    now_.peering->awaited.clear();
    for (PgShard shard : now_.peering->prior.ask) {
        if (shard.osd == host_.number() || now_.infos->contains(shard)) continue;
        now_.peering->awaited.insert(shard.osd);
        if (now_.peering->asked.contains(shard.osd)) continue;
        now_.peering->asked[shard.osd] = up_since(shard.osd);
        host_.send(shard.osd, message::Query{pg_});
    }
    if (now_.stage != PgStage::get_info) return;
    if (now_.peering->prior.down) {
        if (tells())
            tell(
                fmt::format("must wait for osd.{}", now_.peering->prior.blocked_by.begin()->first));
        return go(PgStage::down, PgEvent::member_awaited);
    }
    if (now_.peering->awaited.empty()) choose();
}

void PlacementGroup::heard_info(int32_t from, const message::Notify& notify) {
    now_.infos.edit()[PgShard{from}] = notify.info;
    if (now_.peering) {
        now_.peering->asked[from] = up_since(from);
        for (const auto& [reader, left] : notify.reads_left)
            now_.peering->reads_until[from][reader] = host_.world().now() + left;
    }
    const PgHistory before = copy_.record.info.history;
    copy_.record.info.history.learn(notify.info.history);
    if (!(before == copy_.record.info.history)) save();
    switch (now_.stage) {
    case PgStage::get_info:
    case PgStage::down: return update_prior();
    case PgStage::incomplete: go(PgStage::get_info, PgEvent::more_heard); return update_prior();
    case PgStage::active:
    case PgStage::peered:
        // What was not found may be here; what this OSD was asked for in its last life is not
        // coming.
        repair().unfound.clear();
        if (now_.work == PgWork::unfound) go(PgWork::rest, PgEvent::object_found);
        forget_lost_sources();
        kick_all();
        consider();
        if (now_.work == PgWork::clean) drop_strays();
        return;
    default: return;
    }
}

void PlacementGroup::choose() {
    PgInfos infos = now_.infos;
    infos[PgShard{host_.number()}] = copy_.record.info;
    for (PgShard shard : now_.peering->unusable)
        infos[shard].last_backfill = {BackfillCursor::Place::begin, {}};
    now_.peering->choice = choose_acting(infos, view_);
    if (now_.peering->choice.incomplete) return go(PgStage::incomplete, PgEvent::nobody_has_all);
    if (now_.peering->choice.pg_temp) {
        if (tells())
            tell(fmt::format("wants {} to serve", osds_to_string(now_.peering->choice.acting)));
        go(PgStage::wait_acting, PgEvent::other_acting_wanted);
        return host_.want_temp(pg_, *now_.peering->choice.pg_temp);
    }
    host_.forget_temp(pg_);
    go(PgStage::get_log, PgEvent::acting_agreed);
    const int32_t authority = now_.peering->choice.authority.osd;
    const bool same =
        authority == host_.number() ||
        infos.at(now_.peering->choice.authority).last_update == copy_.record.info.last_update;
    if (same) {
        go(PgStage::get_missing, PgEvent::log_adopted);
        return ask_missing();
    }
    if (tells()) tell(fmt::format("follows the log of osd.{}", authority));
    host_.send(authority, message::Query{pg_, true});
}

void PlacementGroup::take_log(const PgLog& log) {
    Transaction transaction;
    if (!copy_.adopt(transaction, log)) return cannot_follow(PgShard{host_.number()});
    submit(std::move(transaction));
    go(PgStage::get_missing, PgEvent::log_adopted);
    ask_missing();
}

PgPeer& PlacementGroup::peer_of(PgShard shard, bool fill) {
    PgPeer& peer = now_.peers[shard.osd];
    peer.fill = fill;
    return peer;
}

void PlacementGroup::ask_missing() {
    now_.peering->awaited.clear();
    now_.peers.clear();
    now_.peering->fill_from_nothing.clear();
    const PgInfo& mine = copy_.record.info;
    auto ask = [&](PgShard shard, bool fill) {
        PgPeer& peer = peer_of(shard, fill);
        auto known = now_.infos->find(shard);
        const PgInfo info = known == now_.infos->end() ? PgInfo{} : known->second;
        const bool nothing = info.empty() || now_.peering->unusable.contains(shard) ||
                             info.last_backfill.place == BackfillCursor::Place::begin;
        if (fill && nothing) {
            now_.peering->fill_from_nothing.insert(shard.osd);
            peer.last_backfill = {BackfillCursor::Place::begin, {}};
            return;
        }
        peer.last_backfill = info.last_backfill;
        const bool same =
            info.last_update == mine.last_update && info.last_complete == info.last_update && !fill;
        if (same) return;
        now_.peering->awaited.insert(shard.osd);
        host_.send(shard.osd, message::Query{pg_, true});
    };
    for (int32_t osd : now_.peering->choice.acting)
        if (osd != host_.number()) ask(PgShard{osd}, false);
    for (PgShard shard : now_.peering->choice.backfill) ask(shard, true);
    missing_known_if_all();
}

void PlacementGroup::take_record(int32_t from, const message::FullRecord& record) {
    auto peer = now_.peers.find(from);
    if (peer == now_.peers.end() || !now_.peering->awaited.erase(from)) return;
    auto missing = missing_of_peer({record.info, *record.log, record.missing}, copy_.record.log);
    if (missing) {
        peer->second.missing = std::move(*missing);
        // It may have begun anew since it told its info.
        peer->second.last_backfill = record.info.last_backfill;
        if (planted(PlantedBug::lose_missing_entry) && !peer->second.missing.empty()) {
            const PgObject lost = peer->second.missing.items().begin()->first;
            peer->second.missing.erase(lost);
        }
        return missing_known_if_all();
    }
    if (peer->second.fill) {
        now_.peering->fill_from_nothing.insert(from);
        peer->second.last_backfill = {BackfillCursor::Place::begin, {}};
        return missing_known_if_all();
    }
    cannot_follow(PgShard{from});
}

/// Copies that can serve share a version with the authority: whoever wrote beyond the fork did so
/// in an earlier interval than all that follows it there. One that does not is damaged. It is
/// filled like an empty one, and peering begins anew.
void PlacementGroup::cannot_follow(PgShard shard) {
    if (tells()) tell(fmt::format("the log of osd.{} does not meet the authority's", shard.osd));
    go(PgStage::reset, PgEvent::new_interval);
    go(PgStage::get_info, PgEvent::is_primary);
    now_.peering->unusable.insert(shard);
    choose();
}

void PlacementGroup::missing_known_if_all() {
    if (!now_.peering->awaited.empty()) return;
    go(PgStage::wait_up_thru, PgEvent::missing_known);
    check_up_thru();
}

void PlacementGroup::check_up_thru() {
    const bool needed = needs_up_thru(host_.map()->map(), host_.number(), interval());
    if (needed && !planted(PlantedBug::skip_up_thru))
        return host_.want_up_thru(host_.map()->epoch());
    go(PgStage::activating, PgEvent::up_thru_recorded);
    activate();
}

message::FullRecord PlacementGroup::own_record() const {
    return {copy_.record.info, std::make_shared<const PgLog>(copy_.record.log),
            copy_.record.missing};
}

} // namespace cloudlet::rados
