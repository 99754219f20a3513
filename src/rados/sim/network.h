#pragma once
// The network of a simulated cluster: when what was sent arrives, how often, or never.
//
// Each direction between two nodes has its own base delay, and may be cut on its own. Over all lies
// the weather: how much is lost, doubled, or so late that later ones overtake it.
// Knows nothing of what it carries. One thread.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/random.h"
#include "sim/event_queue.h"

namespace cloudlet::rados::sim {

struct Weather { // probabilities for each frame
    double lost = 0.002, doubled = 0.002, late = 0.01;
    Duration late_by = std::chrono::milliseconds(50); // at most
};

class Network {
public:
    Network(size_t nodes, Random random);

    /// Arrivals of the copies of one frame.
    struct Arrivals {
        std::array<MonotonicTime, 2> at;
        size_t count = 0;
    };
    Arrivals route(NodeId from, NodeId to, MonotonicTime now);

    void set_weather(const Weather& weather) { weather_ = weather; }
    /// Nothing gets through from `from` to `to` any more; cuts add up, each is mended alone.
    void cut(NodeId from, NodeId to) { ++link(from, to).cuts; }
    void mend(NodeId from, NodeId to) { --link(from, to).cuts; }
    bool is_cut(NodeId from, NodeId to) const { return links_[from * nodes_ + to].cuts > 0; }

    uint64_t sent() const { return sent_; }
    uint64_t lost() const { return lost_; }
    uint64_t doubled() const { return doubled_; }

private:
    struct Link {
        Duration delay{};
        int32_t cuts = 0;
    };
    Link& link(NodeId from, NodeId to) { return links_[from * nodes_ + to]; }
    Duration delay(const Link& link);

    size_t nodes_;
    Random random_;
    Weather weather_;
    std::vector<Link> links_;
    uint64_t sent_ = 0, lost_ = 0, doubled_ = 0;
};

} // namespace cloudlet::rados::sim
