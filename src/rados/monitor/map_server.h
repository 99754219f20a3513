#pragma once
// All maps since the store's base, and the peers that want them. A new map is told to those whom it
// concerns, to those who wait for it, and to one OSD of a few; OSDs tell each other, so that the
// others have it with the next heartbeat. One thread.

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
    /// Somebody speaks who has the map of this epoch: he gets what is newer, and that once.
    void share(const Entity& peer, Epoch has);
    void forget(const Entity& peer) {
        peers_.erase(peer);
        early_.erase(peer);
    }
    /// Tells the newest step to whom it is to be told at once.
    void publish();

    /// An OSD that does not ask again follows elsewhere.
    static constexpr Duration lasts = std::chrono::seconds(30);
    /// One OSD of so many is told of what does not concern it.
    static constexpr size_t one_of = 4;

private:
    struct Peer {
        Epoch sent = 0;
        bool next = false;                                  // waits for the next step
        MonotonicTime follows_until = MonotonicTime::min(); // an OSD
    };
    /// True when something was sent.
    bool send_steps(const Entity& peer, Epoch& sent, message::Maps maps);
    void publish_among_osds();

    World* world_;
    MapEpochPtr newest_;
    std::vector<MapEpochPtr> epochs_; // from the base on
    std::vector<MapStep> steps_;      // steps_[i] leads to epochs_[i + 1]
    std::map<Entity, Peer> peers_;
    std::map<Entity, message::GetMaps> early_; // from before start()
};

} // namespace cloudlet::rados
