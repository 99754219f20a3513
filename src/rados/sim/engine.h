#pragma once
// The processes of a simulated cluster and what lies between them: one thread, one seed, one queue
// of events, and a clock that jumps from event to event.
//
// A process has lives. In a life it has a machine, the machine's world, and a session with each
// peer; when it ends all of that is gone, and its next life has a greater number. The engine knows
// of networks, sessions and wake-ups; disks, stores, clients and faults are its owner's, who is
// called for their events and whenever a process has died of a planned crash.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/random.h"
#include "cloudlet/rados/machine.h"
#include "cloudlet/rados/message.h"
#include "cloudlet/rados/peer_session.h"
#include "sim/coverage.h"
#include "sim/event_queue.h"
#include "sim/network.h"
#include "sim/numbered.h"
#include "sim/output_gate.h"
#include "sim/story.h"

namespace cloudlet::rados::sim {

class EngineOwner {
public:
    virtual ~EngineOwner() = default;
    /// An event that is not the engine's own; its process, if it names a life, is in that life.
    virtual void handle(const Event& event) = 0;
    /// After every event of a process that lives on: its disk may have something to sync.
    virtual void acted(NodeId node) = 0;
    /// The process must end: a planned crash came, and its gate is shut.
    virtual void crashed(NodeId node) = 0;
    /// A machine sends something, and a placement group of it takes a way: for who judges them.
    virtual void sent(NodeId /*from*/, const Message& /*message*/) {}
    virtual void moved(NodeId /*node*/, const PgMove& /*move*/) {}
};

class Engine {
public:
    Engine(uint64_t seed, std::vector<Entity> entities, bool two_networks, EngineOwner& owner,
           Story& story);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    MonotonicTime now() const { return now_; }
    Random& random() { return random_; }
    EventQueue& queue() { return queue_; }
    Network& network() { return network_; }
    Story& story() { return *story_; }
    Coverage& coverage() { return coverage_; }
    uint64_t events() const { return events_; }
    const Event& last_event() const { return last_event_; }
    /// Messages of machines, datagrams included; sent again counts once.
    uint64_t messages() const { return messages_; }
    size_t in_flight() const { return flights_.used(); }

    size_t nodes() const { return processes_.size(); }
    const Entity& entity(NodeId node) const;
    std::optional<NodeId> node_of(const Entity& entity) const;

    bool alive(NodeId node) const;
    uint32_t life(NodeId node) const;
    World& world(NodeId node);
    OutputGate& gate(NodeId node);
    /// A new life begins; the machine is put in with install() before the next event.
    uint32_t begin_life(NodeId node);
    void install(NodeId node, std::unique_ptr<Machine> machine);
    /// If its host answers for it, whoever speaks with the process hears soon that it is gone, and
    /// so does everybody who reaches for it until it lives again.
    void end_life(NodeId node, bool host_answers);
    /// The process crashes in its `events`-th event from now, behind its `outputs`-th output.
    void plan_crash(NodeId node, uint32_t events, uint32_t outputs);
    void jump_wall(NodeId node, Duration step);
    /// Crashes that were planned but did not come are forgotten.
    void forget_planned_crashes();

    /// Something happens to the process: as in an event, a planned crash may come of it.
    template <typename Act>
    void act(NodeId node, Act&& act_on) {
        begin_act(node);
        act_on();
        end_act(node);
    }

    /// Plans an event for the process in its present life.
    void plan(NodeId node, Event::Kind kind, Duration in, uint32_t number = 0);
    /// Carries out the next event; false when there is none.
    bool step();

private:
    class ProcessWorld;
    struct Process;
    using Session = PeerSession<Message>;
    struct Flight {
        Session::Frame frame = {}; // of a datagram: only the message; of a refusal: nothing
        MonotonicTime sent = {};
        uint32_t life = 0; // of the sender; of a refusal, of who had asked
        Wire wire = Wire::public_network;
    };

    Process& process(NodeId node) { return *processes_[node]; }
    void begin_act(NodeId node);
    void end_act(NodeId node);
    void send(NodeId from, NodeId to, MessagePtr message);
    void send_loosely(NodeId from, NodeId to, MessagePtr message, Wire wire);
    void transmit(NodeId from, NodeId to, Event::Kind kind, Session::Frame frame, Wire wire);
    void refuse(NodeId node, NodeId asker, const Flight& asked);
    Wire wire_between(NodeId a, NodeId b) const;
    void wake_at(NodeId node, MonotonicTime when);
    void arm(NodeId node, NodeId peer);
    void take_frame(const Event& event);
    void take_datagram(const Event& event);
    void take_refusal(const Event& event);
    void tend_session(const Event& event);
    void wake(const Event& event);

    EngineOwner* owner_;
    Story* story_;
    Random random_;
    MonotonicTime now_{};
    EventQueue queue_;
    Network network_;
    Coverage coverage_;
    std::vector<std::unique_ptr<Process>> processes_;
    std::vector<NodeId> by_kind_[3]; // entity's number -> node
    Numbered<Flight> flights_;
    uint64_t events_ = 0, messages_ = 0;
    Event last_event_;
};

} // namespace cloudlet::rados::sim
