#include "sim/simulation.h"

#include <fmt/format.h>

#include "sim/cluster.h"
#include "sim/faults.h"
#include "sim/operations.h"
#include "sim/workload.h"

namespace cloudlet::rados::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr size_t least_faults = 5;
constexpr Duration look_every = milliseconds(500);
constexpr Duration boot_within = seconds(300), whole_within = seconds(600);
constexpr size_t told_lines = 300;
constexpr size_t most_in_flight = 100'000;
constexpr uint64_t most_events = 300'000; // of one look

thread_local const Story* present_story = nullptr;

class Simulation final : public Director {
public:
    Simulation(uint64_t seed, Story& story)
        : random_(seed), plan_(plan_cluster(Random(random_.next()))), story_(story),
          workload_(plan_, Random(random_.next())), cluster_(random_.next(), plan_, *this, story),
          faults_(cluster_, Random(random_.next())), operations_(cluster_, Random(random_.next())) {
    }

    std::optional<Violation> live() {
        using Phase = std::optional<Violation> (Simulation::*)();
        constexpr std::pair<const char*, Phase> phases[] = {
            {"boot", &Simulation::boot},   {"work", &Simulation::work},
            {"heal", &Simulation::heal},   {"due scrubs", &Simulation::due_scrubs},
            {"scrub", &Simulation::scrub}, {"final reads", &Simulation::read_all},
            {"quiet", &Simulation::rest},  {"compare", &Simulation::compare}};
        for (auto [name, phase] : phases) {
            story_.announce(cluster_.engine().now(), name);
            if (auto violation = (this->*phase)()) return violation;
        }
        return std::nullopt;
    }

    void report(RunResult& result) {
        result.operations = workload_.operations();
        result.faults = faults_.count();
        result.judged = workload_.judged();
        result.undecided = workload_.undecided();
        result.events = cluster_.engine().events();
        result.messages = cluster_.engine().messages();
        result.virtual_time = cluster_.engine().now().time_since_epoch();
        result.coverage = cluster_.engine().coverage();
    }

    void direct(const Event& event) override {
        switch (event.kind) {
        case Event::Kind::work:
            if (event.number == 0)
                workload_.go_on(cluster_, event.node);
            else if (event.number == 1)
                workload_.ask_once(cluster_, event.node);
            else if (is_working_)
                workload_.run_errand(cluster_, event.node, event.number);
            break;
        case Event::Kind::strike: strike(); break;
        case Event::Kind::recover: faults_.recover(event.number); break;
        case Event::Kind::operate: operate(event.number); break;
        default: break;
        }
    }
    ClientListener& listener(int32_t client) override { return workload_.listener(client); }
    void client_ended(int32_t client) override { workload_.client_ended(client); }

private:
    std::optional<Violation> boot();
    std::optional<Violation> work();
    std::optional<Violation> heal();
    std::optional<Violation> due_scrubs();
    std::optional<Violation> scrub();
    std::optional<Violation> read_all();
    std::optional<Violation> rest();
    std::optional<Violation> compare();

    void strike();
    void operate(uint32_t number);
    void plan_events(Event::Kind kind, size_t count);
    /// Runs until `done` is true at a look, which gives nothing, or until time is up, which gives
    /// what `blame` says.
    template <typename Done, typename Blame>
    std::optional<Violation> run(Duration most, Done done, Blame blame);
    std::optional<Violation> look();
    void react();
    std::optional<Violation> fill_without_rebalancing();
    Violation time_stands_still();
    uint64_t messages_allowed() const;
    std::optional<Violation> fail_over();
    std::optional<Violation> scrub_all(const message::ScrubCommand& how);
    bool is_whole() { return all_up() && !first_unclean(cluster_); }
    /// Where scrubs are due all the time, nobody waits for their end.
    bool is_done() { return is_whole() && (plan_.scrubs || !is_scrubbing()); }
    bool is_quiet() { return is_whole() && !is_scrubbing(); }
    std::map<PgId, PgHistory> histories();
    std::optional<PgId> first_unscrubbed(const std::map<PgId, PgHistory>& before);
    bool all_up();
    bool is_scrubbing();

    Random random_;
    ClusterPlan plan_;
    Story& story_;
    Workload workload_;
    Cluster cluster_;
    Faults faults_;
    Operations operations_;
    bool is_working_ = false;
    uint64_t messages_seen_ = 0;
};

template <typename Done, typename Blame>
std::optional<Violation> Simulation::run(Duration most, Done done, Blame blame) {
    Engine& engine = cluster_.engine();
    const MonotonicTime end = engine.now() + most;
    for (MonotonicTime next = engine.now();; next += look_every) {
        const uint64_t begun = engine.events();
        while (engine.queue().next_time() < next && engine.events() - begun < most_events)
            engine.step();
        if (engine.events() - begun >= most_events) return time_stands_still();
        if (auto violation = look()) return violation;
        if (done()) return std::nullopt;
        if (next >= end) return blame();
    }
}

