// cloudlet-sim: lives of storage clusters, by the number. See simulation.h.

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/lives.h"
#include "sim/simulation.h"

namespace cloudlet::rados::sim {
namespace {

constexpr const char* usage = R"(usage: cloudlet-sim [OPTION...]
  --seed N [--trace]   one seed; --trace tells everything that happens
  --seeds K            K seeds (100)           --from S   the first one (a fresh one)
  --minutes M          seeds for M minutes     --jobs J   in J processes (1)
  --survey             go on after a violation, with a line for each
  --bug NAME           with a planted bug; an unknown name lists them
  --life NAME          what docs/storage.md tells of: write, failure, silence, return, new_disk
  --states             the states of a placement group as Mermaid diagrams
)";

struct Settings {
    std::optional<uint64_t> seed = {};
    bool trace = false, states = false, survey = false;
    uint64_t seeds = 100, from = std::random_device{}();
    std::optional<double> minutes = {};
    unsigned jobs = 1;
    std::string bug_name = {}, life = {};
    std::optional<PlantedBug> bug = {};
};

/// What many seeds gave together.
struct Totals {
    uint64_t seeds = 0, operations = 0, faults = 0, events = 0, messages = 0, violations = 0;
    uint64_t judged = 0, undecided = 0; // objects
    Coverage coverage;

