#include "cloudlet/linux/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cgroup_files.h"
#include "cloudlet/io/file.h"
#include "cloudlet/linux/mount.h"

namespace cloudlet::linux {
namespace {

constexpr std::string_view kV1Controllers[] = {
    "cpu",   "cpuacct", "cpuset",   "memory",     "pids",    "devices", "freezer",
    "blkio", "net_cls", "net_prio", "perf_event", "hugetlb", "rdma",    "misc"};

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> out;
    while (!text.empty()) {
        const size_t end = std::min(text.find(separator), text.size());
        if (end > 0) out.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

CgroupHierarchy v1_hierarchy(const MountEntry& entry) {
    CgroupHierarchy out{entry.mount_point, entry.root, {}, {}, false};
    for (const std::string& option : split(entry.super_options, ',')) {
        if (option.starts_with("name=")) out.name = option.substr(5);
        for (const auto controller : kV1Controllers)
            if (option == controller) out.controllers.push_back(option);
    }
    return out;
}

// Only the machine's root, which has no cgroup.type, hands controllers down beside processes of its
// own. To any other group the kernel refuses most of them, and what it grants (cpu, cpuset, pids)
// turns the group into a threaded one, below which no container can live (Linux,
// admin-guide/cgroup-v2.rst, "Threads").
bool may_hand_down(const std::string& folder) {
    return !io::exists(folder + "/cgroup.type") ||
           io::read_file(folder + "/cgroup.procs").value_or("").empty();
}

// In a cgroup namespace (a container's) the root of the mount may be such a group: it has what it
// hands down already.
CgroupHierarchy v2_hierarchy(const MountEntry& entry) {
    CgroupHierarchy out{entry.mount_point, entry.root, {}, {}, true};
    auto controllers = io::read_file(entry.mount_point + (may_hand_down(entry.mount_point)
                                                              ? "/cgroup.controllers"
                                                              : "/cgroup.subtree_control"),
                                     4096);
    if (controllers) {
        while (!controllers->empty() && controllers->back() == '\n') controllers->pop_back();
        out.controllers = split(*controllers, ' ');
    }
    return out;
}

Result<> check_path(const std::string& path) {
    if (path.size() < 2 || path[0] != '/')
        return fail(Code::invalid, fmt::format("cgroup path \"{}\" must be absolute", path));
    for (const std::string& part : split(path, '/'))
        if (part == ".." || part == ".")
            return fail(Code::invalid,
                        fmt::format("cgroup path \"{}\" must not contain \"{}\"", path, part));
    return {};
}

// Which hierarchies a new group goes to. Making one costs the kernel real work, so only those that
// do something for us: accounting and limits always, devices and cpusets when they are asked for, a
// v1 freezer only where v2's own freeze and kill are not at hand.
bool wanted(const CgroupHierarchy& hierarchy, const ResourceLimits& limits, bool has_unified) {
    if (hierarchy.unified) return true;
    for (const auto controller : {"cpu", "cpuacct", "memory", "pids"})
        if (hierarchy.has(controller)) return true;
    if (hierarchy.has("devices")) return limits.devices.has_value();
    if (hierarchy.has("cpuset")) return !limits.cpuset_cpus.empty() || !limits.cpuset_mems.empty();
    return hierarchy.has("freezer") && !has_unified;
}

// A new v1 cpuset is empty, and nothing may be attached to it before it has processors and nodes.
Result<> inherit_cpuset(const std::string& folder) {
    const std::string parent = folder.substr(0, folder.rfind('/'));
    for (const auto file : {"cpuset.cpus", "cpuset.mems"}) {
        const std::string value = TRY(io::read_file(fmt::format("{}/{}", parent, file), 65536));
        TRY(io::write_control_file(fmt::format("{}/{}", folder, file), value));
    }
    return {};
}

// v2 hands controllers down one level at a time. One that cannot be handed down (a real-time task,
// a threaded group) is left out here and named when a limit needs it.
void enable_controllers(const std::string& folder) {
    const std::string offered = folder + "/cgroup.controllers";
    const std::string enabled = folder + "/cgroup.subtree_control";
    for (const auto controller : {"cpu", "cpuset", "memory", "pids"})
        if (file_has_word(offered, controller) && !file_has_word(enabled, controller) &&
            may_hand_down(folder))
            static_cast<void>(io::write_control_file(enabled, fmt::format("+{}", controller)));
}

// mkdir -p below the mount point; what was made is appended to `made`.
Result<> make_folders(const CgroupHierarchy& hierarchy, const std::string& path,
                      std::vector<std::string>& made) {
    std::string folder = hierarchy.mount_point;
    for (const std::string& part : split(path, '/')) {
        if (hierarchy.unified) enable_controllers(folder);
        folder.append("/").append(part);
        if (::mkdir(folder.c_str(), 0755) != 0) {
            const int error = errno;
            if (error == EEXIST) continue;
            const char* hint = error == ENOMEM ? ": the memory limit of the group above leaves no "
                                                 "room for it; set a larger one"
                                               : "";
            return fail_errno(fmt::format("make cgroup {}{}", folder, hint), error);
        }
        made.push_back(folder);
        if (hierarchy.has("cpuset") && !hierarchy.unified) TRY(inherit_cpuset(folder));
    }
    return {};
}

} // namespace

std::string_view name_of(CgroupMode mode) {
    return mode == CgroupMode::v1 ? "v1" : mode == CgroupMode::v2 ? "v2" : "hybrid";
}

bool CgroupHierarchy::has(std::string_view controller) const {
    for (const std::string& own : controllers)
        if (own == controller) return true;
    return false;
}

Result<CgroupHost> CgroupHost::probe() {
    CgroupHost host;
    bool any_v1 = false, any_v2 = false;
    for (const MountEntry& entry : TRY(read_mount_table())) {
        if (entry.type != "cgroup" && entry.type != "cgroup2") continue;
        const bool unified = entry.type == "cgroup2";
        if (unified && any_v2) continue; // a second mount of the same hierarchy
        (unified ? any_v2 : any_v1) = true;
        CgroupHierarchy hierarchy = unified ? v2_hierarchy(entry) : v1_hierarchy(entry);
        bool known = false;
        for (const CgroupHierarchy& other : host.hierarchies_)
            known = known ||
                    (!unified && !other.unified && other.controllers == hierarchy.controllers &&
                     other.name == hierarchy.name);
        if (!known) host.hierarchies_.push_back(std::move(hierarchy));
    }
    if (!any_v1 && !any_v2)
        return fail(Code::not_found, "no cgroup file system is mounted; mount one with: mount -t "
                                     "cgroup2 none /sys/fs/cgroup");
    host.mode_ = any_v1 && any_v2 ? CgroupMode::hybrid : any_v1 ? CgroupMode::v1 : CgroupMode::v2;
    return host;
}

bool CgroupHost::has(std::string_view controller) const {
    for (const CgroupHierarchy& hierarchy : hierarchies_)
        if (hierarchy.has(controller)) return true;
    return false;
}

std::vector<std::string> CgroupHost::missing() const {
    std::vector<std::string> out;
    const std::pair<const char*, const char*> effects[] = {
        {"memory", "memory limits are refused and out-of-memory kills not seen"},
        {"cpu", "CPU limits and shares are refused"},
        {"pids", "limits on the number of processes are refused"}};
    for (const auto& [controller, effect] : effects)
        if (!has(controller))
            out.push_back(fmt::format("no {} cgroup controller: {}", controller, effect));
    return out;
}

Result<std::string> CgroupHost::own_path(std::string_view controller) const {
    const std::string text = TRY(io::read_file("/proc/self/cgroup", 65536));
    for (const std::string& line : split(text, '\n')) {
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string names = line.substr(first + 1, second - first - 1);
        if (names.empty() && controller.empty()) return line.substr(second + 1);
        for (const std::string& name : split(names, ','))
            if (name == controller) return line.substr(second + 1);
    }
    return fail(Code::not_found,
                fmt::format("we are in no group of cgroup controller \"{}\"", controller));
}

Cgroup CgroupHost::open(const std::string& path) const {
    Cgroup group;
    group.path_ = path;
    for (const CgroupHierarchy& hierarchy : hierarchies_) {
        const std::string folder = hierarchy.mount_point + path;
        if (io::is_directory(folder)) group.parts_.push_back({folder, hierarchy});
    }
    return group;
}

Result<Cgroup> CgroupHost::create(const std::string& path, const ResourceLimits& limits) const {
    TRY(check_path(path));
    Cgroup group;
    group.path_ = path;
    std::vector<std::string> made;
    const auto build = [&]() -> Result<> {
        for (const CgroupHierarchy& hierarchy : hierarchies_) {
            if (!wanted(hierarchy, limits, mode_ != CgroupMode::v1)) continue;
            const size_t before = made.size();
            const std::string folder = hierarchy.mount_point + path;
            TRY(make_folders(hierarchy, path, made));
            const bool existed = made.size() == before;
            if (existed && !TRY(io::read_file(folder + "/cgroup.procs")).empty())
                return fail(Code::already_exists,
                            fmt::format("cgroup {} has processes already", folder));
            group.parts_.push_back({folder, hierarchy});
        }
        return group.set_limits(limits);
    };
    auto result = build();
    if (result) return group;
    for (auto folder = made.rbegin(); folder != made.rend(); ++folder) ::rmdir(folder->c_str());
    return tl::unexpected(result.error());
}

} // namespace cloudlet::linux