/// Clients and operators are there just when copies are made whole.
void Simulation::react() {
    if (!is_working_) return;
    for (PgId pg : cluster_.pgs()) {
        const auto report = cluster_.last_report(pg);
        if (!report) continue;
        const PgState& state = report->state;
        const bool busy = state.has(PgFlag::backfilling) || state.has(PgFlag::recovering) ||
                          state.has(PgFlag::backfill_wait) || state.has(PgFlag::recovery_wait);
        if (!busy) continue;
        if (random_.chance(0.5)) workload_.burst(cluster_);
        if (random_.chance(0.3)) operations_.hold_work();
        if (faults_.must_wait()) return;
        const bool fills = state.has(PgFlag::backfilling) || state.has(PgFlag::backfill_wait);
        if (fills && random_.chance(0.15)) faults_.fill_who_is_filled();
        if (random_.chance(fills ? 0.3 : 0.15)) faults_.fill_one_of(report->acting);
        if (random_.chance(fills ? 0.1 : 0.05)) operations_.send_away(report->acting.front());
        return;
    }
}

std::optional<Violation> Simulation::look() {
    if (auto violation = must_be_one_history(cluster_.store())) return violation;
    if (auto violation = must_be_just(cluster_)) return violation;
    if (auto violation = must_respect_slots(cluster_)) return violation;
    if (auto violation = must_keep_flags(cluster_)) return violation;
    react();
    Engine& engine = cluster_.engine();
    if (auto violation = must_have_few_epochs(cluster_.store(), engine.now())) return violation;
    const uint64_t sent = engine.messages() - std::exchange(messages_seen_, engine.messages());
    if (sent > messages_allowed() || engine.in_flight() > most_in_flight)
        return Violation{"flood",
                         fmt::format("{} messages in half a second, {} frames in flight", sent,
                                     engine.in_flight()),
                         ""};
    return std::nullopt;
}

/// Somebody keeps everybody busy, or asks to be woken at once whenever he is woken.
Violation Simulation::time_stands_still() {
    const Engine& engine = cluster_.engine();
    const Event& event = engine.last_event();
    return {"time stands still",
            fmt::format("{} events in half a second; the last one is a {} of {}", most_events,
                        name_of(event.kind), engine.entity(event.node).to_string()),
            ""};
}

/// Of half a second: everybody may have something to say to everybody, several times.
uint64_t Simulation::messages_allowed() const {
    const uint64_t nodes = plan_.monitors + plan_.all_osds() + plan_.clients;
    return 10'000 + nodes * nodes * 20;
}

std::optional<Violation> Simulation::boot() {
    return run(
        boot_within, [&] { return is_done(); }, [&] { return must_be_clean(cluster_); });
}

std::optional<Violation> Simulation::work() {
    is_working_ = true;
    workload_.begin(cluster_);
    plan_events(Event::Kind::strike, plan_.faults);
    plan_events(Event::Kind::operate, 2 + random_.below(8));
    auto violation = run(
        plan_.working_time, [] { return false; }, [] { return std::nullopt; });
    // While something rotten was looked for, the dice had to wait.
    if (faults_.count() < least_faults) operations_.restore();
    for (int more = 0; !violation && more < 20 && faults_.count() < least_faults; ++more) {
        strike();
        violation = run(
            seconds(10), [] { return false; }, [] { return std::nullopt; });
    }
    is_working_ = false;
    return violation;
}

void Simulation::plan_events(Event::Kind kind, size_t count) {
    Engine& engine = cluster_.engine();
    for (size_t i = 0; i < count; ++i)
        engine.queue().push(engine.now() + random_span(random_, Duration(0), plan_.working_time),
                            {.kind = kind});
}

/// Number 0 is something new; others end what was begun, and restore() has ended all of that.
void Simulation::operate(uint32_t number) {
    if (!is_working_) return;
    if (number > 0) return operations_.go_on(number);
    if (faults_.must_wait()) return;
    if (random_.chance(0.5)) workload_.burst(cluster_);
    if (random_.chance(0.3))
        operations_.hold_flag();
    else
        operations_.operate();
}

void Simulation::strike() {
    if (!is_working_) return;
    if (faults_.must_wait()) { // later
        cluster_.engine().queue().push(cluster_.engine().now() + seconds(2),
                                       {.kind = Event::Kind::strike});
        return operations_.scrub_all({.deep = true, .repair = true});
    }
    workload_.burst(cluster_);
    const size_t before = faults_.count();
    // The dice may want what cannot be; a seed shall have its faults.
    for (int attempt = 0; attempt < 20 && faults_.count() == before; ++attempt) faults_.strike();
}

