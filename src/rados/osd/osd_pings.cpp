#include <fmt/format.h>

#include "cloudlet/rados/planted_bug.h"
#include "osd/osd_core.h"

namespace cloudlet::rados {

namespace {

/// Whoever is ahead shares its maps when it hears our epoch; a monitor is asked if that was lost.
constexpr Duration ask_after_ping = std::chrono::seconds(1);

} // namespace

void OsdCore::take_ping(const Entity& from, const Message& message) {
    if (!booted_ || !from.is_osd()) return;
    const auto& ping = std::get<message::Ping>(message.body);
    const MonotonicTime now = world_.now();
    if (message.epoch > epoch()) ask_for_maps(message.epoch, ask_after_ping);
    if (message.epoch < epoch()) share_maps(from, message.epoch);
    if (!ping.answer) {
        heartbeats_.we_answered(from.number, now);
        world_.send_loosely(from, make_message(epoch(), message::Ping{ping.stamp, true, ping.wire}),
                            ping.wire);
        return;
    }
    heartbeats_.trust(from.number, ping.stamp, message.epoch, epoch());
    if (heartbeats_.answered(from.number, ping.wire, ping.stamp, now)) withdraw(from.number);
    for (auto& [id, pg] : pgs_) pg->lease_renewed();
}

void OsdCore::pings() {
    if (!booted_ || !maps_.now()) return;
    const MonotonicTime now = world_.now();
    for (const auto& [osd, wire] : heartbeats_.due(now, world_.random()))
        world_.send_loosely(Entity::osd(osd),
                            make_message(epoch(), message::Ping{now, false, wire}), wire);
    bool found = false;
    for (const auto& silent : heartbeats_.silent(now)) {
        if (world_.listening())
            world_.tell(fmt::format("has not heard osd.{} for too long", silent.osd));
        accuse(silent.osd, silent.silent, false);
        found = true;
    }
    if (found) wish();
}

void OsdCore::accuse(int32_t osd, Duration silent, bool gone) {
    const OsdInfo& info = maps_.now()->map().osd_info[static_cast<size_t>(osd)];
    wishes_.failures[osd] = {world_.now() - silent, info.up_from, gone};
}

/// To all monitors: whoever leads must not count the report any more.
void OsdCore::withdraw(int32_t osd) {
    wishes_.failures.erase(osd);
    for (int32_t monitor : options_.monitors)
        world_.send(Entity::monitor(monitor),
                    make_message(epoch(), message::Failure{.target = osd, .withdrawn = true}));
}

void OsdCore::update_peers() {
    if (!booted_ || !peers_changed_) return;
    const auto peers = heartbeat_peers();
    heartbeats_.set_peers(peers, world_.now());
    // Whoever is not pinged any more cannot answer, and so is not to be judged by us.
    std::vector<int32_t> strangers;
    for (const auto& [osd, accused] : wishes_.failures)
        if (!peers.contains(osd)) strangers.push_back(osd);
    for (int32_t osd : strangers) withdraw(osd);
    peers_changed_ = false;
}

/// Who shares a PG with us, and some neighbours, so that there are enough to judge and be judged.
std::map<int32_t, Heartbeats::Peer> OsdCore::heartbeat_peers() const {
    const OsdMap& map = maps_.now()->map();
    std::set<int32_t> osds;
    for (const auto& [id, pg] : pgs_) {
        osds.insert(pg->view().up.osds.begin(), pg->view().up.osds.end());
        osds.insert(pg->view().acting.osds.begin(), pg->view().acting.osds.end());
    }
    for (int32_t step = 1; step < map.max_osd() && osds.size() <= options_.least_heartbeat_peers;
         ++step)
        osds.insert((number_ + step) % map.max_osd());
    auto on_cluster_network = [&](int32_t osd) {
        const auto slot = static_cast<size_t>(osd);
        return map.heartbeat_back_addresses[slot] != map.heartbeat_front_addresses[slot];
    };
    std::map<int32_t, Heartbeats::Peer> peers;
    for (int32_t osd : osds)
        if (osd != number_ && map.is_up(osd))
            peers[osd] = {map.osd_info[static_cast<size_t>(osd)].up_from,
                          on_cluster_network(number_) && on_cluster_network(osd)};
    return peers;
}

MonotonicTime OsdCore::answered_us(int32_t osd) const { return heartbeats_.answered_at(osd); }

Duration OsdCore::lets_read(int32_t osd) const { return heartbeats_.lets_read(osd, world_.now()); }

void OsdCore::confirm(int32_t osd) { heartbeats_.we_answered(osd, world_.now()); }

} // namespace cloudlet::rados
