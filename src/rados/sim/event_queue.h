#pragma once
// What will happen in a simulated cluster, in order of time; what happens at one time happens in
// the order in which it was planned. So one seed is one story.

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "cloudlet/base/clock.h"

namespace cloudlet::rados::sim {

using NodeId = uint16_t; // a process of the cluster: its place in the simulation's list

/// Small and without an owner of memory: what is bigger lies elsewhere under `number`.
struct Event {
    enum class Kind : uint8_t {
        frame,    // of a session arrives; number: the flight
        datagram, // arrives; number: the flight
        refusal,  // node hears that peer's process is gone; number: the flight
        session,  // of node with peer may have something to send again
        wake,     // node asked for it
        synced,   // node's disk has finished a sync
        store,    // the store of the cloud reads its next letter; number: the letter
        start,    // node's process starts
        work,     // a client asks for something
        strike,   // the next fault
        recover,  // a fault ends; number: which
        operate,  // an operator does something
    };
    Kind kind = Kind::wake;
    NodeId node = 0, peer = 0;
    uint32_t number = 0;
    uint32_t life = 0; // of the node: an event for an earlier life is void; 0: for any
};

inline std::string_view name_of(Event::Kind kind) {
    constexpr std::string_view names[] = {"frame", "datagram", "refusal", "session",
                                          "wake",  "synced",   "store",   "start",
                                          "work",  "strike",   "recover", "operate"};
    return names[static_cast<size_t>(kind)];
}

class EventQueue {
public:
    void push(MonotonicTime at, Event event) {
        heap_.push_back({at, planned_++, event});
        std::push_heap(heap_.begin(), heap_.end(), later);
    }
    bool empty() const { return heap_.empty(); }
    size_t size() const { return heap_.size(); }
    MonotonicTime next_time() const { return heap_.front().at; }
    Event pop() {
        std::pop_heap(heap_.begin(), heap_.end(), later);
        Event event = heap_.back().event;
        heap_.pop_back();
        return event;
    }

private:
    struct Planned {
        MonotonicTime at;
        uint64_t sequence;
        Event event;
    };
    static bool later(const Planned& a, const Planned& b) {
        return a.at != b.at ? a.at > b.at : a.sequence > b.sequence;
    }

    std::vector<Planned> heap_;
    uint64_t planned_ = 0;
};

/// Uniform in [least, most).
inline Duration random_span(auto& random, Duration least, Duration most) {
    return least + Duration(random.below(static_cast<uint64_t>((most - least).count())));
}

} // namespace cloudlet::rados::sim
