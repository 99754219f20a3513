#pragma once
// All maps since the store's base, and the peers that want them. A subscription stands until the
// peer's session ends. One thread.

#include <map>
#include <memory>
#include <vector>

#include "cloudlet/rados/machine.h"
#include "cloudlet/rados/map_epoch.h"
#include "cloudlet/rados/message.h"

namespace cloudlet::rados {

class MapServer {
public:
    /// `world` must outlive it.
    explicit MapServer(World& world) : world_(&world) {}

    void start(MapEpochPtr base);
    /// The epoch that the step leads to from the newest one.
    void add(MapStep step, MapEpochPtr epoch);
    /// Null before start().
    const MapEpochPtr& newest() const { return newest_; }
    Epoch epoch() const { return newest_ ? newest_->epoch() : 0; }

    /// As message::GetMaps says. A full map that is not kept any more, or not known yet, is
    /// replaced by the nearest; so is the lack of any map (`have` 0, or before the base), from
    /// which no step would lead on.
    void subscribe(const Entity& peer, const message::GetMaps& wanted);
    void forget(const Entity& peer) {
        sent_.erase(peer);
        waiting_.erase(peer);
    }
    /// Sends everybody what is new.
    void publish();

private:
    void send_steps(const Entity& peer, Epoch& sent, message::Maps maps);

    World* world_;
    MapEpochPtr newest_;
    std::vector<MapEpochPtr> epochs_; // from the base on
    std::vector<MapStep> steps_;      // steps_[i] leads to epochs_[i + 1]
    std::map<Entity, Epoch> sent_;
    std::map<Entity, message::GetMaps> waiting_; // from before start()
};

} // namespace cloudlet::rados
