#include "monitor/map_server.h"

#include <algorithm>
#include <set>

#include "cloudlet/rados/map_follower.h"

namespace cloudlet::rados {
namespace {

/// Those whose own state changes, and those who get what they asked for.
std::set<int32_t> concerned_by(const OsdMapIncremental& step, const MapEpoch& before) {
    std::set<int32_t> osds;
    auto add = [&](const auto& changes) {
        for (const auto& [osd, change] : changes) osds.insert(osd);
    };
    add(step.new_state);
    add(step.new_weight);
    add(step.new_up_client);
    add(step.new_up_thru);
    for (const auto& [pg, temp] : step.new_pg_temp) osds.insert(before.acting(pg).primary);
    return osds;
}

} // namespace

void MapServer::start(MapEpochPtr base) {
    newest_ = std::move(base);
    epochs_ = {newest_};
}

void MapServer::add(MapStep step, MapEpochPtr epoch) {
    steps_.push_back(std::move(step));
    newest_ = std::move(epoch);
    epochs_.push_back(newest_);
}

void MapServer::subscribe(const Entity& peer, const message::GetMaps& wanted) {
    if (!newest_) {
        early_[peer] = wanted;
        return;
    }
    early_.erase(peer);
    const Epoch base = epochs_.front()->epoch();
    Peer& it = peers_[peer];
    it.sent = wanted.have;
    if (peer.is_osd()) it.follows_until = world_->now() + lasts;
    message::Maps maps;
    if (wanted.full || wanted.have < base) {
        it.sent =
            wanted.full && wanted.have == 0 ? epoch() : std::clamp(wanted.have, base, epoch());
        maps.full = epochs_[it.sent - base]->shared_map();
    }
    const bool answered = send_steps(peer, it.sent, std::move(maps));
    it.next = wanted.next && !answered;
    if (!answered) world_->send(peer, make_message(epoch(), message::Maps{}));
}

void MapServer::share(const Entity& peer, Epoch has) {
    if (!newest_ || has >= epoch() || has < epochs_.front()->epoch()) return;
    Peer& it = peers_[peer];
    it.sent = std::max(it.sent, has);
    if (send_steps(peer, it.sent, {})) it.next = false;
}

void MapServer::publish() {
    for (const auto& [peer, wanted] : std::map(early_)) subscribe(peer, wanted);
    if (!steps_.empty()) publish_among_osds();
    for (auto& [peer, it] : peers_)
        if (it.next && send_steps(peer, it.sent, {})) it.next = false;
}

/// Every epoch is told to other ones; to at least one, if any OSD follows here.
void MapServer::publish_among_osds() {
    const MonotonicTime now = world_->now();
    const auto concerned = concerned_by(*steps_.back(), *epochs_[epochs_.size() - 2]);
    std::vector<std::pair<const Entity, Peer>*> others;
    for (auto& entry : peers_) {
        auto& [peer, it] = entry;
        if (it.follows_until <= now) continue;
        if (concerned.contains(peer.number)) {
            if (send_steps(peer, it.sent, {})) it.next = false;
        } else if (newest_->map().is_up(peer.number)) {
            others.push_back(&entry);
        }
    }
    const size_t stride = std::min(one_of, others.size());
    for (size_t i = 0; i < others.size(); ++i) {
        auto& [peer, it] = *others[i];
        if ((i + epoch()) % stride == 0 && send_steps(peer, it.sent, {})) it.next = false;
    }
}

bool MapServer::send_steps(const Entity& peer, Epoch& sent, message::Maps maps) {
    const Epoch base = epochs_.front()->epoch();
    bool any = false;
    while (maps.full || sent < epoch()) {
        Epoch last = std::max(sent, std::min<Epoch>(epoch(), sent + MapFollower::most_steps));
        for (Epoch next = sent + 1; next <= last; ++next)
            maps.steps.push_back(steps_[next - base - 1]);
        sent = last;
        world_->send(peer, make_message(epoch(), std::move(maps)));
        maps = {};
        any = true;
    }
    return any;
}

} // namespace cloudlet::rados
