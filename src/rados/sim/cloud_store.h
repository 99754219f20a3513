#pragma once
// The cloud's store as monitors see it, in the simulation: one list of map steps that only grows,
// and a lease that makes one monitor at a time the leader. It is linearizable: what reaches it is
// done in one order, at once. But letters to and from it take their time, and of a monitor that is
// cut off they wait: what it appended arrives late, and it leads, as it believes, until its lease
// ends by its own clock. A new leader is made only when the old lease has ended here.
//
// An append is refused unless its term leads and its epoch follows the newest. Belongs to the
// simulation, whose queue carries the letters; one thread.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/random.h"
#include "cloudlet/rados/map_epoch.h"
#include "sim/event_queue.h"
#include "sim/numbered.h"

namespace cloudlet::rados::sim {

struct StoreTimes {
    Duration lease = std::chrono::seconds(5);
    Duration renew = std::chrono::milliseconds(1500);
};

class CloudStore {
public:
    /// The base map has the epoch `base`; the monitors are nodes 0 to `monitors` - 1.
    CloudStore(EventQueue& queue, size_t monitors, Epoch base, Random random,
               StoreTimes times = {});

    /// What a monitor is to be told now.
    struct Told {
        std::vector<MapStep> steps = {};                        // in order
        std::optional<std::pair<uint64_t, Epoch>> refused = {}; // an append: its term and epoch
        std::optional<std::pair<uint64_t, MonotonicTime>> leads = {}; // the term, until when
        std::optional<int32_t> follows = {};                          // another leads
    };

    /// A life of a monitor begins: it is to read what there is, and hears what comes after.
    const std::vector<MapStep>& connect(NodeId monitor, uint32_t life, MonotonicTime now);
    void disconnect(NodeId monitor) { monitors_[monitor].life = 0; }
    void append(NodeId monitor, uint64_t term, MapStep step, MonotonicTime now);
    /// A letter of the queue is due. Gives what to tell Event::node, if it was for a monitor.
    std::optional<Told> read_letter(const Event& event, MonotonicTime now);

    /// Letters from and to the monitor wait until it is joined again.
    void cut_off(NodeId monitor) { monitors_[monitor].cut_off = true; }
    void join(NodeId monitor, MonotonicTime now);

    Epoch newest() const { return base_ + static_cast<Epoch>(steps_.size()); }
    const std::vector<MapStep>& steps() const { return steps_; }
    size_t refusals() const { return refusals_; }
    /// Says of two monitors that heard different steps of one epoch; empty when all is well.
    const std::string& fork() const { return fork_; }

private:
    struct Letter {
        enum class Kind : uint8_t { append, renew, news, refusal, leader, forked };
        Kind kind = Kind::news;
        NodeId monitor = 0;
        uint32_t life = 0;
        uint64_t term = 0;
        MonotonicTime sent = {};
        MapStep step = {};
        std::optional<MonotonicTime> until = {};
    };
    struct Monitor {
        uint32_t life = 0;
        bool cut_off = false;
        Epoch told = 0; // newest that it heard of
        std::vector<Letter> waiting = {};
    };

    void post(Letter letter, MonotonicTime at);
    Duration delay();
    void take_append(const Letter& letter, MonotonicTime now);
    void take_renewal(const Letter& letter, MonotonicTime now);
    Told news_for(Monitor& monitor);
    void note_told(const MapStep& step);

    EventQueue* queue_;
    Epoch base_;
    Random random_;
    StoreTimes times_;
    std::vector<Monitor> monitors_;
    Numbered<Letter> letters_;
    std::vector<MapStep> steps_;
    std::vector<MapStep> told_; // what was heard first of each epoch
    uint64_t term_ = 0;
    int32_t leader_ = -1;
    uint32_t leader_life_ = 0;
    MonotonicTime lease_until_{};
    size_t refusals_ = 0;
    std::string fork_;
};

} // namespace cloudlet::rados::sim
