#include "sim/faults.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "sim/oracles.h"
#include "sim/workload.h"

namespace cloudlet::rados::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

/// How often each kind of fault comes, in the order of Faults::Kind.
constexpr std::array<uint32_t, 19> odds = {5, 9, 1, 2, 2, 2, 1, 2, 2, 1, 3, 3, 1, 1, 3, 2, 2, 3, 2};
constexpr uint32_t replacing = UINT32_MAX; // the number of events that go on replacing a disk

} // namespace

void Faults::strike() {
    static_assert(odds.size() == static_cast<size_t>(Kind::count));
    uint64_t left = random_.below([] {
        uint32_t sum = 0;
        for (uint32_t odd : odds) sum += odd;
        return sum;
    }());
    size_t kind = 0;
    for (; left >= odds[kind]; ++kind) left -= odds[kind];
    if (strike(static_cast<Kind>(kind))) ++count_;
}

bool Faults::strike(Kind kind) {
    switch (kind) {
    case Kind::crash: {
        const NodeId node = any_node();
        const bool lived = cluster_.engine().alive(node);
        if (lived) cluster_.crash(node);
        return lived;
    }
    case Kind::crash_within: return crash_within();
    case Kind::power_loss: return lose_power();
    case Kind::cut_one_way:
    case Kind::cut_both_ways: return cut(kind);
    case Kind::split: return split();
    case Kind::deaf_to_store: return make_deaf_to_store();
    case Kind::storm: return storm();
    case Kind::slow_disk: return slow_disk();
    case Kind::failed_sync: return fail_sync();
    case Kind::full_disk: return fill_disk();
    case Kind::rot: return rot();
    case Kind::new_disk: return replace_disk();
    case Kind::wall_jump: return jump_wall();
    case Kind::island: return make_island();
    case Kind::blackout: return black_out();
    case Kind::quarrel: return quarrel();
    case Kind::cut_network: return cut_network();
    case Kind::damaged_record: return damage_record();
    case Kind::count: break;
    }
    return false;
}

bool Faults::crash_within() {
    const NodeId node = any_node();
    if (!cluster_.engine().alive(node)) return false;
    cluster_.engine().plan_crash(node, static_cast<uint32_t>(random_.below(100)),
                                 static_cast<uint32_t>(random_.below(6)));
    return true;
}

bool Faults::lose_power() {
    const int host = static_cast<int>(random_.below(cluster_.plan().hosts()));
    for (size_t osd = 0; osd < cluster_.plan().all_osds(); ++osd)
        if (cluster_.plan().host_of[osd] == host)
            cluster_.crash(cluster_.osd_node(osd), Cluster::End::with_host);
    return true;
}

bool Faults::cut(Kind kind) {
    const NodeId a = any_node(), b = any_node();
    if (a == b) return false;
    Links links = {{a, b}};
    if (kind == Kind::cut_both_ways) links.emplace_back(b, a);
    announce("is cut off from another", a);
    last({.kind = kind, .links = std::move(links)});
    return true;
}

/// Some are on one side, the others on the other side; now and then they are still heard.
bool Faults::split() {
    const auto nodes = static_cast<NodeId>(cluster_.engine().nodes());
    std::vector<bool> beyond(nodes);
    for (NodeId node = 0; node < nodes; ++node) beyond[node] = random_.chance(0.3);
    const bool one_way = random_.chance(0.3);
    Links links;
    for (NodeId a = 0; a < nodes; ++a)
        for (NodeId b = 0; b < nodes; ++b)
            if (beyond[a] && !beyond[b]) {
                links.emplace_back(a, b);
                if (!one_way) links.emplace_back(b, a);
            }
    if (links.empty()) return false;
    for (NodeId node = 0; node < nodes; ++node)
        if (beyond[node]) announce("is beyond a split", node);
    last({.kind = Kind::split, .links = std::move(links)});
    return true;
}

bool Faults::make_deaf_to_store() {
    const auto node = static_cast<NodeId>(random_.below(cluster_.plan().monitors));
    for (const Lasting& fault : lasting_)
        if (!fault.over && fault.kind == Kind::deaf_to_store && fault.node == node) return false;
    announce("is cut off from the store", node);
    cluster_.store().cut_off(node);
    last({.kind = Kind::deaf_to_store, .node = node});
    return true;
}