std::optional<Violation> Simulation::heal() {
    faults_.heal();
    operations_.restore();
    if (random_.chance(0.3))
        if (auto violation = fill_without_rebalancing()) return violation;
    return run(
        whole_within,
        [&] {
            return workload_.is_done() && workload_.all_answered() && !faults_.is_replacing() &&
                   cluster_.operators().idle() && is_done();
        },
        [&]() -> std::optional<Violation> {
            if (auto violation = must_be_clean(cluster_)) return violation;
            if (auto violation = workload_.must_be_answered(cluster_)) return violation;
            return Violation{"not over", "the operator's orders were not carried out", ""};
        });
}

/// The flag holds what is only misplaced: PGs with too few copies get them all the same.
std::optional<Violation> Simulation::fill_without_rebalancing() {
    operations_.hold_rebalancing(true);
    auto first_short = [&]() -> std::optional<PgId> {
        for (PgId pg : cluster_.pgs()) {
            const auto report = cluster_.report(pg);
            const size_t size = cluster_.newest()->map().pool(pg.pool)->size;
            const bool is_short =
                !report || report->acting.size() < std::min(report->up.size(), size);
            if (is_short) return pg;
        }
        return std::nullopt;
    };
    auto violation = run(
        whole_within, [&] { return cluster_.operators().idle() && !first_short(); },
        [&] {
            return Violation{"not filled",
                             fmt::format("{} has too few copies, and norebalance holds it",
                                         first_short().value_or(PgId{}).to_string()),
                             first_short().value_or(PgId{}).to_string()};
        });
    operations_.hold_rebalancing(false);
    return violation;
}

/// One that has started again is not missed before its peers hear of it.
bool Simulation::all_up() {
    for (size_t osd = 0; osd < plan_.all_osds(); ++osd) {
        const OsdMachine* machine = cluster_.osd(osd);
        const bool needed =
            cluster_.is_wanted(osd) && cluster_.newest()->map().exists(static_cast<int32_t>(osd));
        if (needed && !(machine && machine->is_up())) return false;
    }
    return true;
}

bool Simulation::is_scrubbing() {
    for (PgId pg : cluster_.pgs()) {
        const auto report = cluster_.report(pg);
        if (report && report->state.has(PgFlag::scrubbing)) return true;
    }
    return false;
}

/// Every PG is scrubbed before long; then all such scrubs are held, for what comes next.
std::optional<Violation> Simulation::due_scrubs() {
    if (!plan_.scrubs) return std::nullopt;
    const auto before = histories();
    auto starved = run(
        whole_within, [&] { return !first_unscrubbed(before); },
        [&] {
            const std::string pg = first_unscrubbed(before).value_or(PgId{}).to_string();
            return Violation{"not scrubbed", fmt::format("{} is not scrubbed any more", pg), pg};
        });
    if (starved) return starved;
    operations_.hold_scrubs();
    auto violation = run(
        whole_within, [&] { return cluster_.operators().idle() && is_quiet(); },
        [&] {
            return Violation{"scrub without end", "a PG is scrubbing though flags hold it", ""};
        });
    if (violation || random_.chance(0.5)) return violation;
    return fail_over();
}

/// When a PG was scrubbed is still known when its primary is gone.
std::optional<Violation> Simulation::fail_over() {
    auto pause = [&](Duration time) {
        return run(
            time, [] { return false; }, [] { return std::nullopt; });
    };
    if (auto violation = pause(seconds(5))) return violation; // so that the copies learn it
    const auto before = histories();
    const auto pgs = cluster_.pgs();
    const PgId one = pgs[random_.below(pgs.size())];
    const int32_t primary = cluster_.newest()->acting(one).primary;
    const NodeId node = cluster_.osd_node(static_cast<size_t>(primary));
    cluster_.stop(node);
    cluster_.operators().order(command::Down{primary});
    auto serves = [&](PgId pg) {
        const auto report = cluster_.report(pg);
        return report && (report->state.has(PgFlag::active) || report->state.has(PgFlag::peered));
    };
    auto violation = run(
        whole_within, [&] { return std::ranges::all_of(pgs, serves); },
        [&] { return must_be_clean(cluster_); });
    if (violation) return violation;
    for (const auto& [pg, history] : histories()) {
        const PgHistory& known = before.at(pg);
        if (history.scrubs == known.scrubs && history.last_scrub_stamp == known.last_scrub_stamp &&
            history.last_deep_scrub_stamp == known.last_deep_scrub_stamp)
            continue;
        return Violation{"scrub forgotten",
                         fmt::format("{} was scrubbed {} times, last at {}; without osd.{} it is "
                                     "{} times and {}",
                                     pg.to_string(), known.scrubs,
                                     format_time(known.last_scrub_stamp), primary, history.scrubs,
                                     format_time(history.last_scrub_stamp)),
                         pg.to_string()};
    }
    cluster_.start(node);
    return run(
        whole_within, [&] { return is_quiet(); }, [&] { return must_be_clean(cluster_); });
}

