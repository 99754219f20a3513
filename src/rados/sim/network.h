#pragma once
// The network of a simulated cluster: when what was sent arrives, how often, or never.
//
// Each direction between two nodes has, in each of two networks, its own base delay, and may be cut
// on its own. Over all lies the weather: how much is lost, doubled, or so late that later ones
// overtake it. A cluster may have one network only: then what would take the other one takes it.
// Knows nothing of what it carries. One thread.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/random.h"
#include "cloudlet/rados/entity.h"
#include "sim/event_queue.h"

namespace cloudlet::rados::sim {

struct Weather { // probabilities for each frame
    double lost = 0.002, doubled = 0.002, late = 0.01;
    Duration late_by = std::chrono::milliseconds(50); // at most
};

class Network {
public:
    Network(size_t nodes, bool two_networks, Random random);

    /// Arrivals of the copies of one frame.
    struct Arrivals {
        std::array<MonotonicTime, 2> at;
        size_t count = 0;
    };
    Arrivals route(NodeId from, NodeId to, Wire wire, MonotonicTime now);

    void set_weather(const Weather& weather) { weather_ = weather; }
    /// Nothing gets through from `from` to `to` any more; cuts add up, each is mended alone.
    void cut(NodeId from, NodeId to, Wire wire) { ++link(from, to, wire).cuts; }
    void mend(NodeId from, NodeId to, Wire wire) { --link(from, to, wire).cuts; }
    void cut(NodeId from, NodeId to) {
        for (Wire wire : all_wires()) cut(from, to, wire);
    }
    void mend(NodeId from, NodeId to) {
        for (Wire wire : all_wires()) mend(from, to, wire);
    }
    bool has_two() const { return links_.size() > 1; }

    uint64_t sent() const { return sent_; }
    uint64_t lost() const { return lost_; }
    uint64_t doubled() const { return doubled_; }

private:
    struct Link {
        Duration delay{};
        int32_t cuts = 0;
    };
    Link& link(NodeId from, NodeId to, Wire wire) {
        return links_[has_two() ? static_cast<size_t>(wire) : 0][from * nodes_ + to];
    }
    std::span<const Wire> all_wires() const {
        static constexpr std::array all = {Wire::public_network, Wire::cluster_network};
        return std::span(all).first(links_.size());
    }
    Duration delay(const Link& link);

    size_t nodes_;
    Random random_;
    Weather weather_;
    std::vector<std::vector<Link>> links_; // by network
    uint64_t sent_ = 0, lost_ = 0, doubled_ = 0;
};

} // namespace cloudlet::rados::sim
