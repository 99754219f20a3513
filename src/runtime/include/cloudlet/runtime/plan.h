#pragma once
// compile_plan(): an OCI spec becomes a flat binary plan that cloudlet-init carries out step by
// step.
//
// All thinking happens here, in the parent: conversions, defaults, intersections with what this
// host may give, seccomp to BPF. The result is bytes of a versioned format (launch/plan_format.h)
// with checked offsets. Compiling reads no file but those of the container's root (user names are
// resolved elsewhere) and changes nothing: one Host and one Spec give one plan.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/linux/capability.h"
#include "cloudlet/linux/cgroup.h"
#include "cloudlet/runtime/spec.h"

namespace cloudlet::runtime {

/// What this process may give to a container; probed once, then shared. Immutable.
struct Host {
    linux::HeldCapabilities capabilities;
    int oom_score_adj = 0;
    /// RLIMIT_... number -> our hard limit, which cannot be raised without CAP_SYS_RESOURCE.
    std::vector<uint64_t> hard_limits;
    linux::CgroupHost cgroups;
    /// fs.nr_open: the kernel refuses more open files than this to everybody.
    uint64_t max_open_files = ~uint64_t{0};

    static Result<Host> probe();
};

/// Bytes for cloudlet-init, and one line for each thing that this host made us leave out.
struct Plan {
    std::string bytes;
    std::vector<std::string> notes;
};

struct PlanContext {
    std::string bundle;         // what root_path and relative bind sources count from
    linux::CgroupFiles cgroup;  // of the group made for it; empty: the caller's own group
    std::string cgroup_path;    // its path, for cgroup mounts without a cgroup namespace
    bool wait_for_start = true; // stop before the program runs until start() is called
};
Result<Plan> compile_plan(const Spec& spec, const Host& host, const PlanContext& context);

struct ExecContext {
    int pid = 0; // the container's first process, whose namespaces are joined
    linux::CgroupFiles cgroup;
};
/// A plan for one more process in a running container: `process` with the seccomp profile and the
/// namespaces of `spec`.
Result<Plan> compile_exec_plan(const Spec& spec, const Process& process, const Host& host,
                               const ExecContext& context);

} // namespace cloudlet::runtime