    void add(const RunResult& result) {
        ++seeds;
        operations += result.operations;
        faults += result.faults;
        events += result.events;
        messages += result.messages;
        violations += result.violation.has_value();
        judged += result.judged;
        undecided += result.undecided;
        coverage.add(result.coverage);
    }
    std::string write() const {
        return fmt::format("{} {} {} {} {} {} {} {} {}", seeds, operations, faults, events,
                           messages, violations, judged, undecided, coverage.write());
    }
    void read_and_add(const std::string& text) {
        std::istringstream in(text);
        Totals other;
        in >> other.seeds >> other.operations >> other.faults >> other.events >> other.messages >>
            other.violations >> other.judged >> other.undecided;
        std::string rest;
        std::getline(in, rest);
        seeds += other.seeds;
        operations += other.operations;
        faults += other.faults;
        events += other.events;
        messages += other.messages;
        violations += other.violations;
        judged += other.judged;
        undecided += other.undecided;
        coverage.read_and_add(rest);
    }
};

// For the handler of signals: what to do about the seed in progress when a check ends the process.
std::array<char, 32> seed_text;
std::array<char, 64> bug_text;
volatile std::sig_atomic_t is_listening = 0;

void begin_seed(uint64_t seed) {
    std::snprintf(seed_text.data(), seed_text.size(), "%llu",
                  static_cast<unsigned long long>(seed));
}

/// A check has failed. If nobody listened, the seed is lived again by somebody who does. What is
/// done here is not meant for handlers, but the process is at its end, and in its own thread.
void tell_and_die(int signal) {
    const char* seed = seed_text.data();
    if (is_listening) {
        fmt::print(stderr, "{}seed {} has ended the process: {}\n", story_so_far(300), seed,
                   strsignal(signal));
    } else {
        fmt::print(stderr, "seed {} has ended the process; again, with its story:\n", seed);
        if (bug_text[0])
            execl("/proc/self/exe", "cloudlet-sim", "--seed", seed, "--bug", bug_text.data(),
                  nullptr);
        else
            execl("/proc/self/exe", "cloudlet-sim", "--seed", seed, nullptr);
    }
    _exit(1);
}

void print_violation(const RunResult& result) {
    fmt::print("{}\nseed {}: {}: {}\nagain: cloudlet-sim --seed {} --trace\n", result.story,
               result.seed, result.violation->kind, result.violation->sentence, result.seed);
    std::fflush(stdout);
}

RunResult live(uint64_t seed, const Settings& settings, Story::Mode story) {
    begin_seed(seed);
    is_listening = story != Story::Mode::deaf;
    return run_seed(seed, {.story = story, .bug = settings.bug});
}

/// Seeds from, from + step, ... until the settings are met or, unless it is a survey, one fails.
Totals live_many(const Settings& settings, uint64_t first, uint64_t step) {
    using Clock = std::chrono::steady_clock;
    const auto end =
        Clock::now() +
        std::chrono::duration_cast<Clock::duration>(
            std::chrono::duration<double, std::ratio<60>>(settings.minutes.value_or(1e6)));
    Totals totals;
    for (uint64_t i = first; settings.minutes || i < settings.seeds; i += step) {
        if (settings.minutes && Clock::now() >= end) break;
        const RunResult result = live(settings.from + i, settings, Story::Mode::deaf);
        totals.add(result);
        if (!result.violation) continue;
        if (settings.survey) {
            const std::string& sentence = result.violation->sentence;
            fmt::print("seed {}: {}: {}\n", result.seed, result.violation->kind,
                       sentence.substr(0, sentence.find('\n')));
            continue;
        }
        print_violation(live(settings.from + i, settings, Story::Mode::keep));
        break;
    }
    return totals;
}

struct Job {
    pid_t process = 0;
    int results = -1; // read end of a pipe
};

Job start_job(const Settings& settings, unsigned number) {
    int ends[2];
    if (pipe(ends) != 0) {
        std::perror("cloudlet-sim: pipe");
        std::exit(2);
    }
    const pid_t process = fork();
    if (process < 0) {
        std::perror("cloudlet-sim: fork");
        std::exit(2);
    }
    if (process > 0) {
        close(ends[1]);
        return {process, ends[0]};
    }
    close(ends[0]);
    std::setvbuf(stdout, nullptr, _IOLBF, 0); // jobs share it
    const std::string text = live_many(settings, number, settings.jobs).write();
    for (size_t done = 0; done < text.size();) {
        const ssize_t wrote = write(ends[1], text.data() + done, text.size() - done);
        if (wrote <= 0) break;
        done += static_cast<size_t>(wrote);
    }
    std::fflush(stdout);
    _exit(0);
}

Totals finish_job(const Job& job) {
    std::string text;
    std::array<char, 4096> buffer;
    for (ssize_t got; (got = read(job.results, buffer.data(), buffer.size())) > 0;)
        text.append(buffer.data(), static_cast<size_t>(got));
    close(job.results);
    int status = 0;
    waitpid(job.process, &status, 0);
    Totals totals;
    totals.read_and_add(text);
    if (text.empty()) ++totals.violations; // it died of a check, and told so itself
    return totals;
}

int live_all(const Settings& settings) {
    fmt::print("seeds from {}\n", settings.from);
    std::fflush(stdout);
    const auto begun = std::chrono::steady_clock::now();
    Totals totals;
    if (settings.jobs == 1) {
        totals = live_many(settings, 0, 1);
    } else {
        std::vector<Job> jobs;
        for (unsigned i = 0; i < settings.jobs; ++i) jobs.push_back(start_job(settings, i));
        for (const Job& job : jobs) totals.read_and_add(finish_job(job).write());
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    fmt::print("{}{} seeds in {:.1f} s, {:.1f}/s; {} operations, {} faults, {} events, "
               "{} messages; {} objects judged, {} undecided\n",
               totals.coverage.report(), totals.seeds, took.count(),
               static_cast<double>(totals.seeds) / took.count(), totals.operations, totals.faults,
               totals.events, totals.messages, totals.judged, totals.undecided);
    return totals.violations ? 1 : 0;
}

int live_one(const Settings& settings) {
    const RunResult result =
        live(*settings.seed, settings, settings.trace ? Story::Mode::print : Story::Mode::keep);
    if (result.violation)
        print_violation(result);
    else
        fmt::print("seed {}: {} operations, {} faults, {} events, {} messages, {} s\n", result.seed,
                   result.operations, result.faults, result.events, result.messages,
                   std::chrono::duration_cast<std::chrono::seconds>(result.virtual_time).count());
    return result.violation ? 1 : 0;
}

int list_bugs(const std::string& name) {
    fmt::print(stderr, "cloudlet-sim: no planted bug \"{}\"; there are:\n", name);
    for (size_t i = 0; i < planted_bugs; ++i)
        fmt::print(stderr, "  {}\n", name_of(static_cast<PlantedBug>(i)));
    return 2;
}

int tell(const std::string& life) {
    if (const auto told = tell_life(life)) {
        fmt::print("{}", *told);
        return 0;
    }
    fmt::print(stderr, "cloudlet-sim: no life \"{}\"; there are: {}\n", life,
               fmt::join(lives(), " "));
    return 2;
}

/// Nothing when the arguments are wrong.
std::optional<Settings> read_arguments(const std::vector<std::string>& arguments) {
    Settings settings;
    for (size_t i = 0; i < arguments.size(); ++i) {
        const std::string& name = arguments[i];
        if (name == "--trace") {
            settings.trace = true;
            continue;
        }
        if (name == "--survey") {
            settings.survey = true;
            continue;
        }
        if (name == "--states") {
            settings.states = true;
            continue;
        }
        if (++i == arguments.size()) return std::nullopt;
        const char* value = arguments[i].c_str();
        char* end = nullptr;
        if (name == "--bug")
            settings.bug_name = value;
        else if (name == "--life")
            settings.life = value;
        else if (name == "--minutes")
            settings.minutes = std::strtod(value, &end);
        else if (name == "--seed")
            settings.seed = std::strtoull(value, &end, 10);
        else if (name == "--seeds")
            settings.seeds = std::strtoull(value, &end, 10);
        else if (name == "--from")
            settings.from = std::strtoull(value, &end, 10);
        else if (name == "--jobs")
            settings.jobs = static_cast<unsigned>(std::strtoul(value, &end, 10));
        else
            return std::nullopt;
        if (end && (*end || end == value)) return std::nullopt;
    }
    if (settings.jobs == 0) return std::nullopt;
    return settings;
}

int run(const std::vector<std::string>& arguments) {
    auto settings = read_arguments(arguments);
    if (!settings) {
        fmt::print(stderr, "{}", usage);
        return 2;
    }
    if (settings->states) {
        fmt::print("{}", draw_transitions());
        return 0;
    }
    if (!settings->life.empty()) return tell(settings->life);
    if (!settings->bug_name.empty()) {
        settings->bug = planted_bug_named(settings->bug_name);
        if (!settings->bug) return list_bugs(settings->bug_name);
        std::snprintf(bug_text.data(), bug_text.size(), "%s", settings->bug_name.c_str());
    }
    struct sigaction action = {};
    action.sa_handler = tell_and_die;
    action.sa_flags = SA_NODEFER;
    sigaction(SIGABRT, &action, nullptr);
    sigaction(SIGSEGV, &action, nullptr);
    return settings->seed ? live_one(*settings) : live_all(*settings);
}

} // namespace
} // namespace cloudlet::rados::sim

int main(int argc, char** argv) { return cloudlet::rados::sim::run({argv + 1, argv + argc}); }
