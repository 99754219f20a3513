#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fmt/format.h>

#include "mount_options.h"
#include "plan_parts.h"

namespace cloudlet::runtime {
namespace {

using linux::NamespaceKind;

// "/a//b/./c/" -> "/a/b/c"; ".." is refused: a destination says where it is.
Result<std::string> clean_destination(const std::string& path) {
    std::string out;
    for (size_t at = 0; at < path.size();) {
        const size_t slash = std::min(path.find('/', at), path.size());
        const std::string_view part(path.data() + at, slash - at);
        if (part == "..")
            return fail(Code::invalid,
                        fmt::format("mount destination {} must not contain \"..\"", path));
        if (!part.empty() && part != ".") out.append("/").append(part);
        at = slash + 1;
    }
    return out.empty()
               ? fail(Code::invalid,
                      "a mount over the root of the container is not possible; use root.path")
               : Result<std::string>(out);
}

// What lxcfs and the like put below /proc (runc's list); anything else there is refused.
constexpr std::string_view kProcFiles[] = {"/proc/cpuinfo",
                                           "/proc/diskstats",
                                           "/proc/meminfo",
                                           "/proc/stat",
                                           "/proc/swaps",
                                           "/proc/uptime",
                                           "/proc/loadavg",
                                           "/proc/slabinfo",
                                           "/proc/net/dev",
                                           "/proc/sys/kernel/ns_last_pid",
                                           "/proc/sys/crypto/fips_enabled"};

Result<bool> may_lie_on_proc(const Mount& mount, const std::string& target) {
    if (target == "/proc") {
        if (mount.type == "proc" || sort_mount_options(mount.options).bind || mount.type == "tmpfs")
            return true;
        return fail(Code::invalid,
                    fmt::format("only proc may be mounted on /proc, not {}", mount.type));
    }
    if (!target.starts_with("/proc/")) return false;
    for (const auto file : kProcFiles)
        if (target == file) return true;
    return fail(
        Code::invalid,
        fmt::format("mount on {} is refused: it would hide what the kernel says there", target));
}

class MountPlanner {
public:
    MountPlanner(const Spec& spec, const PlanContext& context, const Host& host, PlanWriter& writer)
        : spec_(spec), context_(context), host_(host), writer_(writer) {}

    Result<> add(const Mount& mount) {
        const std::string target = TRY(clean_destination(mount.destination));
        const bool on_proc = TRY(may_lie_on_proc(mount, target));
        const MountOptions options = sort_mount_options(mount.options);
        if (mount.type == "cgroup" || mount.type == "cgroup2") return add_cgroup(target, options);
        if (mount.type == "bind" || options.bind) return add_bind(mount, target, options, on_proc);
        if (mount.type.empty())
            return fail(Code::invalid, fmt::format("mount {} has no type", target));
        cl_op_mount op = base(target, options);
        op.type = writer_.string(mount.type);
        op.source = writer_.optional_string(mount.source);
        op.options = writer_.list(options.data);
        if (mount.type == "proc" || mount.type == "sysfs") op.flags |= CL_MOUNT_PLAIN_TARGET;
        if (on_proc) op.flags |= CL_MOUNT_ON_PROC;
        writer_.add(CL_OP_MOUNT, op);
        return {};
    }

private:
    cl_op_mount base(const std::string& target, const MountOptions& options) {
        cl_op_mount op{};
        op.target = writer_.string(target);
        op.attr_set = options.attr_set;
        op.attr_clear = options.attr_clear;
        op.propagation = options.propagation;
        if (options.attr_recursive) op.flags |= CL_MOUNT_ATTR_RECURSIVE;
        return op;
    }

