#pragma once
// A container as OCI runtime-spec 1.2 describes it (config.json), typed. parse_spec() reads a
// bundle's file; the engine fills the struct itself, mostly starting from default_spec(). What we
// do not carry out (hooks, user namespaces, a console socket) is refused by name, never silently
// dropped.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/codec/json.h"
#include "cloudlet/linux/capability.h"
#include "cloudlet/linux/cgroup.h"
#include "cloudlet/linux/namespace.h"
#include "cloudlet/linux/seccomp.h"

namespace cloudlet::runtime {

struct User {
    uint32_t uid = 0;
    uint32_t gid = 0;
    std::optional<uint32_t> umask;
    std::vector<uint32_t> additional_gids;
};

/// The five sets of capabilities(7). What this host does not hold is left out by compile_plan().
struct Capabilities {
    linux::CapabilitySet bounding;
    linux::CapabilitySet effective;
    linux::CapabilitySet permitted;
    linux::CapabilitySet inheritable;
    linux::CapabilitySet ambient;
    /// The same set for bounding, effective and permitted, as Docker does.
    static Capabilities of(linux::CapabilitySet set) { return {set, set, set, {}, {}}; }
};

struct Rlimit {
    std::string type; // "RLIMIT_NOFILE"
    uint64_t soft = 0;
    uint64_t hard = 0;
};

struct Process {
    bool terminal = false;
    uint16_t console_rows = 0; // 0: the kernel's default
    uint16_t console_columns = 0;
    User user;
    std::vector<std::string> args;
    std::vector<std::string> env; // "NAME=value"
    std::string cwd = "/";
    Capabilities capabilities; // empty: none
    std::vector<Rlimit> rlimits;
    bool no_new_privileges = false;
    std::optional<int> oom_score_adj;
};

struct Mount {
    std::string destination; // absolute, inside the container
    std::string type;        // "proc", "tmpfs", "bind", "cgroup", ...
    std::string source;
    std::vector<std::string> options; // as mount(8): "nosuid", "rbind", "ro", "size=64k"
};

struct Namespace {
    linux::NamespaceKind kind;
    std::string path; // empty: a new one
};

struct Device {
    char type = 'c'; // 'c', 'b' or 'p'
    std::string path;
    uint32_t major = 0;
    uint32_t minor = 0;
    uint32_t mode = 0666;
    uint32_t uid = 0;
    uint32_t gid = 0;
};

struct Spec {
    std::string version = "1.0.2";
    Process process;
    std::string root_path; // relative to the bundle, or absolute
    bool root_read_only = false;
    std::string hostname; // needs a new uts namespace
    std::string domainname;
    std::vector<Mount> mounts;
    std::vector<std::pair<std::string, std::string>> annotations;
    std::vector<Namespace> namespaces; // a kind that is absent is shared with the host
    std::vector<Device> devices;       // beside the default ones of the spec
    linux::ResourceLimits resources;
    std::string cgroups_path; // absolute; empty: chosen by the caller
    std::vector<std::string> masked_paths;
    std::vector<std::string> read_only_paths;
    std::vector<std::pair<std::string, std::string>> sysctl; // "net.ipv4.ip_forward" -> "1"
    std::optional<linux::SeccompProfile> seccomp;
    std::string
        rootfs_propagation; // "", "private", "slave", "shared", "unbindable", with "r" before

    bool has_namespace(linux::NamespaceKind kind) const;
    const Namespace* find_namespace(linux::NamespaceKind kind) const;
};

/// Error: Code::invalid names the field ("mounts[2].destination must be absolute");
/// Code::unsupported names what we refuse.
Result<Spec> parse_spec(const codec::Json& config);
/// "process" of config.json alone, as `exec --process FILE` takes it.
Result<Process> parse_process(const codec::Json& process);
/// Reads <bundle>/config.json.
Result<Spec> load_spec(const std::string& bundle);

/// What Docker gives a container: all namespaces but user, /proc, /dev, /sys, masked paths, 14
/// capabilities, the seccomp profile, the devices of the spec. Arguments and root are the caller's.
Spec default_spec();

} // namespace cloudlet::runtime
