#include "sim/cluster.h"

#include <numeric>

#include <fmt/format.h>

#include "cloudlet/base/check.h"

namespace cloudlet::rados::sim {

namespace {

std::vector<Entity> entities(const ClusterPlan& plan) {
    std::vector<Entity> all;
    auto add = [&](size_t count, auto make) {
        for (size_t i = 0; i < count; ++i) all.push_back(make(static_cast<int32_t>(i)));
    };
    add(plan.monitors, Entity::monitor);
    add(plan.all_osds(), Entity::osd);
    add(plan.clients + 1, Entity::client); // the last one is the operator
    return all;
}

std::vector<int32_t> numbers(size_t count) {
    std::vector<int32_t> all(count);
    std::iota(all.begin(), all.end(), 0);
    return all;
}

} // namespace

/// Hears what a monitor hears, and says when it marks an OSD down without enough witnesses.
class Cluster::MonitorEar final : public Machine {
public:
    MonitorEar(Cluster& cluster, std::unique_ptr<MonitorMachine> machine)
        : cluster_(cluster), machine_(std::move(machine)) {}
    void receive(const Entity& from, const MessagePtr& message) override {
        note(from, *message);
        machine_->receive(from, message);
    }
    void reset(const Entity& peer) override { machine_->reset(peer); }
    void gone(const Entity& peer, MonotonicTime asked) override { machine_->gone(peer, asked); }
    void wake() override { machine_->wake(); }

    void judge(const OsdMapIncremental& step) {
        const MapEpochPtr& map = machine_->newest();
        for (const auto& [osd, bits] : step.new_state) {
            const bool goes_down = map->map().is_up(osd) && (bits == 0 || (bits & osd_up));
            if (!goes_down || excused_.erase(osd)) continue;
            cluster_.flags_.convicted(osd, map->map(), step);
            if (auto gone = gone_.extract(osd); gone && gone.mapped() == life_of(osd)) {
                reports_.erase(osd);
                const OsdMachine* machine = cluster_.osds_[static_cast<size_t>(osd)].machine;
                if (machine && machine->is_up_in(map->map()))
                    cluster_.injustice_ = fmt::format(
                        "osd.{} is marked down in epoch {} as gone, and it lives", osd, step.epoch);
                continue;
            }
            std::set<int32_t> places;
            const bool by_host = cluster_.plan_.hosts() > 1;
            for (int32_t reporter : reports_[osd])
                places.insert(by_host ? cluster_.plan_.host_of[static_cast<size_t>(reporter)]
                                      : reporter);
            reports_.erase(osd);
            if (places.size() < 2)
                cluster_.injustice_ =
                    fmt::format("osd.{} is marked down in epoch {} on the word of {} place", osd,
                                step.epoch, places.size());
        }
        // A boot that was granted, or an order about one that was down, excuses nothing any more.
        for (const auto& [osd, address] : step.new_up_client) excused_.erase(osd);
    }

private:
    /// As far as this monitor knows: it may be behind.
    Epoch life_of(int32_t osd) const {
        const MapEpochPtr& map = machine_->newest();
        return map && map->map().has_osd(osd)
                   ? map->map().osd_info[static_cast<size_t>(osd)].up_from
                   : 0;
    }
    void note(const Entity& from, const Message& message) {
        const MessageBody& body = message.body;
        if (auto* failure = std::get_if<message::Failure>(&body)) {
            const int32_t target = failure->target;
            if (failure->withdrawn)
                reports_[target].erase(from.number);
            else
                reports_[target].insert(from.number);
            if (failure->gone && std::max(life_of(target), life_of(from.number)) <= message.epoch)
                gone_[target] = life_of(target);
        }
        if (std::get_if<message::Boot>(&body)) excused_.insert(from.number);
        if (auto* order = std::get_if<message::DoCommand>(&body))
            if (auto* down = std::get_if<command::Down>(&order->command))
                excused_.insert(down->osd);
    }