bool Faults::storm() {
    Weather weather{.lost = 0.05, .doubled = 0.05, .late = 0.3, .late_by = seconds(1)};
    if (random_.chance(0.5))
        weather = {.lost = 0.3, .doubled = 0.1, .late = 0.5, .late_by = seconds(4)};
    announce("feels a storm, as all do", 0);
    cluster_.engine().network().set_weather(weather);
    ++storms_;
    last({.kind = Kind::storm});
    return true;
}

bool Faults::slow_disk() {
    const auto osd = any_living_osd();
    if (!osd) return false;
    announce("has a slow disk", cluster_.osd_node(*osd));
    cluster_.disk(*osd).set_slowest(random_.chance(0.5) ? milliseconds(2000) : milliseconds(200));
    last({.kind = Kind::slow_disk, .node = static_cast<NodeId>(*osd)});
    return true;
}

bool Faults::fail_sync() {
    const auto osd = any_living_osd();
    if (!osd) return false;
    announce("will fail to sync", cluster_.osd_node(*osd));
    cluster_.disk(*osd).fail_next_sync();
    return true;
}

bool Faults::fill_disk() {
    std::optional<size_t> osd = any_living_osd();
    // Best one that is to be filled.
    for (PgId pg : cluster_.pgs()) {
        const OsdSet up = cluster_.newest()->up(pg), acting = cluster_.newest()->acting(pg);
        for (int32_t one : up.osds)
            if (std::ranges::find(acting.osds, one) == acting.osds.end() &&
                cluster_.osd(static_cast<size_t>(one)))
                osd = static_cast<size_t>(one);
    }
    if (!osd) return false;
    const uint64_t used = cluster_.disk(*osd).contents().used_bytes();
    fill(*osd, random_.chance(0.5) ? used / 13 : random_.below(used / 8 + 4096));
    return true;
}

void Faults::fill_one_of(const std::vector<int32_t>& osds) {
    const auto osd = static_cast<size_t>(osds[random_.below(osds.size())]);
    if (!cluster_.osd(osd)) return;
    // Above the ratio of 0.95, now or when a little more has come.
    fill(osd, cluster_.disk(osd).contents().used_bytes() / (random_.chance(0.5) ? 25 : 18));
    ++count_;
}

void Faults::fill(size_t osd, uint64_t room) {
    announce("has a full disk", cluster_.osd_node(osd));
    SimulatedDisk& disk = cluster_.disk(osd);
    disk.set_capacity(disk.contents().used_bytes() + room);
    last({.kind = Kind::full_disk, .node = static_cast<NodeId>(osd)}, seconds(10), seconds(70));
}

/// Some OSDs and clients are alone for so long that the others go on without them.
bool Faults::make_island() {
    const ClusterPlan& plan = cluster_.plan();
    const auto nodes = static_cast<NodeId>(cluster_.engine().nodes());
    std::vector<bool> alone(nodes);
    const size_t osds = 1 + random_.below(2);
    for (size_t i = 0; i < osds; ++i)
        alone[cluster_.osd_node(random_.below(plan.all_osds()))] = true;
    const NodeId client = cluster_.client_node(random_.below(plan.clients));
    alone[client] = true;
    Links links;
    for (NodeId a = 0; a < nodes; ++a)
        for (NodeId b = 0; b < nodes; ++b)
            if (alone[a] != alone[b]) links.emplace_back(a, b);
    for (NodeId node = 0; node < nodes; ++node)
        if (alone[node]) announce("is on an island", node);
    const Duration span = random_span(random_, seconds(15), seconds(60));
    last_for({.kind = Kind::island, .links = std::move(links)}, span);
    const bool helped = random_.chance(0.3); // by an operator, so that the others do not wait
    talk_across(client, alone, helped ? seconds(1) : seconds(16), span);
    if (helped) {
        for (size_t osd = 0; osd < plan.all_osds(); ++osd)
            if (alone[cluster_.osd_node(osd)])
                cluster_.operators().order(command::Down{static_cast<int32_t>(osd)});
    }
    return true;
}

