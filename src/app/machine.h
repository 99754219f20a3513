#pragma once
// Facts about the machine that the command line and the daemon need: who has a port, what our
// processes weigh, which address the node goes by.

#include <cstdint>
#include <string>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"

namespace cloudlet::app {

/// The machine's name as a node name: lower case, only what DNS allows.
std::string host_name();

/// The IPv4 address of the link with the default route, else of any link but loopback, else
/// `otherwise`.
std::string find_node_address(const std::string& otherwise);

/// Error: conflict, naming the program that listens: "port 6443 is taken by nginx (pid 12): ...".
Result<> require_free_port(const std::string& address, uint16_t port);

/// One of our processes: the daemon, monitors, containers' init programs.
struct OwnProcess {
    int pid = 0;
    std::string name;
    uint64_t pss_kib = 0;
};
/// The daemon `daemon_pid` and every cloudlet-monitor that works below `run_dir` or `root`, also
/// one that is just ending.
std::vector<OwnProcess> own_processes(int daemon_pid, const std::string& run_dir,
                                      const std::string& root);

/// Waits until a process that is not our child has ended. Error: timeout.
Result<> wait_for_end(int pid, Duration deadline);

} // namespace cloudlet::app
