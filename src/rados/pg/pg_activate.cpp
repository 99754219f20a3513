// Peering, second part: all copies take over the authority's log; then the PG serves. And for how
// long a primary may read without hearing from the others.
//
// A primary that is cut off does not know that others serve by now. So it reads only while every
// copy that serves with it has answered lately (read_lease), and a new primary serves only when
// that time has passed for each former one that has not told it that it knows better, or whose
// process is known to be gone. What a copy's last answer still allows travels with its Notify.

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/rados/planted_bug.h"
#include "pg/placement_group.h"

namespace cloudlet::rados {

void PlacementGroup::activate() {
    PgInfo& info = copy_.record.info;
    // Once in an interval: who has activated in it already does not do so again.
    if (info.last_interval_started != interval()) info.last_epoch_started = host_.map()->epoch();
    info.last_interval_started = interval();
    now_.activated_at = host_.world().now();
    now_.peering->shared_log = std::make_shared<const PgLog>(copy_.record.log);
    now_.peering->awaited = {host_.number()};
    for (const auto& [osd, peer] : now_.peers) now_.peering->awaited.insert(osd);
    dirty_ = true;
    save([this] { activated(host_.number()); });
    for (const auto& [osd, peer] : now_.peers) send_activate(osd);
    if (planted(PlantedBug::activate_without_answers)) all_activated();
}

void PlacementGroup::send_activate(int32_t osd) {
    const bool nothing = now_.peering->fill_from_nothing.contains(osd);
    host_.send(osd, message::Activate{.info = copy_.record.info,
                                      .log = now_.peering->shared_log,
                                      .past = copy_.past.intervals(),
                                      .backfill = now_.peers.at(osd).fill,
                                      .from_nothing = nothing});
}

void PlacementGroup::activated(int32_t osd) {
    if (now_.stage != PgStage::activating) return;
    now_.peering->awaited.erase(osd);
    if (now_.peering->awaited.empty()) all_activated();
}

/// Happens once for a copy: it calls itself damaged then, and is not asked to follow a log again.
void PlacementGroup::refused_to_serve(int32_t osd) {
    if (now_.stage == PgStage::activating && now_.peering->awaited.contains(osd))
        cannot_follow(PgShard{osd});
}

void PlacementGroup::all_activated() {
    now_.peering->wait_until = readers_until(); // looks back to the activation before this one
    now_.peering->shared_log.reset();
    now_.committed = copy_.record.info.last_update;
    go(PgStage::wait_readers, PgEvent::all_activated);
    check_readers();
}

MonotonicTime PlacementGroup::readers_until() const {
    const MonotonicTime now = host_.world().now();
    const Duration lease = host_.options().read_lease;
    MonotonicTime until = now;
    for (const PastInterval& past : copy_.past.intervals()) {
        const int32_t reader = past.acting.primary;
        const bool matters =
            past.maybe_went_rw && past.last >= copy_.record.info.history.last_epoch_started;
        if (!matters || is_dead(past) || reader == host_.number() ||
            now_.infos->contains(PgShard{reader}))
            continue;
        MonotonicTime ends = now + lease;
        for (int32_t osd : past.acting.osds) {
            if (osd == host_.number()) ends = std::min(ends, now + host_.lets_read(reader));
            auto told = now_.peering->reads_until.find(osd);
            if (told == now_.peering->reads_until.end()) continue;
            auto limit = told->second.find(reader);
            if (limit != told->second.end()) ends = std::min(ends, limit->second);
        }
        until = std::max(until, ends);
    }
    return until;
}

/// The monitors know that the life which was primary then has ended: not only a later one.
bool PlacementGroup::is_dead(const PastInterval& past) const {
    const auto& extras = host_.map()->map().osd_extra;
    const auto slot = static_cast<size_t>(past.acting.primary);
    if (slot >= extras.size()) return false;
    const Epoch dead = extras[slot].dead_epoch;
    return dead > past.last || (dead > 0 && planted(PlantedBug::trust_an_old_death));
}

void PlacementGroup::check_readers() {
    if (host_.world().now() < now_.peering->wait_until) {
        if (tells()) tell("waits until no former primary can be reading");
        return host_.call_at(pg_, now_.peering->wait_until);
    }
    // Only now: until it may serve, a later interval must look back as far as this one did.
    PgInfo& info = copy_.record.info;
    info.history.last_epoch_started = info.last_epoch_started;
    info.history.last_interval_started = info.last_interval_started;
    save();
    for (const auto& [osd, peer] : now_.peers) host_.send(osd, message::Learn{pg_, info.history});
    const bool enough = view_.acting_count() >= view_.min_size;
    if (enough || planted(PlantedBug::serve_below_min_size))
        go(PgStage::active, PgEvent::readers_gone);
    else
        go(PgStage::peered, PgEvent::too_few_copies);
    now_.peering.reset();
    go(PgWork::rest, PgEvent::serves);
    kick_all();
    consider();
}

void PlacementGroup::told_to_serve(int32_t from, const message::Activate& activate) {
    if (from != view_.acting.primary || is_primary()) return;
    host_.confirm(from);
    if (now_.stage == PgStage::replica) {
        if (now_.activation_is_safe) host_.send(from, message::Activated{pg_});
        return;
    }
    PgRecord& record = copy_.record;
    const PgInfo before = record.info;
    record.info.history.learn(activate.info.history);
    record.info.last_user_version =
        std::max(record.info.last_user_version, activate.info.last_user_version);
    record.info.last_epoch_started = activate.info.last_epoch_started;
    record.info.last_interval_started = activate.info.last_interval_started;
    Transaction transaction;
    if (activate.from_nothing) {
        record.start_backfill(*activate.log);
        copy_.save_all(transaction);
    } else if (record.info.damaged_until || !copy_.adopt(transaction, *activate.log)) {
        if (tells()) tell("cannot follow the log that it was sent");
        record.info = before;
        record.info.damaged_until = interval(); // so that no later interval asks the same of it
        record.info.last_backfill = {BackfillCursor::Place::begin, {}};
        return save([this, from] { host_.send(from, message::Activated{pg_, true}); });
    }
    go(PgStage::replica, PgEvent::told_to_serve);
    submit(std::move(transaction), [this, from] {
        now_.activation_is_safe = true;
        host_.send(from, message::Activated{pg_});
    });
}

void PlacementGroup::learn(const message::Learn& learn) {
    copy_.record.info.history.learn(learn.history);
    copy_.past.forget_before(copy_.record.info.history.last_epoch_clean);
    dirty_ = true;
    save();
}

std::optional<MonotonicTime> PlacementGroup::lease_end() const {
    std::optional<MonotonicTime> end;
    for (const auto& [osd, peer] : now_.peers) {
        if (peer.fill) continue;
        const MonotonicTime heard = std::max(now_.activated_at, host_.answered_us(osd));
        const MonotonicTime until = heard + host_.options().read_lease;
        end = end ? std::min(*end, until) : until;
    }
    return end;
}

bool PlacementGroup::can_read() {
    auto end = lease_end();
    if (!end || host_.world().now() < *end || planted(PlantedBug::read_without_lease)) return true;
    now_.reads_wait_for_lease = true;
    host_.report(pg_);
    return false;
}

void PlacementGroup::lease_renewed() {
    if (!std::exchange(now_.reads_wait_for_lease, false)) return;
    kick_all();
    host_.report(pg_);
}

} // namespace cloudlet::rados