    Cluster& cluster_;
    std::unique_ptr<MonitorMachine> machine_;
    std::map<int32_t, std::set<int32_t>> reports_; // of an OSD, by whom
    std::set<int32_t> excused_;                    // to be marked down for another reason
    std::map<int32_t, Epoch> gone_;                // by the word of its host, this life of an OSD
};

/// A monitor's way to the cloud's store.
class Cluster::MonitorStore final : public MapStore {
public:
    MonitorStore(Cluster& cluster, NodeId node) : cluster_(cluster), node_(node) {}
    void append(uint64_t term, MapStep step) override {
        cluster_.monitors_[node_].ear->judge(*step);
        if (cluster_.engine_.gate(node_).pass())
            cluster_.store_.append(node_, term, std::move(step), cluster_.engine_.now());
    }

private:
    Cluster& cluster_;
    NodeId node_;
};

Cluster::Cluster(uint64_t seed, const ClusterPlan& plan, Director& director, Story& story)
    : plan_(plan), director_(&director),
      engine_(seed, entities(plan), plan.cluster_network, *this, story),
      random_(engine_.random().next()),
      store_(engine_.queue(), plan.monitors, plan.base->epoch, Random(random_.next())),
      flags_(*plan.base, plan.all_osds()), monitors_(plan.monitors), osds_(plan.all_osds()),
      clients_(plan.clients) {
    auto first = maps_.first(plan_.base);
    check(first.has_value(), "the base map places nothing");
    epochs_.push_back(*first);
    for (size_t i = 0; i < monitors_.size(); ++i)
        monitors_[i].store = std::make_unique<MonitorStore>(*this, monitor_node(i));
    for (size_t i = 0; i < osds_.size(); ++i) {
        osds_[i].wanted = i < plan_.osds;
        osds_[i].disk =
            std::make_unique<SimulatedDisk>(engine_.gate(osd_node(i)), Random(random_.next()));
    }
    for (NodeId node = 0; node < engine_.nodes(); ++node) start(node);
}

Cluster::~Cluster() = default;

void Cluster::start(NodeId node) {
    if (engine_.alive(node)) return;
    const auto number = static_cast<size_t>(engine_.entity(node).number);
    if (is_osd(node) && !osds_[number].wanted) return;
    engine_.begin_life(node);
    if (engine_.story().listening())
        engine_.story().announce(engine_.now(),
                                 fmt::format("{} starts", engine_.entity(node).to_string()));
    engine_.act(node, [&] {
        switch (engine_.entity(node).kind) {
        case Entity::Kind::monitor: start_monitor(number); break;
        case Entity::Kind::osd: start_osd(number); break;
        case Entity::Kind::client: start_client(number); break;
        }
    });
}

void Cluster::start_monitor(size_t monitor) {
    const NodeId node = monitor_node(monitor);
    MonitorOptions options;
    options.liveness.down_out_interval = plan_.down_out_interval;
    auto machine =
        std::make_unique<MonitorMachine>(static_cast<int32_t>(monitor), engine_.world(node),
                                         *monitors_[monitor].store, maps_, options);
    MonitorMachine& it = *machine;
    monitors_[monitor].machine = &it;
    auto ear = std::make_unique<MonitorEar>(*this, std::move(machine));
    monitors_[monitor].ear = ear.get();
    engine_.install(node, std::move(ear));
    it.start(plan_.base, store_.connect(node, engine_.life(node), engine_.now()));
}

void Cluster::start_osd(size_t osd) {
    const NodeId node = osd_node(osd);
    OsdOptions options;
    options.monitors = numbers(plan_.monitors);
    options.log = plan_.log;
    options.backfill_batch = options.scrub_chunk = plan_.batch;
    options.recover_at_once = std::min<size_t>(plan_.batch, 3);
    if (plan_.scrubs) {
        options.scrub = *plan_.scrubs;
        options.scrub_tick = std::chrono::seconds(1);
        options.scrub_retry = std::chrono::seconds(2);
    }
    auto address = [&](char network) -> AddressVector {
        std::string socket(16, static_cast<char>(osd));
        socket.front() = network;
        return {{{.kind = Address::Kind::msgr2, .socket_address = socket}}};
    };
    options.address = address('p');
    if (plan_.cluster_network) options.cluster_address = address('c');
    auto machine =
        std::make_unique<OsdMachine>(static_cast<int32_t>(osd), disk_of(osd), engine_.world(node),
                                     *osds_[osd].disk, maps_, options);
    OsdMachine& it = *machine;
    osds_[osd].machine = &it;
    osds_[osd].scrubs = {};
    osds_[osd].disk->attach(it);
    engine_.install(node, std::move(machine));
    it.start();
}

void Cluster::start_client(size_t client) {
    const NodeId node = client_node(client);
    if (node == operator_node()) {
        auto machine = std::make_unique<OperatorMachine>(engine_.world(node), plan_.monitors);
        operators_ = machine.get();
        engine_.install(node, std::move(machine));
        return;
    }
    const auto number = static_cast<int32_t>(client);
    auto machine = std::make_unique<ClientMachine>(
        number, engine_.life(node), engine_.world(node), maps_, director_->listener(number),
        ClientOptions{.monitors = numbers(plan_.monitors)});
    ClientMachine& it = *machine;
    clients_[client] = &it;
    engine_.install(node, std::move(machine));
    it.start();
}

void Cluster::crash(NodeId node) { crash(node, some_end()); }

void Cluster::crash(NodeId node, End end) {
    stop(node, end);
    engine_.queue().push(engine_.now() + random_span(random_, std::chrono::milliseconds(50),
                                                     random_.chance(0.5)
                                                         ? std::chrono::seconds(3)
                                                         : std::chrono::seconds(40)),
                         {.kind = Event::Kind::start, .node = node});
}

void Cluster::stop(NodeId node) { stop(node, some_end()); }

void Cluster::stop(NodeId node, End end) {
    if (!engine_.alive(node)) return;
    if (engine_.story().listening())
        engine_.story().announce(engine_.now(),
                                 fmt::format("{} ends{}", engine_.entity(node).to_string(),
                                             end == End::alone ? "" : ", and so does its host"));
    const Entity entity = engine_.entity(node);
    const auto number = static_cast<size_t>(entity.number);
    engine_.end_life(node, end == End::alone);
    if (entity.is_monitor()) {
        store_.disconnect(node);
        monitors_[number].machine = nullptr;
    } else if (entity.is_osd()) {
        osds_[number].machine = nullptr;
        flags_.ended(entity.number);
        osds_[number].disk->detach();
        osds_[number].disk->crash();
    } else {
        clients_[number] = nullptr;
        director_->client_ended(entity.number);
    }
}

void Cluster::replace_disk(size_t osd) {
    ++osds_[osd].generation;
    osds_[osd].disk =
        std::make_unique<SimulatedDisk>(engine_.gate(osd_node(osd)), Random(random_.next()));
}

Uuid Cluster::disk_of(size_t osd) const {
    return disk_uuid(static_cast<int32_t>(osd), osds_[osd].generation);
}

const MapEpochPtr& Cluster::newest() {
    while (epochs_.back()->epoch() < store_.newest()) {
        const MapEpochPtr& last = epochs_.back();
        auto next = maps_.next(last, store_.steps()[last->epoch() - plan_.base->epoch]);
        check(next.has_value(), "a step in the store does not fit the map before it");
        flags_.stepped(last->map(), (*next)->map());
        epochs_.push_back(*next);
    }
    return epochs_.back();
}

std::vector<PgId> Cluster::pgs() {
    std::vector<PgId> all;
    for (const auto& [id, pool] : newest()->map().pools)
        for (uint32_t seed = 0; seed < pool.pg_num; ++seed) all.push_back({id, seed});
    return all;
}

std::optional<PgReport> Cluster::report(PgId pg) {
    const OsdMachine* machine = primary_of(pg);
    if (!machine || machine->epoch() != newest()->epoch()) return std::nullopt;
    return last_report(pg);
}

std::optional<PgReport> Cluster::last_report(PgId pg) {
    const OsdMachine* machine = primary_of(pg);
    return machine ? machine->report(pg) : std::nullopt;
}

const OsdMachine* Cluster::primary_of(PgId pg) {
    const int32_t primary = newest()->acting(pg).primary;
    if (primary < 0 || static_cast<size_t>(primary) >= osds_.size()) return nullptr;
    return osds_[static_cast<size_t>(primary)].machine;
}

void Cluster::handle(const Event& event) {
    switch (event.kind) {
    case Event::Kind::synced:
        engine_.act(event.node, [&] {
            osds_[static_cast<size_t>(engine_.entity(event.node).number)].disk->end_sync();
        });
        break;
    case Event::Kind::store:
        tell_monitor(event);
        newest(); // before anybody lives in a new epoch, its flags are known
        break;
    case Event::Kind::start: start(event.node); break;
    default: director_->direct(event);
    }
}

void Cluster::tell_monitor(const Event& event) {
    auto told = store_.read_letter(event, engine_.now());
    if (!told) return;
    MonitorMachine& machine = *monitors_[event.node].machine;
    engine_.act(event.node, [&] {
        for (const MapStep& step : told->steps) machine.committed(step);
        if (told->refused) machine.refused(told->refused->first, told->refused->second);
        if (told->leads) machine.lead(told->leads->first, told->leads->second);
        if (told->follows) machine.follow(*told->follows);
    });
}

void Cluster::acted(NodeId node) {
    if (!is_osd(node)) return;
    const int32_t number = engine_.entity(node).number;
    Osd& osd = osds_[static_cast<size_t>(number)];
    newest(); // the judge knows the flags of all epochs
    if (osd.machine) {
        const ScrubCounts begun = osd.machine->scheduled_scrubs();
        const Epoch known = std::exchange(osd.known, osd.machine->epoch());
        flags_.acted(number, osd.known);
        flags_.scrubbed(number, known, osd.known, osd.scrubs, begun);
        osd.scrubs = begun;
        if (std::exchange(osd.begins, false)) count_busy(number, osd);
    }
    if (osd.machine && osd.machine->stopped()) {
        crash(node);
        return;
    }
    if (auto takes = osd.disk->begin_sync()) engine_.plan(node, Event::Kind::synced, *takes);
}

/// Whoever begins may only do so when those who must end for it have ended.
void Cluster::count_busy(int32_t number, Osd& osd) {
    size_t busy = 0;
    for (const PgReport& report : osd.machine->reports())
        busy += report.state.has(PgFlag::recovering) || report.state.has(PgFlag::backfilling);
    if (busy > OsdOptions{}.most_backfills)
        too_many_at_once_ = fmt::format("osd.{} makes {} PGs whole at once", number, busy);
}

void Cluster::crashed(NodeId node) { crash(node); }

void Cluster::sent(NodeId from, const Message& message) {
    newest();
    flags_.sent(engine_.entity(from), message);
}

void Cluster::moved(NodeId node, const PgMove& move) {
    newest();
    const int32_t number = engine_.entity(node).number;
    Osd& osd = osds_[static_cast<size_t>(number)];
    if (!osd.machine) return;
    flags_.moved(number, osd.machine->epoch(), move);
    if (move.table == PgMove::Table::work)
        osd.begins = osd.begins || work_transitions()[move.row].event == PgEvent::reserved;
}

} // namespace cloudlet::rados::sim