/// The client on the island reads what an OSD there was primary of, while others write it.
void Faults::talk_across(NodeId client, const std::vector<bool>& alone, Duration from,
                         Duration until) {
    const ClusterPlan& plan = cluster_.plan();
    const MapEpoch& map = *cluster_.newest();
    std::vector<uint32_t> objects;
    for (uint32_t i = 0; i < plan.objects.size(); ++i) {
        const int32_t primary =
            map.acting(map.pg_of(Workload::first_pool, {.name = plan.objects[i]})).primary;
        if (primary >= 0 && alone[cluster_.osd_node(static_cast<size_t>(primary))])
            objects.push_back(i);
    }
    if (objects.empty()) return;
    const uint32_t object = objects[random_.below(objects.size())];
    auto ask = [&](NodeId node, Workload::Errand errand, Duration in) {
        cluster_.engine().queue().push(
            cluster_.engine().now() + in,
            {.kind = Event::Kind::work, .node = node, .number = Workload::errand(errand, object)});
    };
    for (Duration in = from; in < until; in += seconds(2)) {
        ask(client, Workload::Errand::read, in);
        ask(cluster_.client_node(random_.below(plan.clients)), Workload::Errand::append,
            in + seconds(1));
    }
}

/// Power fails everywhere, with disks that had been slow for a moment; one comes back after the
/// other, or one that had been away for longer comes back first.
bool Faults::black_out() {
    Lasting fault{.kind = Kind::blackout};
    for (size_t osd = 0; osd < cluster_.plan().all_osds(); ++osd) {
        if (!cluster_.osd(osd) || random_.chance(0.5)) continue;
        cluster_.disk(osd).set_slowest(seconds(3));
        fault.slow.push_back(osd);
    }
    announce("will be without power soon, as all OSDs", 0);
    last(std::move(fault), milliseconds(50), milliseconds(1500));
    return true;
}

/// Those that have lost more come back first, now and then.
void Faults::cut_power(const Lasting& fault) {
    const bool others_late = random_.chance(0.5);
    for (size_t osd : fault.slow) cluster_.disk(osd).set_slowest(SimulatedDisk::usual_slowest);
    for (size_t osd = 0; osd < cluster_.plan().all_osds(); ++osd) {
        if (!cluster_.osd(osd)) continue;
        const NodeId node = cluster_.osd_node(osd);
        const bool was_slow = std::ranges::find(fault.slow, osd) != fault.slow.end();
        if (was_slow || !others_late) {
            cluster_.crash(node, Cluster::End::with_host);
            continue;
        }
        cluster_.stop(node, Cluster::End::with_host);
        cluster_.engine().queue().push(cluster_.engine().now() +
                                           random_span(random_, seconds(25), seconds(45)),
                                       {.kind = Event::Kind::start, .node = node});
    }
}

/// One host's OSDs and one OSD do not hear each other: nobody else has a reason to complain.
bool Faults::quarrel() {
    const ClusterPlan& plan = cluster_.plan();
    const size_t one = random_.chance(0.7) ? 0 : random_.below(plan.osds);
    const int host = static_cast<int>(random_.below(plan.hosts()));
    Links links;
    for (size_t osd = 0; osd < plan.all_osds(); ++osd) {
        if (plan.host_of[osd] != host || osd == one) continue;
        links.emplace_back(cluster_.osd_node(osd), cluster_.osd_node(one));
        links.emplace_back(cluster_.osd_node(one), cluster_.osd_node(osd));
    }
    if (links.empty()) return false;
    announce("is not heard by one host", cluster_.osd_node(one));
    last({.kind = Kind::quarrel, .links = std::move(links)}, seconds(22), seconds(45));
    return true;
}

/// One of an OSD's networks fails, or the way to one of its peers there; the other one goes on.
bool Faults::cut_network() {
    if (!cluster_.plan().cluster_network) return false;
    const size_t one = random_.below(cluster_.plan().all_osds());
    const NodeId node = cluster_.osd_node(one);
    const bool one_peer = random_.chance(0.4);
    const size_t peer = random_.below(cluster_.plan().all_osds());
    const Wire wire = random_.chance(0.7) ? Wire::cluster_network : Wire::public_network;
    Links links;
    for (size_t osd = 0; osd < cluster_.plan().all_osds(); ++osd) {
        if (osd == one || (one_peer && osd != peer)) continue;
        links.emplace_back(node, cluster_.osd_node(osd));
        links.emplace_back(cluster_.osd_node(osd), node);
    }
    if (links.empty()) return false;
    announce(wire == Wire::cluster_network ? "has a broken cluster network"
                                           : "is not heard by OSDs on the public network",
             node);
    last({.kind = Kind::cut_network, .links = std::move(links), .wire = wire}, seconds(5),
         seconds(50));
    return true;
}

