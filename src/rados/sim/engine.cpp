#include "sim/engine.h"

#include <algorithm>

#include "cloudlet/base/check.h"

namespace cloudlet::rados::sim {

namespace {

constexpr NodeId no_node = UINT16_MAX;
constexpr WallTime first_day{std::chrono::seconds{1'700'000'000}};
/// A wake-up that comes so much later is still "a little later".
constexpr Duration wake_slack = std::chrono::milliseconds(1);

} // namespace

class Engine::ProcessWorld final : public World {
public:
    ProcessWorld(Engine& engine, NodeId node, Random random)
        : engine_(engine), node_(node), random_(random) {}

    MonotonicTime now() const override { return engine_.now_; }
    WallTime wall() const override {
        return first_day + engine_.now_.time_since_epoch() + wall_offset;
    }
    Random& random() override { return random_; }
    void send(const Entity& to, MessagePtr message) override {
        if (!gate.pass()) return;
        engine_.owner_->sent(node_, *message);
        if (auto node = engine_.node_of(to)) engine_.send(node_, *node, std::move(message));
    }
    void send_loosely(const Entity& to, MessagePtr message, Wire wire) override {
        if (!gate.pass()) return;
        if (auto node = engine_.node_of(to))
            engine_.send_loosely(node_, *node, std::move(message), wire);
    }
    void wake_at(MonotonicTime when) override { engine_.wake_at(node_, when); }
    bool listening() const override { return engine_.story_->listening(); }
    void tell(std::string sentence) override {
        engine_.story_->tell(engine_.now_, engine_.entity(node_), sentence);
    }
    void moved(const PgMove& move) override {
        engine_.coverage_.note(move);
        engine_.owner_->moved(node_, move);
    }

    OutputGate gate;
    Duration wall_offset{};

private:
    Engine& engine_;
    NodeId node_;
    Random random_;
};

struct Engine::Process {
    struct Peer {
        Session session;
        MonotonicTime armed = MonotonicTime::max(); // the event that will tend it
    };
    struct PlannedCrash {
        uint32_t events = 0, outputs = 0;
    };

    Process(Engine& engine, NodeId node, Entity who)
        : entity(who), world(engine, node, Random(engine.random_.next())) {}

    Entity entity;
    ProcessWorld world;
    uint32_t life = 0;
    bool alive = false, dying = false;
    bool host_answers = false; // while it does not live: that nobody is there
    std::unique_ptr<Machine> machine;
    std::vector<std::unique_ptr<Peer>> peers; // by node
    std::vector<MonotonicTime> wishes;        // to be woken
    std::optional<PlannedCrash> crash;
};

Engine::Engine(uint64_t seed, std::vector<Entity> entities, bool two_networks, EngineOwner& owner,
               Story& story)
    : owner_(&owner), story_(&story), random_(seed),
      network_(entities.size(), two_networks, Random(random_.next())) {
    for (const Entity& entity : entities) {
        auto node = static_cast<NodeId>(processes_.size());
        processes_.push_back(std::make_unique<Process>(*this, node, entity));
        auto& places = by_kind_[static_cast<size_t>(entity.kind)];
        const auto number = static_cast<size_t>(entity.number);
        if (places.size() <= number) places.resize(number + 1, no_node);
        places[number] = node;
    }
    for (auto& process : processes_) process->peers.resize(processes_.size());
}

Engine::~Engine() = default;

const Entity& Engine::entity(NodeId node) const { return processes_[node]->entity; }

std::optional<NodeId> Engine::node_of(const Entity& entity) const {
    const auto& places = by_kind_[static_cast<size_t>(entity.kind)];
    const auto number = static_cast<size_t>(entity.number);
    if (number >= places.size() || places[number] == no_node) return std::nullopt;
    return places[number];
}

bool Engine::alive(NodeId node) const { return processes_[node]->alive; }
uint32_t Engine::life(NodeId node) const { return processes_[node]->life; }
World& Engine::world(NodeId node) { return process(node).world; }
OutputGate& Engine::gate(NodeId node) { return process(node).world.gate; }

uint32_t Engine::begin_life(NodeId node) {
    Process& p = process(node);
    check(!p.alive, "a process that lives is started");
    p.alive = true;
    p.world.gate.open();
    return ++p.life;
}

void Engine::install(NodeId node, std::unique_ptr<Machine> machine) {
    process(node).machine = std::move(machine);
}

void Engine::end_life(NodeId node, bool host_answers) {
    Process& p = process(node);
    p.alive = p.dying = false;
    p.host_answers = host_answers;
    p.crash.reset();
    p.machine.reset();
    p.wishes.clear();
    for (auto& peer : p.peers) peer.reset();
    // Connections break, are tried again at once, and refused.
    for (NodeId other = 0; other < nodes(); ++other)
        if (process(other).alive && process(other).peers[node])
            refuse(node, other, {{}, now_, life(other), wire_between(node, other)});
}

void Engine::plan_crash(NodeId node, uint32_t events, uint32_t outputs) {
    process(node).crash = {events, outputs};
}

void Engine::forget_planned_crashes() {
    for (auto& process : processes_) process->crash.reset();
}

void Engine::jump_wall(NodeId node, Duration step) { process(node).world.wall_offset += step; }

void Engine::begin_act(NodeId node) {
    Process& p = process(node);
    if (!p.crash || p.crash->events-- > 0) return;
    p.world.gate.shut_after(p.crash->outputs);
    p.crash.reset();
    p.dying = true;
}

void Engine::end_act(NodeId node) {
    if (process(node).dying)
        owner_->crashed(node);
    else
        owner_->acted(node);
}

void Engine::plan(NodeId node, Event::Kind kind, Duration in, uint32_t number) {
    queue_.push(now_ + in, {.kind = kind, .node = node, .number = number, .life = life(node)});
}

bool Engine::step() {
    if (queue_.empty()) return false;
    now_ = queue_.next_time();
    const Event event = queue_.pop();
    ++events_;
    last_event_ = event;
    if (event.kind == Event::Kind::frame) {
        take_frame(event);
        return true;
    }
    if (event.kind == Event::Kind::datagram) {
        take_datagram(event);
        return true;
    }
    if (event.kind == Event::Kind::refusal) {
        take_refusal(event);
        return true;
    }
    const Process& p = process(event.node);
    if (event.life != 0 && (!p.alive || p.life != event.life)) return true;
    switch (event.kind) {
    case Event::Kind::session: tend_session(event); break;
    case Event::Kind::wake: wake(event); break;
    default: owner_->handle(event);
    }
    return true;
}

void Engine::send(NodeId from, NodeId to, MessagePtr message) {
    if (from == to) { // not by the network, and so not lost
        send_loosely(from, to, std::move(message), Wire::public_network);
        return;
    }
    ++messages_;
    coverage_.note(*message);
    Process& p = process(from);
    auto& peer = p.peers[to];
    if (!peer) peer = std::make_unique<Process::Peer>(Process::Peer{Session(p.life)});
    transmit(from, to, Event::Kind::frame, peer->session.send(std::move(message), now_),
             wire_between(from, to));
    arm(from, to);
}

void Engine::send_loosely(NodeId from, NodeId to, MessagePtr message, Wire wire) {
    ++messages_;
    coverage_.note(*message);
    transmit(from, to, Event::Kind::datagram, {.message = std::move(message)}, wire);
}

Wire Engine::wire_between(NodeId a, NodeId b) const {
    return entity(a).is_osd() && entity(b).is_osd() ? Wire::cluster_network : Wire::public_network;
}

void Engine::transmit(NodeId from, NodeId to, Event::Kind kind, Session::Frame frame, Wire wire) {
    const Event event{.kind = kind, .node = to, .peer = from};
    Flight flight{std::move(frame), now_, life(from), wire};
    if (from == to) {
        Event alone = event;
        alone.number = flights_.put(std::move(flight));
        queue_.push(now_, alone);
        return;
    }
    const Network::Arrivals arrivals = network_.route(from, to, wire, now_);
    for (size_t i = 0; i < arrivals.count; ++i) {
        Event copy = event;
        copy.number = flights_.put(flight);
        queue_.push(arrivals.at[i], copy);
    }
}

/// The host of a process that is gone says so, by the way that the question came.
void Engine::refuse(NodeId node, NodeId asker, const Flight& asked) {
    if (!process(node).host_answers || node == asker) return;
    const Network::Arrivals arrivals = network_.route(node, asker, asked.wire, now_);
    if (arrivals.count == 0) return;
    queue_.push(arrivals.at[0], {.kind = Event::Kind::refusal,
                                 .node = asker,
                                 .peer = node,
                                 .number = flights_.put({{}, asked.sent, asked.life, asked.wire})});
}

void Engine::wake_at(NodeId node, MonotonicTime when) {
    Process& p = process(node);
    when = std::max(when, now_);
    if (std::ranges::any_of(p.wishes, [&](MonotonicTime wish) {
            return wish >= when && wish <= when + wake_slack;
        }))
        return;
    p.wishes.push_back(when);
    queue_.push(when, {.kind = Event::Kind::wake, .node = node, .life = p.life});
}

void Engine::arm(NodeId node, NodeId peer) {
    Process::Peer& p = *process(node).peers[peer];
    const auto deadline = p.session.deadline();
    if (!deadline || *deadline >= p.armed) return;
    p.armed = std::max(*deadline, now_);
    queue_.push(
        p.armed,
        {.kind = Event::Kind::session, .node = node, .peer = peer, .life = process(node).life});
}

void Engine::take_frame(const Event& event) {
    const Flight flight = flights_.take(event.number);
    Process& p = process(event.node);
    if (!p.alive) return refuse(event.node, event.peer, flight);
    auto& peer = p.peers[event.peer];
    if (!peer) peer = std::make_unique<Process::Peer>(Process::Peer{Session(p.life)});
    const Session::Received received = peer->session.receive(flight.frame, now_);
    arm(event.node, event.peer);
    if (!received.reset && received.messages.empty()) return;
    const Entity& from = entity(event.peer);
    act(event.node, [&] {
        if (received.reset) p.machine->reset(from);
        for (const MessagePtr& message : received.messages) {
            story_->tell_message(now_, from, p.entity, *message);
            p.machine->receive(from, message);
        }
    });
}

void Engine::take_datagram(const Event& event) {
    const Flight flight = flights_.take(event.number);
    Process& p = process(event.node);
    if (!p.alive) return refuse(event.node, event.peer, flight);
    act(event.node, [&] {
        story_->tell_message(now_, entity(event.peer), p.entity, *flight.frame.message);
        p.machine->receive(entity(event.peer), flight.frame.message);
    });
}

void Engine::take_refusal(const Event& event) {
    const Flight asked = flights_.take(event.number);
    Process& p = process(event.node);
    if (!p.alive || p.life != asked.life) return;
    act(event.node, [&] { p.machine->gone(entity(event.peer), asked.sent); });
}

void Engine::tend_session(const Event& event) {
    auto& peer = process(event.node).peers[event.peer];
    if (!peer || peer->armed != now_) return; // another event tends it
    peer->armed = MonotonicTime::max();
    for (Session::Frame& frame : peer->session.due(now_))
        transmit(event.node, event.peer, Event::Kind::frame, std::move(frame),
                 wire_between(event.node, event.peer));
    arm(event.node, event.peer);
}

void Engine::wake(const Event& event) {
    Process& p = process(event.node);
    std::erase(p.wishes, now_);
    act(event.node, [&] { p.machine->wake(); });
}

} // namespace cloudlet::rados::sim
