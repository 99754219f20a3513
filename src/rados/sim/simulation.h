#pragma once
// One seed, one life of a storage cluster: everything that happens follows from the number, so a
// number is all it takes to see a failure again.
//
// The life has phases. The cluster boots until all is clean. Then clients work while processes die,
// links break, disks fail and operators operate. Then all is healed, and what must be true is
// asked: every request has its answer, every PG is clean, a deep scrub finds nothing, all copies
// are equal, the quiet cluster is quiet, what lies on disks can be explained, and the answers are
// those of objects that change one request at a time. A failure of a machine's own check() ends the
// process.
//
//   simulation   the phases
//   cluster      processes, their machines, disks and the cloud's store (engine, network, disk,
//                cloud_store); cluster_plan: what a seed's cluster looks like
//   workload     what clients ask and hear
//   faults       what goes wrong; operations: what operators do
//   oracles      what must be true; flag_judge: that flags hold what they say
//   story        what is told of it; coverage: which states were seen
//
// lives.h has no dice: small clusters to which one thing happens, for readers.

#include <cstdint>
#include <optional>
#include <string>

#include "cloudlet/rados/planted_bug.h"
#include "sim/coverage.h"
#include "sim/oracles.h"
#include "sim/story.h"

namespace cloudlet::rados::sim {

struct SimOptions {
    Story::Mode story = Story::Mode::deaf;
    std::optional<PlantedBug> bug = {}; // switched on for the run
};

struct RunResult {
    uint64_t seed = 0;
    std::optional<Violation> violation = {};
    size_t operations = 0, faults = 0;
    uint64_t events = 0, messages = 0;
    size_t judged = 0, undecided = 0; // objects whose history was judged, and not decided
    Duration virtual_time = {};
    Coverage coverage = {};
    std::string story = {}; // the last lines about the violation, when there was a listener

    bool operator==(const RunResult& other) const;
};

/// Lives the seed's life. One thread.
RunResult run_seed(uint64_t seed, const SimOptions& options = {});

/// What the run in progress on this thread has told so far, for whoever must end the process.
std::string story_so_far(size_t most_lines);

} // namespace cloudlet::rados::sim
