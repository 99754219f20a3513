#pragma once
// The pieces of compile_plan(); each appends its operations to the writer.

#include "cloudlet/runtime/plan.h"
#include "plan_writer.h"

namespace cloudlet::runtime {

/// Mounts, devices, links, sysctls, masks and the pivot (plan_mounts.cpp).
Result<> plan_file_systems(const Spec& spec, const PlanContext& context, const Host& host,
                           PlanWriter& writer);

/// Everything that is the same for a container's first process and for an exec (plan_process.cpp).
struct ProcessPlan {
    const Process& process;
    const std::optional<linux::SeccompProfile>& seccomp;
    const Host& host;
    bool waits;   // stops at the barrier
    bool console; // the terminal is also /dev/console
};
Result<> plan_oom_score(const Process& process, const Host& host, PlanWriter& writer,
                        std::vector<std::string>& notes);
Result<> plan_process(const ProcessPlan& plan, PlanWriter& writer, std::vector<std::string>& notes);

/// The header's part about control groups.
void plan_cgroup(const linux::CgroupFiles& files, PlanWriter& writer);

} // namespace cloudlet::runtime
