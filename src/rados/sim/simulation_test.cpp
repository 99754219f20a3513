#include "sim/simulation.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "test_seeds.h"

namespace cloudlet::rados::sim {
namespace {

TEST(Simulation, lives_the_same_life_for_the_same_seed_whoever_listens) {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
        const RunResult first = run_seed(seed), second = run_seed(seed);
        EXPECT_EQ(first, second) << "seed " << seed;
        EXPECT_EQ(first, run_seed(seed, {.story = Story::Mode::keep})) << "seed " << seed;
    }
    EXPECT_NE(run_seed(1).events, run_seed(2).events);
}

/// What the seeds saw, all of which must end well.
Coverage live(const std::vector<uint64_t>& seeds) {
    Coverage coverage;
    for (uint64_t seed : seeds) {
        SCOPED_TRACE("CLOUDLET_SEED=" + std::to_string(seed));
        const RunResult result = run_seed(seed);
        EXPECT_FALSE(result.violation)
            << result.violation->kind << ": " << result.violation->sentence;
        EXPECT_GE(result.operations, 200u);
        EXPECT_GE(result.faults, 5u);
        coverage.add(result.coverage);
        if (testing::Test::HasFailure()) break;
    }
    return coverage;
}

std::vector<uint64_t> seeds_from(uint64_t first, uint64_t count) {
    std::vector<uint64_t> seeds(count);
    std::iota(seeds.begin(), seeds.end(), first);
    return seeds;
}

TEST(Simulation, finds_nothing_wrong_with_seeds_that_were_never_lived_before) {
    live(seeds_from(first_seed(), seeds_to_run(500)));
}

TEST(Simulation, finds_nothing_wrong_and_takes_every_way) {
    std::vector<uint64_t> seeds = seeds_from(1, 1500);
    // Of ways that are taken once in thousands of seeds: these do.
    for (uint64_t rare : {1932, 2184, 3326, 4974}) seeds.push_back(rare);
    const Coverage coverage = live(seeds);
    EXPECT_TRUE(coverage.is_complete()) << coverage.report();
}

/// True when the seed ends badly: a violation is found, or a check() ends the process.
bool ends_badly(uint64_t seed, PlantedBug bug) {
    const pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        _exit(run_seed(seed, {.bug = bug}).violation ? 1 : 0);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status != 0;
}

TEST(Simulation, finds_every_planted_bug_within_1000_seeds) {
    for (size_t i = 0; i < planted_bugs; ++i) {
        const auto bug = static_cast<PlantedBug>(i);
        uint64_t seed = 1;
        while (seed <= 1000 && !ends_badly(seed, bug)) ++seed;
        EXPECT_LE(seed, 1000u) << name_of(bug);
        RecordProperty(std::string(name_of(bug)), static_cast<int>(seed));
    }
}

} // namespace
} // namespace cloudlet::rados::sim