    Result<> add_bind(const Mount& mount, const std::string& target, const MountOptions& options,
                      bool on_proc) {
        if (mount.source.empty())
            return fail(Code::invalid, fmt::format("bind mount {} has no source", target));
        if (!options.data.empty())
            return fail(Code::invalid, fmt::format("bind mount {}: option \"{}\" is unknown",
                                                   target, options.data[0]));
        const bool absolute = mount.source.starts_with('/');
        cl_op_mount op = base(target, options);
        op.flags |= CL_MOUNT_BIND | (options.recursive ? CL_MOUNT_RECURSIVE : 0u) |
                    (on_proc ? CL_MOUNT_ON_PROC : 0u);
        if (options.propagation == MS_SHARED) {
            op.flags |= CL_MOUNT_HOST_PEER;
            writer_.header().flags |= CL_PLAN_HOST_MOUNTS;
        }
        op.source = writer_.string(absolute ? mount.source : context_.bundle + "/" + mount.source);
        writer_.add(CL_OP_MOUNT, op);
        return {};
    }

    // v2: one file system. v1 and hybrid: a tmpfs with one folder for each hierarchy. In a cgroup
    // namespace each mount shows the container's own group as its root; without one, its folder is
    // bound.
    Result<> add_cgroup(const std::string& target, const MountOptions& options) {
        if (host_.cgroups.mode() == linux::CgroupMode::v2) {
            if (!context_.cgroup.v2_folder.empty())
                add_hierarchy(host_.cgroups.hierarchies().front(), target, options);
            return {};
        }
        cl_op_mount folder = base(target, options);
        folder.attr_set &= ~static_cast<uint64_t>(MOUNT_ATTR_RDONLY);
        folder.type = writer_.string("tmpfs");
        folder.source = writer_.string("cgroup");
        folder.options = writer_.list({"mode=755", "size=64k"});
        writer_.add(CL_OP_MOUNT, folder);
        for (const auto& hierarchy : host_.cgroups.hierarchies())
            if (is_member(hierarchy))
                add_hierarchy(hierarchy, target + "/" + folder_name(hierarchy), options);
        if (options.attr_set & MOUNT_ATTR_RDONLY)
            writer_.add_one(CL_OP_SEAL, writer_.string(target));
        return {};
    }

    // A hierarchy in which the container has no group of its own would show it the host's.
    bool is_member(const linux::CgroupHierarchy& hierarchy) const {
        const std::string folder = hierarchy.mount_point + context_.cgroup_path;
        const auto& joined = context_.cgroup.v1_folders;
        return folder == context_.cgroup.v2_folder ||
               std::find(joined.begin(), joined.end(), folder) != joined.end();
    }

    static std::string folder_name(const linux::CgroupHierarchy& hierarchy) {
        return hierarchy.mount_point.substr(hierarchy.mount_point.rfind('/') + 1);
    }

    void add_hierarchy(const linux::CgroupHierarchy& hierarchy, const std::string& target,
                       const MountOptions& options) {
        cl_op_mount op = base(target, options);
        const Namespace* ns = spec_.find_namespace(NamespaceKind::cgroup);
        if (ns == nullptr) {
            op.flags |= CL_MOUNT_BIND | CL_MOUNT_RECURSIVE | CL_MOUNT_ATTR_RECURSIVE;
            op.source = writer_.string(hierarchy.mount_point + context_.cgroup_path);
        } else {
            op.type = writer_.string(hierarchy.unified ? "cgroup2" : "cgroup");
            op.source = writer_.string("cgroup");
            std::vector<std::string> data;
            if (!hierarchy.unified) data = hierarchy.controllers;
            if (!hierarchy.name.empty()) data.push_back("name=" + hierarchy.name);
            if (!hierarchy.unified && hierarchy.controllers.empty())
                data.insert(data.begin(), "none");
            op.options = writer_.list(data);
        }
        writer_.add(CL_OP_MOUNT, op);
    }

