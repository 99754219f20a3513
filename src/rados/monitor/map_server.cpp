#include "monitor/map_server.h"

#include <algorithm>

#include "cloudlet/rados/map_follower.h"

namespace cloudlet::rados {

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
        waiting_[peer] = wanted;
        return;
    }
    waiting_.erase(peer);
    const Epoch base = epochs_.front()->epoch();
    Epoch& sent = sent_[peer] = wanted.have;
    message::Maps maps;
    if (wanted.full || wanted.have < base) {
        sent = wanted.full && wanted.have == 0 ? epoch() : std::clamp(wanted.have, base, epoch());
        maps.full = epochs_[sent - base]->shared_map();
    }
    send_steps(peer, sent, std::move(maps));
}

void MapServer::publish() {
    for (const auto& [peer, wanted] : std::map(waiting_)) subscribe(peer, wanted);
    for (auto& [peer, sent] : sent_) send_steps(peer, sent, {});
}

void MapServer::send_steps(const Entity& peer, Epoch& sent, message::Maps maps) {
    const Epoch base = epochs_.front()->epoch();
    while (maps.full || sent < epoch()) {
        Epoch last = std::max(sent, std::min<Epoch>(epoch(), sent + MapFollower::most_steps));
        for (Epoch next = sent + 1; next <= last; ++next)
            maps.steps.push_back(steps_[next - base - 1]);
        sent = last;
        world_->send(peer, make_message(epoch(), std::move(maps)));
        maps = {};
    }
}

} // namespace cloudlet::rados
