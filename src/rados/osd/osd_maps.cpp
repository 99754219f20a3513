#include <algorithm>

#include <fmt/format.h>

#include "osd/osd_core.h"

namespace cloudlet::rados {

namespace {

constexpr Duration renew_subscription = std::chrono::seconds(10);
constexpr Duration answer_within = std::chrono::seconds(3);

uint32_t nonce_of(const OsdMap& map, int32_t osd) {
    const auto& addresses = map.cluster_addresses[static_cast<size_t>(osd)].addresses;
    return addresses.empty() ? 0 : addresses.front().nonce;
}

} // namespace

/// At one monitor, for as long as it answers and is not behind. A step that grants a boot, an
/// up_thru or a temporary set names us, and so is told to us at once; one that marks down whom we
/// reported does not.
void OsdCore::subscribe() {
    const bool first = !maps_.now();
    waits_for_next_map_ = !wishes_.failures.empty();
    const message::GetMaps wanted{
        .have = first ? saved_epoch_ : epoch(), .full = first, .next = waits_for_next_map_};
    world_.send(Entity::monitor(map_monitor_), make_message(epoch(), wanted));
    wants_maps_at_ = MonotonicTime::max();
    monitor_owes_maps_ = true;
    subscribe_at_ = world_.now() + answer_within;
}

void OsdCore::answered_by_monitor(const message::Maps& maps) {
    monitor_owes_maps_ = heard_epoch_ > epoch();
    subscribe_at_ = world_.now() + (monitor_owes_maps_ ? answer_within : renew_subscription);
    if (maps.full || !maps.steps.empty()) waits_for_next_map_ = false;
    if (!wishes_.failures.empty() && !waits_for_next_map_) subscribe();
}

/// Somebody lives in a later epoch than we do. Perhaps the maps are on their way.
void OsdCore::ask_for_maps(Epoch epoch, Duration within) {
    if (epoch <= heard_epoch_) return;
    heard_epoch_ = epoch;
    wants_maps_at_ = std::min(wants_maps_at_, world_.now() + within);
}

void OsdCore::map_timer() {
    const MonotonicTime now = world_.now();
    if (now >= wants_maps_at_) {
        wants_maps_at_ = MonotonicTime::max();
        if (heard_epoch_ > epoch()) return subscribe();
    }
    if (now < subscribe_at_) return;
    if (monitor_owes_maps_) map_monitor_ = next_monitor(map_monitor_);
    subscribe();
}

void OsdCore::take_maps(const message::Maps& maps) {
    MapEpochPtr before = maps_.now();
    if (leaps(maps)) {
        // One that lives may have asked twice, and gets the steps by asking on.
        if (before) return;
        return stop(fail(Code::conflict,
                         fmt::format("the monitors have the maps from epoch {} on, and this OSD "
                                     "was there up to {}: what became of its placement groups in "
                                     "between is not known; declare it lost, and give it an empty "
                                     "disk",
                                     maps.full->epoch, saved_epoch_))
                        .value());
    }
    auto taken = maps_.take(maps);
    if (!taken) return stop(taken.error());
    if (taken->empty()) return;
    for (const MapEpochPtr& after : *taken) {
        if (!before)
            for (auto& [id, pg] : pgs_)
                if (pg->copy().epoch <= after->epoch()) pg->begin_at(*after);
        if (before) enter(before, after);
        before = after;
    }
    check_booted();
    settle();
    auto waiting = std::move(waiting_for_map_);
    waiting_for_map_.clear();
    for (Waiting& one : waiting) {
        if (one.ticket)
            take_op(std::move(one));
        else
            dispatch(one.from, one.message);
    }
}

/// A full map behind epochs that we did not see: it would hide intervals of the PGs here.
bool OsdCore::leaps(const message::Maps& maps) const {
    if (!maps.full || (!maps_.now() && pgs_.empty())) return false;
    const Epoch here = maps_.now() ? epoch() : saved_epoch_;
    const bool leads_on =
        maps_.now() && !maps.steps.empty() && maps.steps.front()->epoch <= here + 1;
    return maps.full->epoch > here && !leads_on;
}

void OsdCore::enter(const MapEpochPtr& before, const MapEpochPtr& after) {
    for (auto& [id, pg] : pgs_) {
        const Epoch interval = pg->interval();
        if (after->map().pool(id.pool))
            pg->advance(before, after);
        else
            to_remove_.insert(id);
        if (pg->interval() != interval) wishes_.temps.erase(id);
    }
}

void OsdCore::settle() {
    peers_changed_ = true;
    for (auto& [id, pg] : pgs_) pg->persist();
    if (saved_epoch_ != epoch()) {
        saved_epoch_ = epoch();
        Transaction transaction;
        transaction.add({}, {0, "osd"},
                        change::SetOmap{{{"epoch", fmt::format("{}", saved_epoch_)}}});
        submit_own(std::move(transaction));
    }
    std::erase_if(waiting_ops_, [&](const auto& waiting) { return !is_primary(waiting.first); });
    forget_granted();
    forget_strangers();
    heartbeats_.caught_up(epoch());
    if (!booted_) return;
    for (auto& [id, pg] : pgs_)
        if (!to_remove_.contains(id)) pg->settle();
    for (auto& [id, pg] : pgs_)
        if (!to_remove_.contains(id)) pg->lease_renewed();
}

/// Up is who the map calls up at our present address: an earlier life of ours had another one.
bool OsdCore::is_up_in(const OsdMap& map) const {
    return map.is_up(number_) && nonce_of(map, number_) == nonce_;
}

void OsdCore::check_booted() {
    const OsdMap& map = maps_.now()->map();
    const bool up = is_up_in(map);
    if (up == booted_) {
        if (!up && map.exists(number_) && !wishes_.boot) {
            wishes_.boot = true;
            wish();
        }
        return;
    }
    booted_ = up;
    if (booted_) {
        was_booted_ = true;
        wishes_.boot = false;
        if (world_.listening()) world_.tell(fmt::format("is up in e{}", epoch()));
        for (auto& [id, pg] : pgs_) pg->booted();
        report_all_at_ = world_.now() + options_.report_every;
        return;
    }
    // Nobody is judged by the time before we are up again.
    heartbeats_.set_peers({}, world_.now());
    wishes_.failures.clear();
    if (world_.listening()) world_.tell(fmt::format("learns in e{} that it is down", epoch()));
    if (markdowns_.add(world_.now()))
        return stop(fail(Code::unavailable, "marked down too often; look at the network, then "
                                            "start this OSD again")
                        .value());
    nonce_ = static_cast<uint32_t>(world_.random().next());
    if (!map.exists(number_)) return;
    wishes_.boot = true;
    wish();
}

void OsdCore::share_maps(const Entity& peer, Epoch epoch) {
    Epoch& known = known_epochs_[peer];
    known = std::max(known, epoch);
    auto steps = maps_.steps_after(known);
    if (!steps) return;
    known = steps->steps.back()->epoch;
    world_.send(peer, make_message(maps_.epoch(), std::move(*steps)));
}

/// Before we speak to somebody of whom we know that he is behind: else he had to ask first.
void OsdCore::lead_on(int32_t osd) {
    auto known = known_epochs_.find(Entity::osd(osd));
    if (known != known_epochs_.end() && known->second < epoch()) share_maps(known->first, 0);
}

void OsdCore::note_epoch(const Entity& peer, Epoch epoch) {
    if (!peer.is_osd()) return;
    Epoch& known = known_epochs_[peer];
    known = std::max(known, epoch);
}

/// What is remembered of a peer spares us to share maps twice, no more. Clients come and go, and
/// nobody says so; OSDs that are down begin anew.
void OsdCore::forget_strangers() {
    const OsdMap& map = maps_.now()->map();
    std::erase_if(known_epochs_, [&](const auto& known) {
        return !known.first.is_osd() || !map.is_up(known.first.number);
    });
}

} // namespace cloudlet::rados
