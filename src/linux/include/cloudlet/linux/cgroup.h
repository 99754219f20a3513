#pragma once
// Control groups on v1, v2 and hybrid hosts behind one interface.
//
// CgroupHost knows the hierarchies that are mounted (probed once). A Cgroup is a path that exists
// in each hierarchy we use: it takes limits, members, freezes, kills and reports. Nothing is
// remembered outside the kernel: open() finds a group again after a restart. Values are immutable
// and thread-safe; calls on one group from several threads do not harm each other.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"

namespace cloudlet::linux {

/// One rule about devices (OCI runtime-spec 1.2, config-linux.md "Allowed Device list").
struct DeviceRule {
    bool allow = false;
    char type = 'a';    // 'c', 'b', or 'a' for both
    int64_t major = -1; // -1: any
    int64_t minor = -1;
    std::string access = "rwm"; // of r(ead), w(rite), m(knod)
    bool operator==(const DeviceRule&) const = default;
};

/// Limits as v1 and OCI spell them; on v2 they are converted (shares -> weight, memory+swap ->
/// swap). What is absent is left as it is.
struct ResourceLimits {
    std::optional<uint64_t> cpu_shares;       // 2..262144
    std::optional<int64_t> cpu_quota_us;      // per period; -1 unlimited
    std::optional<uint64_t> cpu_period_us;    // default 100000
    std::optional<int64_t> memory_bytes;      // -1 unlimited
    std::optional<int64_t> memory_swap_bytes; // memory plus swap; -1 unlimited
    std::optional<int64_t> memory_reservation_bytes;
    std::optional<int64_t> pids; // -1 or 0 unlimited
    std::string cpuset_cpus;     // "0-1,3"; empty: inherited
    std::string cpuset_mems;
    std::optional<std::vector<DeviceRule>> devices; // in order; absent: no device control
};

struct CgroupStats {
    Duration cpu_total{};
    Duration cpu_user{};
    Duration cpu_system{};
    Duration cpu_throttled{};
    uint64_t memory_bytes = 0;               // with page cache
    uint64_t memory_inactive_file_bytes = 0; // working set = memory - inactive file
    uint64_t memory_limit_bytes = 0;         // 0: none
    uint64_t memory_peak_bytes = 0;
    uint64_t pids = 0;
    uint64_t oom_kills = 0;
};

/// Where a small launcher finds the group without this library: paths for it to write and read.
struct CgroupFiles {
    std::vector<std::string> v1_folders; // write the pid to <folder>/cgroup.procs of each
    std::string v2_folder;               // clone3(CLONE_INTO_CGROUP) into it; empty: there is no v2
    std::string oom_file;                // holds a line "oom_kill N"; empty: none
    std::string kill_file;               // write "1": kills all members; empty: none
    std::string procs_file;              // lists all members
};

enum class CgroupMode { v1, v2, hybrid };
std::string_view name_of(CgroupMode mode);

/// One mounted hierarchy.
struct CgroupHierarchy {
    std::string mount_point;
    std::string root; // the path of the mount within the hierarchy ("/" mostly)
    std::vector<std::string>
        controllers;  // "cpu", "cpuacct" when co-mounted; v2: cgroup.controllers
    std::string name; // "systemd" of name=systemd
    bool unified = false;
    bool has(std::string_view controller) const;
};

class CgroupHost;

/// A group in all hierarchies we use. Copyable.
class Cgroup {
public:
    const std::string& path() const {
        return path_;
    } // "/cloudlet-x/y", the same in every hierarchy
    CgroupFiles files() const;

    /// Moves a process (all its threads) in.
    Result<> attach(int pid) const;
    /// Applies what is present, in the order that a change in either direction needs.
    Result<> set_limits(const ResourceLimits& limits) const;
    Result<CgroupStats> stats() const;
    /// Every member, also of groups below, once.
    Result<std::vector<int>> members() const;

    /// Returns when every member has stopped. Error: Code::timeout after 10 s (thawed again then).
    Result<> freeze() const;
    Result<> thaw() const;
    Result<bool> is_frozen() const;

    /// Sends SIGKILL to every member until none is left; a frozen group is thawed so that they die.
    /// Error: Code::timeout after 10 s.
    Result<> kill_all() const;
    /// Removes the group and groups below it from every hierarchy; absent is success. Waits (by
    /// cgroup.events or a short back-off) while dying members keep it busy, at most 10 s.
    Result<> remove() const;
    bool exists() const;

private:
    friend class CgroupHost;
    struct Part {
        std::string folder;
        CgroupHierarchy hierarchy;
    };
    const Part* part_with(std::string_view controller) const;
    Result<> write(std::string_view controller, std::string_view file,
                   std::string_view value) const;
    Result<> set_cpu(const ResourceLimits& limits) const;
    Result<> set_memory(const ResourceLimits& limits) const;
    Result<> set_memory_v1(const ResourceLimits& limits) const;
    Result<> set_memory_v2(const ResourceLimits& limits) const;
    Result<> set_cpuset(const ResourceLimits& limits) const;
    Result<> set_devices(const std::vector<DeviceRule>& rules) const;

    std::string path_;
    std::vector<Part> parts_;
};

class CgroupHost {
public:
    /// Reads /proc/self/mountinfo. Error: not_found when no cgroup file system is mounted.
    static Result<CgroupHost> probe();

    CgroupMode mode() const { return mode_; }
    const std::vector<CgroupHierarchy>& hierarchies() const { return hierarchies_; }
    bool has(std::string_view controller) const;
    /// One line per thing that containers will lack here, for a person: "no memory controller:
    /// ...".
    std::vector<std::string> missing() const;

    /// Makes the group (and its parents, with controllers enabled on v2) and sets the limits.
    /// `path` is absolute and counts from the root of the mounts. When it fails nothing made is
    /// left. Error: already_exists when the group has members; unsupported when a limit needs a
    /// controller that is not there; Code::invalid for a path with "..".
    Result<Cgroup> create(const std::string& path, const ResourceLimits& limits) const;
    /// The group as it may exist: no check.
    Cgroup open(const std::string& path) const;
    /// Our own group's path in one controller's hierarchy ("" = v2).
    Result<std::string> own_path(std::string_view controller) const;

private:
    CgroupMode mode_ = CgroupMode::v1;
    std::vector<CgroupHierarchy> hierarchies_;
};

} // namespace cloudlet::linux