/// As far as primaries report; the others have empty ones.
std::map<PgId, PgHistory> Simulation::histories() {
    std::map<PgId, PgHistory> all;
    for (PgId pg : cluster_.pgs()) {
        const auto report = cluster_.report(pg);
        all[pg] = report ? report->history : PgHistory{};
    }
    return all;
}

/// Every PG is scrubbed. A new interval ends a scrub for good, and then it is asked for again.
std::optional<Violation> Simulation::scrub_all(const message::ScrubCommand& how) {
    const auto before = histories();
    MonotonicTime asked = cluster_.engine().now();
    operations_.scrub_all(how);
    auto done = [&] {
        if (cluster_.engine().now() - asked < seconds(5) || !is_quiet()) return false;
        if (!first_unscrubbed(before)) return true;
        asked = cluster_.engine().now();
        operations_.scrub_all(how);
        return false;
    };
    return run(whole_within, done, [&]() -> std::optional<Violation> {
        if (auto unclean = must_be_clean(cluster_)) return unclean;
        return Violation{"scrub without end", "a PG is still scrubbing", ""};
    });
}

/// Of those that report, one that was not scrubbed since it said this.
std::optional<PgId> Simulation::first_unscrubbed(const std::map<PgId, PgHistory>& before) {
    for (const auto& [pg, history] : histories())
        if (history.scrubs <= before.at(pg).scrubs) return pg;
    return std::nullopt;
}

std::optional<Violation> Simulation::scrub() {
    if (faults_.must_wait()) {
        if (auto violation = scrub_all({.deep = true, .repair = true})) return violation;
        auto violation = run(
            whole_within, [&] { return !faults_.must_wait(); },
            [&] {
                return Violation{"not repaired", "what rotted is still rotten", ""};
            });
        if (violation) return violation;
    }
    // Before repair could hide it.
    if (auto violation = must_have_equal_copies(cluster_)) return violation;
    faults_.rot_something();
    for (bool repair : {true, false})
        if (auto violation = scrub_all({.deep = true, .repair = repair})) return violation;
    return must_be_consistent(cluster_);
}

std::optional<Violation> Simulation::read_all() {
    workload_.read_everything(cluster_);
    return run(
        whole_within, [&] { return workload_.all_answered(); },
        [&] { return workload_.must_be_answered(cluster_); });
}

/// Whoever has nothing to do says nothing but that it lives.
std::optional<Violation> Simulation::rest() {
    Engine& engine = cluster_.engine();
    constexpr seconds span(20);
    const uint64_t before = engine.messages();
    if (auto violation = run(
            span, [] { return false; }, [] { return std::nullopt; }))
        return violation;
    const uint64_t sent = engine.messages() - before;
    const uint64_t osds = plan_.all_osds();
    // A ping and its answer to each peer on each network every six seconds, and a report every half
    // second.
    const uint64_t pings = osds * osds * 2 * 4 * (plan_.cluster_network ? 2 : 1);
    const uint64_t allowed = pings + osds * 2 * 20 + 200;
    if (sent <= allowed) return std::nullopt;
    return Violation{"restless",
                     fmt::format("{} messages in {} s without work, {} would be much", sent,
                                 span.count(), allowed),
                     ""};
}

std::optional<Violation> Simulation::compare() {
    if (auto violation = must_have_equal_copies(cluster_)) return violation;
    if (auto violation = workload_.must_be_linearizable()) return violation;
    return must_be_explained(cluster_, workload_.history());
}

} // namespace

bool RunResult::operator==(const RunResult& other) const {
    return seed == other.seed && violation.has_value() == other.violation.has_value() &&
           operations == other.operations && faults == other.faults && events == other.events &&
           messages == other.messages && virtual_time == other.virtual_time;
}

RunResult run_seed(uint64_t seed, const SimOptions& options) {
    std::optional<PlantBug> bug;
    if (options.bug) bug.emplace(*options.bug);
    Story story(options.story);
    present_story = &story;
    RunResult result{.seed = seed};
    {
        Simulation simulation(seed, story);
        result.violation = simulation.live();
        simulation.report(result);
    }
    present_story = nullptr;
    if (result.violation) result.story = story.last(told_lines, result.violation->about);
    return result;
}

std::string story_so_far(size_t most_lines) {
    return present_story ? present_story->last(most_lines, "") : std::string();
}

} // namespace cloudlet::rados::sim
