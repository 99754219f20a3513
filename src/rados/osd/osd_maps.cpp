#include <algorithm>

#include <fmt/format.h>

#include "osd/osd_core.h"

namespace cloudlet::rados {

namespace {

constexpr Duration renew_subscription = std::chrono::seconds(10);
constexpr Duration ask_again = std::chrono::seconds(1);

uint32_t nonce_of(const OsdMap& map, int32_t osd) {
    const auto& addresses = map.cluster_addresses[static_cast<size_t>(osd)].addresses;
    return addresses.empty() ? 0 : addresses.front().nonce;
}

} // namespace

void OsdCore::subscribe() {
    const bool first = !maps_.now();
    world_.send(Entity::monitor(map_monitor_),
                make_message(epoch(), message::GetMaps{first ? saved_epoch_ : epoch(), first}));
    subscribe_at_ = world_.now() + renew_subscription;
}

/// Somebody lives in a later epoch than we do.
void OsdCore::ask_for_maps(Epoch epoch) {
    if (epoch <= heard_epoch_) return;
    heard_epoch_ = epoch;
    subscribe_at_ = std::min(subscribe_at_, world_.now() + ask_again);
}

void OsdCore::take_maps(const message::Maps& maps) {
    MapEpochPtr before = maps_.now();
    // A leap would hide intervals.
    if (before && maps.full && (maps.steps.empty() || maps.steps.front()->epoch > epoch() + 1))
        return;
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
    for (const Waiting& one : waiting) dispatch(one.from, one.message);
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
    if (!booted_) return;
    for (auto& [id, pg] : pgs_)
        if (!to_remove_.contains(id)) pg->settle();
}

/// Up is who the map calls up at our present address: an earlier life of ours had another one.
void OsdCore::check_booted() {
    const OsdMap& map = maps_.now()->map();
    const bool up = map.is_up(number_) && nonce_of(map, number_) == nonce_;
    if (up == booted_) {
        if (!up && map.exists(number_) && !wishes_.boot) {
            wishes_.boot = true;
            wish();
        }
        return;
    }
    booted_ = up;
    if (booted_) {
        wishes_.boot = false;
        if (world_.listening()) world_.tell(fmt::format("is up in e{}", epoch()));
        for (auto& [id, pg] : pgs_) pg->booted();
        report_all_at_ = world_.now() + options_.report_every;
        return;
    }
    heartbeats_.set_peers({}, world_.now()); // nobody is judged by the time before we are up again
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
    Epoch& shared = shared_[peer];
    if (std::max(shared, epoch) >= maps_.epoch()) return;
    auto steps = maps_.steps_after(std::max(shared, epoch));
    if (!steps) return;
    shared = steps->steps.back()->epoch;
    world_.send(peer, make_message(maps_.epoch(), std::move(*steps)));
}

} // namespace cloudlet::rados
