#include <fmt/format.h>
#include <sys/resource.h>

#include "cloudlet/linux/seccomp.h"
#include "plan_parts.h"

namespace cloudlet::runtime {
namespace {

constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

constexpr std::pair<std::string_view, int> kRlimits[] = {
    {"RLIMIT_CPU", RLIMIT_CPU},           {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_DATA", RLIMIT_DATA},         {"RLIMIT_STACK", RLIMIT_STACK},
    {"RLIMIT_CORE", RLIMIT_CORE},         {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_NPROC", RLIMIT_NPROC},       {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},   {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},       {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},     {"RLIMIT_RTTIME", RLIMIT_RTTIME}};

bool may_raise_limits(const Host& host) {
    static const int number = linux::capability_number("CAP_SYS_RESOURCE");
    return host.capabilities.effective.contains(number);
}

// The highest hard limit that this host can give, and why it is that.
std::pair<uint64_t, std::string_view> highest_limit(const Host& host, int resource) {
    if (!may_raise_limits(host))
        return {host.hard_limits.at(static_cast<size_t>(resource)),
                "this host may not raise it (CAP_SYS_RESOURCE is missing)"};
    if (resource == RLIMIT_NOFILE) return {host.max_open_files, "more than sysctl fs.nr_open"};
    return {RLIM_INFINITY, ""};
}

Result<> plan_rlimits(const ProcessPlan& plan, PlanWriter& writer,
                      std::vector<std::string>& notes) {
    for (const Rlimit& limit : plan.process.rlimits) {
        int resource = -1;
        for (const auto& [name, number] : kRlimits)
            if (name == limit.type) resource = number;
        if (resource < 0)
            return fail(Code::invalid,
                        fmt::format("process.rlimits: \"{}\" is no resource limit", limit.type));
        cl_op_rlimit op{};
        op.resource = static_cast<uint64_t>(resource);
        op.hard = limit.hard;
        const auto [highest, reason] = highest_limit(plan.host, resource);
        if (op.hard > highest) {
            notes.push_back(fmt::format("{}: hard limit stays {} instead of {}: {}", limit.type,
                                        highest, limit.hard, reason));
            op.hard = highest;
        }
        op.soft = std::min(limit.soft, op.hard);
        writer.add(CL_OP_RLIMIT, op);
    }
    return {};
}

linux::CapabilitySet allowed(linux::CapabilitySet wanted, const Host& host) {
    return wanted & host.capabilities.bounding & host.capabilities.permitted;
}

Result<> plan_credentials(const ProcessPlan& plan, PlanWriter& writer,
                          std::vector<std::string>& notes) {
    const Capabilities& wanted = plan.process.capabilities;
    cl_op_credentials op{};
    op.uid = plan.process.user.uid;
    op.gid = plan.process.user.gid;
    if (!plan.process.user.additional_gids.empty())
        op.groups = writer.numbers(plan.process.user.additional_gids);
    op.umask = plan.process.user.umask.value_or(0022);
    const linux::CapabilitySet permitted = allowed(wanted.permitted, plan.host);
    op.bounding = allowed(wanted.bounding, plan.host).bits();
    op.permitted = permitted.bits();
    op.effective = (wanted.effective & permitted).bits();
    // The kernel allows an inheritable capability only from the bounding or the permitted set.
    op.inheritable = allowed(wanted.inheritable, plan.host).bits();
    op.ambient = wanted.ambient.bits() & op.permitted & op.inheritable;
    const linux::CapabilitySet missing =
        (wanted.bounding | wanted.permitted).without(plan.host.capabilities.permitted);
    if (!missing.empty())
        notes.push_back(fmt::format("left out {}: this host does not hold it",
                                    fmt::join(missing.names(), ", ")));
    op.no_new_privileges = plan.process.no_new_privileges ? 1 : 0;
    if (plan.seccomp) {
        const linux::SeccompFilter filter = TRY(linux::compile_seccomp(*plan.seccomp));
        op.seccomp = writer.blob(filter.program);
        op.seccomp_count = static_cast<uint32_t>(filter.program.size() / 8);
        op.seccomp_flags = filter.flags;
    }
    writer.add(CL_OP_CREDENTIALS, op);
    return {};
}

std::string path_of(const Process& process) {
    for (const std::string& variable : process.env)
        if (variable.starts_with("PATH=")) return variable.substr(5);
    return std::string(kDefaultPath);
}

} // namespace

Result<> plan_oom_score(const Process& process, const Host& host, PlanWriter& writer,
                        std::vector<std::string>& notes) {
    if (!process.oom_score_adj) return {};
    int score = *process.oom_score_adj;
    if (score < -1000 || score > 1000)
        return fail(Code::invalid,
                    fmt::format("process.oomScoreAdj {} is not within -1000..1000", score));
    if (score < host.oom_score_adj && !may_raise_limits(host)) {
        notes.push_back(
            fmt::format("oom_score_adj stays {} instead of {}: CAP_SYS_RESOURCE is missing",
                        host.oom_score_adj, score));
        score = host.oom_score_adj;
    }
    writer.add_number(CL_OP_OOM_SCORE, score);
    return {};
}

Result<> plan_process(const ProcessPlan& plan, PlanWriter& writer,
                      std::vector<std::string>& notes) {
    TRY(plan_rlimits(plan, writer, notes));
    writer.add_one(CL_OP_CWD, writer.string(plan.process.cwd));
    if (plan.process.terminal) {
        cl_op_terminal op{};
        op.rows = plan.process.console_rows;
        op.columns = plan.process.console_columns;
        op.uid = plan.process.user.uid;
        op.console = plan.console ? 1 : 0;
        writer.add(CL_OP_TERMINAL, op);
        writer.header().flags |= CL_PLAN_TERMINAL;
    }
    if (plan.waits) {
        writer.add_bare(CL_OP_BARRIER);
        writer.header().flags |= CL_PLAN_WAITS;
    }
    TRY(plan_credentials(plan, writer, notes));
    cl_op_exec op{};
    op.arguments = writer.list(plan.process.args);
    op.environment = writer.list(plan.process.env);
    op.path = writer.string(path_of(plan.process));
    op.cwd = writer.string(plan.process.cwd);
    writer.add(CL_OP_EXEC, op);
    return {};
}

} // namespace cloudlet::runtime