bool Faults::must_wait() {
    if (!rotten_) return false;
    if (first_unclean(cluster_) || !has_equal_copies(cluster_, *rotten_) || !is_filled_again())
        return true;
    rotten_.reset();
    forgetful_.reset();
    return false;
}

/// Whoever could not read its record serves by a new one, or is not needed any more.
bool Faults::is_filled_again() const {
    if (!forgetful_) return true;
    const std::vector<int32_t> acting = cluster_.newest()->acting(*rotten_).osds;
    if (std::ranges::find(acting, static_cast<int32_t>(*forgetful_)) == acting.end()) return true;
    const OsdMachine* machine = cluster_.osd(*forgetful_);
    return machine && machine->is_up();
}

/// A copy's record, while all else is well; its OSD finds out when it starts.
bool Faults::damage_record() {
    if (!is_calm() || !may_destroy()) return false;
    const std::vector<PgId> pgs = cluster_.pgs();
    const PgId pg = pgs[random_.below(pgs.size())];
    const OsdSet acting = cluster_.newest()->acting(pg);
    if (acting.osds.size() < 2) return false;
    const auto osd = static_cast<size_t>(acting.osds[random_.below(acting.osds.size())]);
    if (!cluster_.osd(osd)) return false;
    cluster_.engine().forget_planned_crashes();
    announce(fmt::format("will not be able to read its record of {}", pg.to_string()),
             cluster_.osd_node(osd));
    cluster_.crash(cluster_.osd_node(osd));
    const Damage damage{{}, {0, "pg " + pg.to_string()}, ObjectPart::omap};
    if (!cluster_.disk(osd).contents().damage(damage, random_)) return true;
    rotten_ = pg;
    forgetful_ = osd;
    return true;
}

/// Nothing is wrong at the moment, nor will be by what is planned.
bool Faults::is_calm() const {
    // Who has ended may not be missed yet, and what others write meanwhile has one copy less.
    for (size_t osd = 0; osd < cluster_.plan().all_osds(); ++osd)
        if (cluster_.is_wanted(osd) && !cluster_.osd(osd)) return false;
    return std::ranges::all_of(lasting_, [](const Lasting& fault) { return fault.over; });
}

/// While clients work, too. What rots may be the only copy of what was written last unless all else
/// is well, so it has to be found and repaired before anything else goes wrong.
bool Faults::rot() {
    if (!is_calm()) return false;
    cluster_.engine().forget_planned_crashes();
    return rot_something().has_value();
}

std::optional<std::string> Faults::rot_something() {
    if (!may_destroy()) return std::nullopt;
    const std::vector<PgId> pgs = cluster_.pgs();
    const PgId pg = pgs[random_.below(pgs.size())];
    const OsdSet acting = cluster_.newest()->acting(pg);
    if (acting.osds.size() < 2) return std::nullopt;
    const auto osd = static_cast<size_t>(acting.osds[random_.below(acting.osds.size())]);
    MemoryStore& store = cluster_.disk(osd).contents();
    auto listed = store.list(pg, std::nullopt, SIZE_MAX);
    if (!listed || listed->objects.empty()) return std::nullopt;
    constexpr std::array parts = {ObjectPart::data, ObjectPart::xattrs, ObjectPart::omap};
    const Damage damage{pg, listed->objects[random_.below(listed->objects.size())],
                        parts[random_.below(parts.size())]};
    if (!store.damage(damage, random_)) return std::nullopt;
    announce(fmt::format("has a rotten {} in {}", damage.object.to_string(), pg.to_string()),
             cluster_.osd_node(osd));
    rotten_ = pg;
    return damage.object.to_string();
}

bool Faults::replace_disk() {
    if (!may_destroy()) return false;
    const auto osd = any_living_osd();
    if (!osd) return false;
    announce("gets a new disk", cluster_.osd_node(*osd));
    cluster_.stop(cluster_.osd_node(*osd));
    cluster_.set_wanted(*osd, false);
    cluster_.replace_disk(*osd);
    replacing_ = osd;
    go_on_replacing();
    return true;
}

