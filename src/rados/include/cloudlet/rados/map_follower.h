#pragma once
// A machine's view of the map: the epoch it has arrived at, and the last steps on the way, for
// peers that are behind. One thread.

#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/map_epoch.h"
#include "cloudlet/rados/message.h"

namespace cloudlet::rados {

class MapFollower {
public:
    /// The cache must outlive it.
    explicit MapFollower(MapCache& cache) : cache_(&cache) {}

    /// Null before the first map.
    const MapEpochPtr& now() const { return now_; }
    Epoch epoch() const { return now_ ? now_->epoch() : 0; }

    /// Goes forward as far as the message leads, and gives every epoch that it went through, the
    /// newest last. What is known already is skipped; a gap is left alone: the steps before it
    /// have to be asked for. A full map is a start, or a leap when there is a map already: the
    /// epochs in between are not given. Error: Code::conflict or invalid when a step does not fit
    /// the map; the epochs before it have been taken.
    Result<std::vector<MapEpochPtr>> take(const message::Maps& maps);

    /// What leads a peer from `epoch` to here; nothing when the steps are not kept any more, or
    /// the peer is not behind. At most `most_steps` at once.
    std::optional<message::Maps> steps_after(Epoch epoch) const;

    static constexpr size_t kept_steps = 500, most_steps = 100;

private:
    MapCache* cache_;
    MapEpochPtr now_;
    std::deque<MapStep> steps_;
};

} // namespace cloudlet::rados
