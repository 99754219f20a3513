#pragma once
// An OSD's heartbeats: whom it pings, who has been silent for too long, and for how long answers
// let primaries read (pg_activate.cpp tells why). Where there is a cluster network, both are
// pinged, and who is silent on one of them is silent: it could not do its work. Pure; one thread.

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/random.h"
#include "cloudlet/rados/entity.h"
#include "cloudlet/rados/osd_map.h"

namespace cloudlet::rados {

struct HeartbeatTimes {
    Duration interval, grace, read_lease;
};

class Heartbeats {
public:
    Heartbeats(HeartbeatTimes times, MonotonicTime now) : times_(times), started_(now) {}

    /// What the map says of a peer.
    struct Peer {
        Epoch up_from = 0; // another one is another life
        bool two_networks = false;
        bool operator==(const Peer&) const = default;
    };
    /// From now on these are pinged. A new one, or one that lives anew, has been heard now.
    void set_peers(const std::map<int32_t, Peer>& peers, MonotonicTime now);
    /// Whom to ping now, and where; nobody before it is time.
    std::vector<std::pair<int32_t, Wire>> due(MonotonicTime now, Random& random);
    /// Those who have been silent for the grace and were not named before.
    struct Silent {
        int32_t osd;
        Duration silent;
    };
    std::vector<Silent> silent(MonotonicTime now);
    /// When due() or silent() will have something.
    MonotonicTime deadline() const;

    /// Nobody listened where the peer was reached for at `asked`. True when that is news of the
    /// life that the map shows; from now on it is named.
    bool gone(int32_t osd, MonotonicTime asked);

    /// The peer answered the ping that was sent at `stamp`. True when it had been named, and is now
    /// heard wherever it is pinged.
    bool answered(int32_t osd, Wire wire, MonotonicTime stamp, MonotonicTime now);
    /// It did so in its map's epoch, while our map is of `ours`. When it knows a newer map than we
    /// do, it may serve others by now: that answer counts when we have come that far, too.
    void trust(int32_t osd, MonotonicTime stamp, Epoch theirs, Epoch ours);
    void caught_up(Epoch ours);
    /// When the newest ping was sent whose answer counts.
    MonotonicTime answered_at(int32_t osd) const;

    /// We answered the other OSD's ping now.
    void we_answered(int32_t osd, MonotonicTime now) { our_answers_[osd] = now; }
    /// For how long our last answer lets it read. An OSD that has just started does not know what
    /// it answered in its life before.
    Duration lets_read(int32_t osd, MonotonicTime now) const;

    const std::set<int32_t>& named() const { return named_; }

private:
    struct Watched {
        Peer peer;
        MonotonicTime met;                         // since when it is known in this life
        std::array<MonotonicTime, wires> heard;    // the same time twice where there is one network
        std::optional<MonotonicTime> refused = {}; // reached for in vain
        MonotonicTime last_heard() const { return std::min(heard[0], heard[1]); }
    };
    HeartbeatTimes times_;
    MonotonicTime started_;
    MonotonicTime ping_at_ = {};
    std::map<int32_t, Watched> peers_;
    std::set<int32_t> named_; // silent or gone, and reported
    std::map<int32_t, MonotonicTime> trusted_;
    struct Ahead {
        MonotonicTime stamp = {};
        Epoch epoch = 0;
    };
    std::map<int32_t, Ahead> ahead_; // the newest answers from epochs that are to come
    std::map<int32_t, MonotonicTime> our_answers_;
};

} // namespace cloudlet::rados