/// An operator's way: the OSD is marked down, its data are declared lost, and it comes anew.
void Faults::go_on_replacing() {
    const auto number = static_cast<int32_t>(*replacing_);
    const OsdMap& map = cluster_.newest()->map();
    const bool is_known =
        map.exists(number) && map.osd_info[*replacing_].lost_at > map.osd_info[*replacing_].up_from;
    if (is_known || !map.exists(number)) {
        cluster_.set_wanted(*replacing_, map.exists(number));
        cluster_.start(cluster_.osd_node(*replacing_));
        replacing_.reset();
        return;
    }
    if (cluster_.operators().idle()) {
        if (map.is_up(number))
            cluster_.operators().order(command::Down{number});
        else
            cluster_.operators().order(command::Lost{number});
    }
    cluster_.engine().queue().push(cluster_.engine().now() + seconds(2),
                                   {.kind = Event::Kind::recover, .number = replacing});
}

bool Faults::jump_wall() {
    const NodeId node = any_node();
    announce("has another wall clock", node);
    cluster_.engine().jump_wall(node, random_span(random_, -seconds(7200), seconds(7200)));
    return true;
}

void Faults::recover(uint32_t number) {
    if (number == replacing) {
        if (replacing_) go_on_replacing();
        return;
    }
    end(lasting_[number]);
}

void Faults::heal() {
    for (Lasting& fault : lasting_) end(fault);
    cluster_.engine().forget_planned_crashes();
    for (NodeId node = 0; node < cluster_.engine().nodes(); ++node) cluster_.start(node);
}

void Faults::last(Lasting fault) { last_for(std::move(fault), some_time()); }

void Faults::last(Lasting fault, Duration least, Duration most) {
    last_for(std::move(fault), random_span(random_, least, most));
}

void Faults::last_for(Lasting fault, Duration span) {
    set_links(fault, false);
    lasting_.push_back(std::move(fault));
    cluster_.engine().queue().push(
        cluster_.engine().now() + span,
        {.kind = Event::Kind::recover, .number = static_cast<uint32_t>(lasting_.size() - 1)});
}

void Faults::set_links(const Lasting& fault, bool open) {
    Network& network = cluster_.engine().network();
    for (auto [from, to] : fault.links) {
        if (fault.wire)
            open ? network.mend(from, to, *fault.wire) : network.cut(from, to, *fault.wire);
        else
            open ? network.mend(from, to) : network.cut(from, to);
    }
}

void Faults::end(Lasting& fault) {
    if (std::exchange(fault.over, true)) return;
    set_links(fault, true);
    switch (fault.kind) {
    case Kind::deaf_to_store: cluster_.store().join(fault.node, cluster_.engine().now()); break;
    case Kind::storm:
        if (--storms_ == 0) cluster_.engine().network().set_weather({});
        break;
    case Kind::slow_disk:
        cluster_.disk(fault.node).set_slowest(SimulatedDisk::usual_slowest);
        break;
    case Kind::blackout: cut_power(fault); break;
    case Kind::full_disk: cluster_.disk(fault.node).set_capacity(SimulatedDisk::ample); break;
    default: break;
    }
    if (cluster_.engine().story().listening())
        cluster_.engine().story().announce(cluster_.engine().now(), "a fault ends");
}

NodeId Faults::any_node() {
    // Mostly OSDs: there is most to go wrong.
    if (random_.chance(0.7)) return cluster_.osd_node(random_.below(cluster_.plan().all_osds()));
    return static_cast<NodeId>(random_.below(cluster_.engine().nodes() - 1)); // not the operator
}

std::optional<size_t> Faults::any_living_osd() {
    const size_t osd = random_.below(cluster_.plan().all_osds());
    if (!cluster_.osd(osd)) return std::nullopt;
    return osd;
}

bool Faults::may_destroy() {
    if (replacing_ || first_unclean(cluster_)) return false;
    return std::ranges::all_of(cluster_.pgs(),
                               [&](PgId pg) { return has_equal_copies(cluster_, pg); });
}

Duration Faults::some_time() {
    if (random_.chance(0.4)) return random_span(random_, milliseconds(100), seconds(3));
    return random_span(random_, seconds(3), seconds(50));
}

void Faults::announce(std::string_view what, NodeId node) {
    Engine& engine = cluster_.engine();
    if (engine.story().listening())
        engine.story().announce(engine.now(),
                                fmt::format("{} {}", engine.entity(node).to_string(), what));
}

} // namespace cloudlet::rados::sim
