#pragma once
// An OSD's heartbeats: whom it pings, who has been silent for too long, and for how long answers
// let primaries read (pg_activate.cpp tells why). Pure; one thread.

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/random.h"
#include "cloudlet/rados/osd_map.h"

namespace cloudlet::rados {

struct HeartbeatTimes {
    Duration interval, grace, read_lease;
};

class Heartbeats {
public:
    Heartbeats(HeartbeatTimes times, MonotonicTime now) : times_(times), started_(now) {}

    /// From now on these are pinged. A new one has been heard now.
    void set_peers(const std::set<int32_t>& peers, MonotonicTime now);
    /// Whom to ping now; nobody before it is time.
    std::vector<int32_t> due(MonotonicTime now, Random& random);
    /// Those who have been silent for the grace and were not named before.
    struct Silent {
        int32_t osd;
        Duration silent;
    };
    std::vector<Silent> silent(MonotonicTime now);
    /// When due() or silent() will have something.
    MonotonicTime deadline() const;

    /// The peer answered the ping that was sent at `stamp`. True when it had been named as silent.
    bool answered(int32_t osd, MonotonicTime stamp, MonotonicTime now);
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
    struct Peer {
        MonotonicTime heard = {};
    };
    HeartbeatTimes times_;
    MonotonicTime started_;
    MonotonicTime ping_at_ = {};
    std::map<int32_t, Peer> peers_;
    std::set<int32_t> named_; // silent, and reported
    std::map<int32_t, MonotonicTime> trusted_;
    struct Ahead {
        MonotonicTime stamp = {};
        Epoch epoch = 0;
    };
    std::map<int32_t, Ahead> ahead_; // the newest answers from epochs that are to come
    std::map<int32_t, MonotonicTime> our_answers_;
};

} // namespace cloudlet::rados
