#pragma once
// A bundle with busybox in a folder of its own, and what tests do with it. Everything made is
// undone in the destructor: processes by their cgroup, the cgroup, mounts, files.

#include <optional>
#include <string>

#include "cloudlet/runtime/monitor_client.h"
#include "cloudlet/runtime/plan.h"
#include "cloudlet/runtime/spec.h"

namespace cloudlet::runtime::testing {

class World {
public:
    World();
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    const std::string& folder() const { return folder_; }
    std::string root() const { return folder_ + "/rootfs"; }
    std::string log_path() const { return folder_ + "/log"; }
    std::string log() const; // "" when there is none
    /// The text of the log's lines of one stream, without the time and tag.
    std::string output(const std::string& stream = "stdout") const;

    /// default_spec() that runs `sh -c script` in this world's root and cgroup.
    Spec shell(const std::string& script) const;
    std::string cgroup_path() const { return cgroup_; }
    const Host& host() const { return host_; }

    /// Compiles and spawns; the container waits for start().
    Result<SpawnedMonitor> spawn(const Spec& spec);
    MonitorOptions options; // changed by tests before spawn(); directory and log are set

    /// spawn(), start(), wait for the end. EXPECTs that each works.
    ExitRecord run(const Spec& spec);
    ExitRecord run(const std::string& script) { return run(shell(script)); }
    Plan exec_plan(const Spec& spec, int pid, std::vector<std::string> args,
                   bool terminal = false) const;

    /// The container's cgroup, made by spawn().
    std::optional<linux::Cgroup> group;

private:
    std::string folder_;
    std::string cgroup_;
    Host host_;
};

/// Polls until the condition holds, at most ten seconds.
bool eventually(const std::function<bool()>& condition);

} // namespace cloudlet::runtime::testing
