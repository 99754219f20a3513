#include "sim/simulation.h"

#include <sys/wait.h>
#include <unistd.h>

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

TEST(Simulation, finds_nothing_wrong_with_fresh_seeds_and_takes_every_way) {
    const uint64_t first = first_seed(), seeds = seeds_to_run(500);
    Coverage coverage;
    // Some ways are rare; more seeds are lived for them.
    for (uint64_t n = 0; n < seeds || (n < 20 * seeds && !coverage.is_complete()); ++n) {
        SCOPED_TRACE("CLOUDLET_SEED=" + std::to_string(first + n));
        const RunResult result = run_seed(first + n);
        ASSERT_FALSE(result.violation)
            << result.violation->kind << ": " << result.violation->sentence;
        EXPECT_GE(result.operations, 200u);
        EXPECT_GE(result.faults, 5u);
        coverage.add(result.coverage);
    }
    if (seeds >= 500) {
        EXPECT_TRUE(coverage.is_complete()) << coverage.report();
    }
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
