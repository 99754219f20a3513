#pragma once
// Child processes by posix_spawn: exact descriptors, clean signals, a pidfd, a deadline on every
// wait. Nothing here forks by itself, so it is safe in a program of many threads.

#include <string>
#include <utility>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"
#include "cloudlet/io/fd.h"

namespace cloudlet::io {

struct SpawnOptions {
    std::vector<std::string> argv = {}; // argv[0] is a path, or a name looked up in our PATH
    std::string executable = {};        // what is executed when it is not argv[0]
    bool inherit_environment = true;
    std::vector<std::string> env = {}; // "NAME=value", instead of an inherited one of that name
    /// ours -> the child's number. All other descriptors are closed in the child; 0, 1 and 2 that
    /// are not named are /dev/null.
    std::vector<std::pair<int, int>> fds = {};
    std::string cwd = {};     // empty: ours
    bool new_session = false; // setsid
};

/// A child that we must wait for. Dropping it leaves the process running (and a zombie later).
struct ChildProcess {
    int pid = 0;
    UniqueFd pidfd; // readable once the child has ended: fit for EventLoop::watch
};

struct ExitStatus {
    int code = 0;   // exit(2) argument; 128 + signal when a signal ended it
    int signal = 0; // 0 when it exited by itself
    bool ok() const { return code == 0; }
};

struct Output {
    ExitStatus exit_status;
    std::string out;
    std::string err;
};

/// Signals start unblocked with default actions in the child. Error: not_found when there is no
/// such program; nothing is left to wait for then.
Result<ChildProcess> spawn(const SpawnOptions& options);

/// Waits and reaps. Error: Code::timeout, the child still runs. Duration::max() waits for ever.
Result<ExitStatus> wait(ChildProcess& child, Duration deadline);

/// Sends a signal through the pidfd: never hits a recycled pid. An ended child is success.
Result<> send_signal(const ChildProcess& child, int signal);

/// Runs a program to its end with /dev/null (or `input`) as stdin. At the deadline it is killed:
/// Code::timeout. Error: Code::too_large when it prints more than 16 MiB. A status other than 0 is
/// no error here.
Result<Output> run(const std::vector<std::string>& argv, Duration deadline,
                   const std::string& input = {});

} // namespace cloudlet::io
