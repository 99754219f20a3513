#pragma once
// Processes named so that a recycled pid is never hit: by pidfd (pidfd_open(2)), or by pid and
// start time (field 22 of /proc/<pid>/stat) when a process must be found again after a restart.

#include <cstdint>
#include <string>
#include <string_view>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"
#include "cloudlet/io/fd.h"

namespace cloudlet::linux {

/// Error: not_found when there is no such process.
Result<io::UniqueFd> open_pidfd(int pid);

/// Sends a signal. Error: not_found when the process has ended.
Result<> send_signal(int pidfd, int signal);

/// A process that can be recognised later: the pair is never used twice between two boots.
struct ProcessIdentity {
    int pid = 0;
    uint64_t start_time = 0; // clock ticks since boot
    bool operator==(const ProcessIdentity&) const = default;
};

/// Error: not_found when the process is gone.
Result<ProcessIdentity> identify_process(int pid);

/// A pidfd for exactly that process. Error: not_found when it ended, also if its pid lives again; a
/// zombie counts as ended.
Result<io::UniqueFd> open_identified(const ProcessIdentity& identity);

/// True while that process runs (a zombie does not).
bool is_running(const ProcessIdentity& identity);

/// "TERM", "SIGTERM", "term" or "15". Error: Code::invalid.
Result<int> parse_signal(std::string_view text);

} // namespace cloudlet::linux
