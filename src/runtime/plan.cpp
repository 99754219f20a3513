#include "cloudlet/runtime/plan.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <charconv>

#include <fmt/format.h>

#include "cloudlet/io/file.h"
#include "plan_parts.h"

namespace cloudlet::runtime {
namespace {

using linux::NamespaceKind;

// The propagation that our copy of the host's mounts gets before anything else happens. `slave`
// lets mounts of the host in and none out.
Result<uint64_t> propagation_flags(const std::string& name) {
    if (name.empty() || name == "slave" || name == "rslave") return MS_SLAVE | MS_REC;
    if (name == "private" || name == "rprivate") return MS_PRIVATE | MS_REC;
    // A shared root is only asked for so that binds may be shared; those take their source from the
    // launcher's mount namespace (CL_MOUNT_HOST_PEER), and the root itself can stay a slave.
    if (name == "shared" || name == "rshared") return MS_SLAVE | MS_REC;
    return fail(
        Code::invalid,
        fmt::format("linux.rootfsPropagation \"{}\" is none of private, slave, shared", name));
}

// New namespaces are made at birth, except the cgroup one, which must come after we were moved; a
// pid namespace by path is entered by the launcher, all others by init, the mount namespace last.
void plan_namespaces(const Spec& spec, PlanWriter& writer) {
    for (const Namespace& ns : spec.namespaces) {
        if (ns.path.empty()) {
            if (ns.kind != NamespaceKind::cgroup)
                writer.header().clone_flags |= linux::clone_flag(ns.kind);
        } else if (ns.kind == NamespaceKind::pid) {
            writer.header().pid_ns_path = writer.string(ns.path);
        } else if (ns.kind != NamespaceKind::mount) {
            writer.add_one(CL_OP_JOIN_PATH, writer.string(ns.path), linux::clone_flag(ns.kind));
        }
    }
    const Namespace* cgroup = spec.find_namespace(NamespaceKind::cgroup);
    if (cgroup != nullptr && cgroup->path.empty()) writer.add_bare(CL_OP_CGROUP_NS);
}

Result<> plan_names(const Spec& spec, PlanWriter& writer) {
    if (spec.hostname.empty() && spec.domainname.empty()) return {};
    const Namespace* uts = spec.find_namespace(NamespaceKind::uts);
    if (uts == nullptr || !uts->path.empty())
        return fail(Code::invalid,
                    "a hostname needs a new uts namespace; add it to linux.namespaces");
    if (!spec.hostname.empty()) writer.add_one(CL_OP_HOSTNAME, writer.string(spec.hostname));
    if (!spec.domainname.empty()) writer.add_one(CL_OP_DOMAINNAME, writer.string(spec.domainname));
    return {};
}

Result<> check_spec(const Spec& spec) {
    const Namespace* mount = spec.find_namespace(NamespaceKind::mount);
    if (mount == nullptr || !mount->path.empty())
        return fail(
            Code::unsupported,
            "a container needs a mount namespace of its own; add \"mount\" without a path to "
            "linux.namespaces");
    if (spec.process.args.empty()) return fail(Code::invalid, "process.args must name a program");
    if (spec.process.cwd.empty() || spec.process.cwd[0] != '/')
        return fail(Code::invalid, "process.cwd must be an absolute path");
    return {};
}

std::string absolute_root(const Spec& spec, const PlanContext& context) {
    return spec.root_path.starts_with('/') ? spec.root_path : context.bundle + "/" + spec.root_path;
}

template <typename Number>
Result<Number> read_number(const char* path) {
    const std::string text = TRY(io::read_file(path, 64));
    Number value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

} // namespace

Result<Host> Host::probe() {
    Host host{TRY(linux::held_capabilities()),
              TRY(read_number<int>("/proc/self/oom_score_adj")),
              {},
              TRY(linux::CgroupHost::probe()),
              TRY(read_number<uint64_t>("/proc/sys/fs/nr_open"))};
    for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
        rlimit limit{};
        if (getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0)
            return fail_errno("read resource limits");
        host.hard_limits.push_back(limit.rlim_max);
    }
    return host;
}

void plan_cgroup(const linux::CgroupFiles& files, PlanWriter& writer) {
    cl_plan_header& header = writer.header();
    header.v1_folders = writer.list(files.v1_folders);
    header.v2_folder = writer.optional_string(files.v2_folder);
    header.oom_file = writer.optional_string(files.oom_file);
    header.kill_file = writer.optional_string(files.kill_file);
    header.procs_file = writer.optional_string(files.procs_file);
}

Result<Plan> compile_plan(const Spec& spec, const Host& host, const PlanContext& context) {
    TRY(check_spec(spec));
    Plan plan;
    PlanWriter writer;
    plan_cgroup(context.cgroup, writer);
    TRY(plan_oom_score(spec.process, host, writer, plan.notes));
    plan_namespaces(spec, writer);
    TRY(plan_names(spec, writer));
    cl_op_root root{};
    root.path = writer.string(absolute_root(spec, context));
    root.old_propagation = TRY(propagation_flags(spec.rootfs_propagation));
    writer.add(CL_OP_ROOT, root);
    TRY(plan_file_systems(spec, context, host, writer));
    TRY(plan_process({spec.process, spec.seccomp, host, context.wait_for_start, true}, writer,
                     plan.notes));
    plan.bytes = TRY(writer.finish());
    return plan;
}

Result<Plan> compile_exec_plan(const Spec& spec, const Process& process, const Host& host,
                               const ExecContext& context) {
    if (context.pid <= 0) return fail(Code::invalid, "the container has no process to join");
    Plan plan;
    PlanWriter writer;
    plan_cgroup(context.cgroup, writer);
    writer.header().join_pid = context.pid;
    TRY(plan_oom_score(process, host, writer, plan.notes));
    uint64_t flags = 0;
    for (const Namespace& ns : spec.namespaces)
        if (ns.kind != NamespaceKind::pid) flags |= linux::clone_flag(ns.kind);
    writer.add_number(CL_OP_JOIN_PROCESS, static_cast<int64_t>(flags));
    TRY(plan_process({process, spec.seccomp, host, false, false}, writer, plan.notes));
    plan.bytes = TRY(writer.finish());
    return plan;
}

} // namespace cloudlet::runtime
