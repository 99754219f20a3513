// Making all copies whole: what to do next, and single objects. An object that a request waits for
// goes first, and needs no slot.

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "cloudlet/rados/planted_bug.h"
#include "pg/placement_group.h"

namespace cloudlet::rados {

void PlacementGroup::consider() {
    if (now_.considering) return;
    now_.considering = true;
    for (;;) {
        const PgStage stage = now_.stage;
        const PgWork work = now_.work;
        recover_awaited();
        choose_work();
        if (now_.work == work && now_.stage == stage) break;
    }
    now_.considering = false;
    if (now_.work == PgWork::clean && now_.repair && now_.repair->is_idle()) now_.repair.reset();
}

PgRepair& PlacementGroup::repair() {
    if (!now_.repair) now_.repair = std::make_unique<PgRepair>();
    return *now_.repair;
}

void PlacementGroup::choose_work() {
    if (now_.stage != PgStage::active && now_.stage != PgStage::peered) return;
    switch (now_.work) {
    case PgWork::clean:
        if (objects_missing())
            go(PgWork::rest, PgEvent::objects_missing);
        else
            next_scrub();
        return;
    case PgWork::rest: return choose_rest();
    case PgWork::recovery_wait:
        if (is_recovery_held()) stop_work(PgEvent::held_by_flag);
        return;
    case PgWork::recovering:
        if (is_recovery_held()) return stop_work(PgEvent::held_by_flag);
        return recover_some();
    case PgWork::backfill_wait:
        if (!may_backfill()) stop_work(PgEvent::held_by_flag);
        return;
    case PgWork::backfilling:
        if (!may_backfill()) return stop_work(PgEvent::held_by_flag);
        if (objects_missing()) stop_work(PgEvent::objects_missing);
        return;
    case PgWork::unfound:
        if (can_recover_something() || !objects_missing()) go(PgWork::rest, PgEvent::object_found);
        return;
    case PgWork::backfill_too_full:
        if (can_recover_something()) go(PgWork::rest, PgEvent::asked_again);
        return;
    default: return;
    }
}

/// Something is missing that is not unfound.
bool PlacementGroup::can_recover_something() {
    auto can = [this](const MissingSet& missing) {
        return std::ranges::any_of(missing.items(), [this](const auto& item) {
            return !repair().unfound.contains(item.first);
        });
    };
    return can(copy_.record.missing) || std::ranges::any_of(now_.peers, [&](const auto& peer) {
               return can(peer.second.missing);
           });
}

void PlacementGroup::choose_rest() {
    if (objects_missing()) {
        if (is_recovery_held()) return;
        go(PgWork::recovery_wait, PgEvent::objects_missing);
        const bool fills_own = !copy_.record.missing.empty();
        return fills_own && too_full(PgWork::recovering) ? refused(host_.number()) : ask_slots();
    }
    if (!all_filled() && !planted(PlantedBug::clean_before_backfill)) {
        if (!may_backfill()) return;
        go(PgWork::backfill_wait, PgEvent::copies_to_fill);
        return ask_slots();
    }
    if (auto other = better_acting()) return host_.want_temp(pg_, *other);
    if (view_.acting_count() < view_.size) return;
    go(PgWork::clean, PgEvent::all_whole);
    all_whole();
}

/// Whom to ask for now that all are whole. A former copy stays where CRUSH finds too few.
std::optional<std::vector<int32_t>> PlacementGroup::better_acting() const {
    if (view_.up.osds == view_.acting.osds) return std::nullopt;
    PgInfos infos;
    infos[PgShard{host_.number()}] = copy_.record.info;
    for (const auto& [osd, peer] : now_.peers) infos[PgShard{osd}] = copy_.record.info;
    return choose_acting(infos, view_).pg_temp;
}

void PlacementGroup::stop_work(PgEvent why) {
    give_back_slots();
    now_.backfill.reset();
    go(PgWork::rest, why);
    kick_all();
}

bool PlacementGroup::all_filled() const {
    return std::ranges::all_of(
        now_.peers, [](const auto& peer) { return peer.second.last_backfill.complete(); });
}

bool PlacementGroup::objects_missing() const {
    if (!copy_.record.missing.empty()) return true;
    return std::ranges::any_of(now_.peers,
                               [](const auto& peer) { return !peer.second.missing.empty(); });
}

bool PlacementGroup::lacks(int32_t osd, const PgObject& object) const {
    return now_.peers.at(osd).missing.find(object) != nullptr;
}

size_t PlacementGroup::holders(const PgObject& object) const {
    size_t count = copy_.record.missing.find(object) ? 0 : 1;
    if (count == 0) return 0; // it is read here
    for (const auto& [osd, peer] : now_.peers)
        if (!peer.fill && !peer.missing.find(object)) ++count;
    return count;
}

/// Of objects that no request waits for.
bool PlacementGroup::is_recovery_held() const {
    return flag(map_norecover) && !planted(PlantedBug::ignore_norecover);
}

/// norebalance holds only what is misplaced: a PG with too few copies is filled all the same.
bool PlacementGroup::may_backfill() const {
    if (flag(map_nobackfill) && !planted(PlantedBug::ignore_nobackfill)) return false;
    if (!flag(map_norebalance)) return true;
    return view_.acting_count() < view_.size && !planted(PlantedBug::norebalance_stops_repair);
}

void PlacementGroup::timer() {
    if (now_.stage == PgStage::wait_readers) return check_readers();
    if (now_.work == PgWork::recovery_too_full || now_.work == PgWork::backfill_too_full)
        go(PgWork::rest, PgEvent::asked_again);
    kick_all();
    consider();
}

/// Starts as many objects as may be on their way at once, and sees when there is nothing left.
void PlacementGroup::recover_some() {
    auto start = [this](const MissingSet& missing) {
        std::vector<PgObject> next;
        for (const auto& [object, item] : missing.items()) {
            if (repair().recoveries.size() + next.size() >= host_.options().recover_at_once) break;
            if (!repair().recoveries.contains(object) && !repair().unfound.contains(object))
                next.push_back(object);
        }
        for (const PgObject& object : next) recover(object);
    };
    start(copy_.record.missing);
    for (auto& [osd, peer] : now_.peers) start(peer.missing);
    if (!repair().recoveries.empty() || now_.work != PgWork::recovering) return;
    give_back_slots();
    if (!objects_missing()) return go(PgWork::rest, PgEvent::all_recovered);
    if (tells()) tell(fmt::format("{} objects are unfound", repair().unfound.size()));
    go(PgWork::unfound, PgEvent::only_unfound_left);
}

void PlacementGroup::recover(const PgObject& object) {
    if (repair().recoveries.contains(object) || repair().unfound.contains(object)) return;
    PgRecovery& recovery = repair().recoveries[object];
    const MissingSet::Item* mine = copy_.record.missing.find(object);
    if (!mine) return push_to_peers(object);
    recovery.version = mine->need;
    pull(object);
}

/// Asks one after the other of those who may have the object: copies that serve or are filled, then
/// former ones.
void PlacementGroup::pull(const PgObject& object) {
    PgRecovery& recovery = repair().recoveries[object];
    recovery.pulling = true;
    auto ask = [&](int32_t osd) {
        if (!recovery.sources_asked.insert(osd).second) return false;
        recovery.source = osd;
        recovery.source_up_from = up_since(osd);
        host_.send(osd, message::Pull{pg_, object, recovery.version});
        return true;
    };
    // What lies behind the cursor of a copy that is filled is as good, when its version is right.
    auto ask_serving = [&] {
        return std::ranges::any_of(now_.peers, [&](const auto& peer) {
            const bool may_have =
                !recovery.version.none() || peer.second.last_backfill.covers(object);
            return may_have && !lacks(peer.first, object) && ask(peer.first);
        });
    };
    // Serving copies have one version only; a former one may have an old one.
    auto ask_former = [&] {
        return !recovery.version.none() && std::ranges::any_of(*now_.infos, [&](const auto& info) {
            const int32_t osd = info.first.osd;
            return osd != host_.number() && !now_.peers.contains(osd) && up_since(osd) && ask(osd);
        });
    };
    auto ask_earlier = [&] {
        return std::ranges::any_of(now_.peers, [&](const auto& peer) {
            const MissingSet::Item* theirs = peer.second.missing.find(object);
            return theirs && theirs->have == recovery.version && ask(peer.first);
        });
    };
    if (recovery.reverting && ask_earlier()) return;
    const bool any_version = planted(PlantedBug::push_stale_object);
    if (any_version ? ask_former() || ask_serving() : ask_serving() || ask_former()) return;
    if (tells()) tell(fmt::format("{} {} is unfound", object.name, recovery.version.to_string()));
    repair().recoveries.erase(object);
    repair().unfound.insert(object);
    host_.report(pg_);
    consider();
}

void PlacementGroup::serve_pull(int32_t from, const message::Pull& pull) {
    message::Push push{.pg = pg_, .object = pull.object, .result = -ENOENT, .answer = true};
    const ObjectPlace place = copy_.place(pull.object);
    auto info = read_object_info(place);
    const bool wanted = info && (pull.version.none() || info->version == pull.version);
    if (info && (wanted || planted(PlantedBug::push_stale_object))) {
        auto whole = read_whole_object(place);
        push.result = whole ? 0 : -EIO;
        push.version = pull.version.none() ? info->version : pull.version;
        if (whole) push.content = std::make_shared<const change::Replace>(std::move(*whole));
    } else if (!info && info.error().code == Code::io) {
        push.result = -EIO;
    }
    host_.send(from, std::move(push));
}

void PlacementGroup::take_push(int32_t from, const message::Push& push) {
    if (push.answer) return pull_answered(from, push);
    if (now_.stage != PgStage::replica || from != view_.acting.primary) return;
    if (!now_.held->changes.empty() && push.version > copy_.record.log.head())
        return take_ahead(from, push);
    Transaction transaction;
    const PgCopy::Before before = copy_.before(push.object);
    copy_.recovered(transaction, push.object, push.version, push.content.get());
    message::Pushed pushed{pg_, push.object, push.version};
    auto done = host_.submit(pg_, std::move(transaction),
                             [this, from, pushed] { host_.send(from, pushed); });
    if (done) return;
    copy_.take_back(push.object, before);
    pushed.result = -ENOSPC;
    host_.send(from, pushed);
}

void PlacementGroup::pull_answered(int32_t from, const message::Push& push) {
    auto recovery = repair().recoveries.find(push.object);
    if (recovery == repair().recoveries.end() || !recovery->second.pulling ||
        recovery->second.source != from)
        return;
    auto peer = now_.peers.find(from);
    if (push.result < 0) {
        if (peer != now_.peers.end() && !peer->second.fill && !recovery->second.reverting)
            peer->second.missing.set(push.object, {recovery->second.version, {}});
        return pull(push.object);
    }
    if (recovery->second.reverting) {
        repair().recoveries.erase(recovery);
        if (!log_lost(push.object, *push.content)) repair().unfound.insert(push.object);
        return consider();
    }
    Transaction transaction;
    const PgCopy::Before before = copy_.before(push.object);
    copy_.recovered(transaction, push.object, push.version, push.content.get());
    if (!host_.submit(pg_, std::move(transaction), {})) {
        copy_.take_back(push.object, before);
        return recover_later(push.object, host_.number());
    }
    recovery->second.pulling = false;
    push_to_peers(push.object);
}

/// Whoever was asked for an object and went down since will not answer.
void PlacementGroup::forget_lost_sources() {
    std::vector<PgObject> orphans;
    for (const auto& [object, recovery] : repair().recoveries)
        if (recovery.pulling && up_since(recovery.source) != recovery.source_up_from)
            orphans.push_back(object);
    for (const PgObject& object : orphans) {
        repair().recoveries[object].sources_asked.clear();
        pull(object);
    }
}

/// A disk is full: what it lacks has to wait.
void PlacementGroup::recover_later(const PgObject& object, int32_t osd) {
    repair().recoveries.erase(object);
    const MonotonicTime now = host_.world().now();
    if (repair().retry_at <= now) { // one object after the other must not put it off
        repair().retry_at = now + host_.options().retry_too_full;
        host_.call_at(pg_, repair().retry_at);
    }
    if (now_.work == PgWork::recovering) refused(osd);
}

void PlacementGroup::push_to_peers(const PgObject& object) {
    std::vector<int32_t> targets;
    for (const auto& [osd, peer] : now_.peers)
        if (lacks(osd, object)) targets.push_back(osd);
    for (int32_t osd : targets) {
        auto recovery = repair().recoveries.find(object);
        if (recovery == repair().recoveries.end() || recovery->second.pulling) return;
        recovery->second.pushing_to.insert(osd);
        if (!push(osd, object)) return;
    }
    auto recovery = repair().recoveries.find(object);
    if (recovery != repair().recoveries.end() && recovery->second.pushing_to.empty())
        recovered(object);
}

/// False when our own copy is damaged: then it is fetched first.
bool PlacementGroup::push(int32_t osd, const PgObject& object) {
    const ObjectPlace place = copy_.place(object);
    auto info = read_object_info(place);
    const LogEntry* newest = copy_.record.log.newest(object);
    if (!info && info.error().code == Code::not_found && newest && newest->is_remove()) {
        host_.send(osd, message::Push{.pg = pg_, .object = object, .version = newest->version});
        return true;
    }
    auto whole = info ? read_whole_object(place) : Result<change::Replace>();
    if (!info || !whole) {
        repair().recoveries.erase(object);
        own_copy_damaged(object);
        return false;
    }
    host_.send(
        osd, message::Push{.pg = pg_,
                           .object = object,
                           .version = info->version,
                           .content = std::make_shared<const change::Replace>(std::move(*whole))});
    return true;
}

void PlacementGroup::pushed(int32_t from, const message::Pushed& pushed) {
    auto peer = now_.peers.find(from);
    if (peer == now_.peers.end()) return;
    if (now_.backfill && now_.backfill->target == from &&
        now_.backfill->waits_for.contains(pushed.object))
        return batch_pushed(pushed);
    auto recovery = repair().recoveries.find(pushed.object);
    if (recovery == repair().recoveries.end() || !recovery->second.pushing_to.erase(from)) return;
    if (pushed.result < 0) return recover_later(pushed.object, from);
    peer->second.missing.arrived(pushed.object, pushed.version);
    recovery = repair().recoveries.find(pushed.object);
    if (recovery != repair().recoveries.end() && recovery->second.pushing_to.empty())
        recovered(pushed.object);
}

void PlacementGroup::recovered(const PgObject& object) {
    repair().recoveries.erase(object);
    if (!planted(PlantedBug::forget_recovery_wakeup)) kick(object);
    host_.report(pg_);
    consider();
}

void PlacementGroup::all_whole() {
    PgHistory& history = copy_.record.info.history;
    history.last_epoch_clean = host_.map()->epoch();
    history.last_interval_clean = interval();
    copy_.past.forget_before(history.last_epoch_clean);
    dirty_ = true;
    save([this] { drop_strays(); });
    for (const auto& [osd, peer] : now_.peers) host_.send(osd, message::Learn{pg_, history});
}

void PlacementGroup::drop_strays() {
    const Boxed<PgInfos> infos = std::exchange(now_.infos, {});
    for (const auto& [shard, info] : *infos)
        if (shard.osd != host_.number() && !now_.peers.contains(shard.osd) &&
            host_.map()->map().is_up(shard.osd))
            host_.send(shard.osd, message::Drop{pg_});
}

} // namespace cloudlet::rados