    const Spec& spec_;
    const PlanContext& context_;
    const Host& host_;
    PlanWriter& writer_;
};

void plan_device(const Device& device, PlanWriter& writer) {
    cl_op_device op{};
    op.path = writer.string(device.path);
    op.mode = device.mode | (device.type == 'c' ? S_IFCHR : device.type == 'b' ? S_IFBLK : S_IFIFO);
    op.major = device.major;
    op.minor = device.minor;
    op.uid = device.uid;
    op.gid = device.gid;
    writer.add(CL_OP_DEVICE, op);
}

bool has_mount(const Spec& spec, std::string_view destination) {
    for (const Mount& mount : spec.mounts)
        if (mount.destination == destination) return true;
    return false;
}

// A /dev bound from the host has its nodes already, and is not ours to add to.
bool dev_is_bound(const Spec& spec) {
    for (const Mount& mount : spec.mounts)
        if (mount.destination == "/dev")
            return sort_mount_options(mount.options).bind || mount.type == "bind";
    return false;
}

// OCI runtime-spec 1.2, config-linux.md "Default Devices" and runtime-linux.md "Dev symbolic
// links".
void plan_devices(const Spec& spec, PlanWriter& writer) {
    if (!dev_is_bound(spec)) {
        const Device defaults[] = {{'c', "/dev/null", 1, 3},    {'c', "/dev/zero", 1, 5},
                                   {'c', "/dev/full", 1, 7},    {'c', "/dev/random", 1, 8},
                                   {'c', "/dev/urandom", 1, 9}, {'c', "/dev/tty", 5, 0}};
        for (const Device& device : defaults) plan_device(device, writer);
        const std::pair<const char*, const char*> links[] = {
            {"/dev/fd", "/proc/self/fd"},       {"/dev/stdin", "/proc/self/fd/0"},
            {"/dev/stdout", "/proc/self/fd/1"}, {"/dev/stderr", "/proc/self/fd/2"},
            {"/dev/core", "/proc/kcore"},       {"/dev/ptmx", "pts/ptmx"}};
        for (const auto& [name, text] : links) {
            if (std::string_view(name) == "/dev/ptmx" && !has_mount(spec, "/dev/pts")) continue;
            cl_op_link op{};
            op.name = writer.string(name);
            op.text = writer.string(text);
            writer.add(CL_OP_SYMLINK, op);
        }
    }
    for (const Device& device : spec.devices) plan_device(device, writer);
}

// Only sysctls that belong to a namespace of the container: any other would change the host.
Result<> plan_sysctls(const Spec& spec, PlanWriter& writer) {
    for (const auto& [key, value] : spec.sysctl) {
        std::string path = key;
        if (path.find('/') == std::string::npos)
            for (char& c : path)
                if (c == '.') c = '/';
        NamespaceKind needs = NamespaceKind::ipc;
        if (path.starts_with("net/"))
            needs = NamespaceKind::network;
        else if (path == "kernel/hostname" || path == "kernel/domainname")
            needs = NamespaceKind::uts;
        else if (!path.starts_with("fs/mqueue/") && !path.starts_with("kernel/shm") &&
                 !path.starts_with("kernel/msg") && path != "kernel/sem")
            return fail(
                Code::invalid,
                fmt::format("sysctl {} belongs to the whole machine, not to a container", key));
        if (path.find("..") != std::string::npos)
            return fail(Code::invalid, fmt::format("sysctl {} is no name", key));
        if (!spec.has_namespace(needs))
            return fail(Code::invalid,
                        fmt::format("sysctl {} needs a {} namespace; add it to linux.namespaces",
                                    key, linux::proc_name(needs)));
        cl_op_link op{};
        op.name = writer.string(path);
        op.text = writer.string(value);
        writer.add(CL_OP_SYSCTL, op);
    }
    return {};
}

} // namespace

Result<> plan_file_systems(const Spec& spec, const PlanContext& context, const Host& host,
                           PlanWriter& writer) {
    MountPlanner planner(spec, context, host, writer);
    for (const Mount& mount : spec.mounts) TRY(planner.add(mount));
    plan_devices(spec, writer);
    TRY(plan_sysctls(spec, writer));
    if (!spec.read_only_paths.empty())
        writer.add_one(CL_OP_READ_ONLY, writer.list(spec.read_only_paths));
    if (!spec.masked_paths.empty()) writer.add_one(CL_OP_MASK, writer.list(spec.masked_paths));
    writer.add_number(CL_OP_PIVOT, spec.root_read_only ? 1 : 0);
    return {};
}

} // namespace cloudlet::runtime
