#pragma once
// What the engine is told (SandboxConfig, ContainerConfig) and what it answers (SandboxInfo,
// ContainerInfo). Plain values; the configs are what a record on disk holds.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cloudlet/base/clock.h"

namespace cloudlet::engine {

/// Limits of a cgroup. Zero (or empty) means: no limit of ours.
struct Limits {
    int64_t memory_bytes = 0;
    int64_t cpu_quota_us = 0;  // per cpu_period_us; cgroup v1 cpu.cfs_quota_us
    int64_t cpu_period_us = 0; // 0 with a quota: 100 ms
    int64_t cpu_shares = 0;    // v1 units, 2..262144; translated to a weight on v2
    int64_t pids = 0;
    bool operator==(const Limits&) const = default;
};

/// A port of the machine that leads to a sandbox's address.
struct HostPort {
    std::string protocol = "TCP"; // TCP or UDP
    std::string host_ip{};        // empty: every address of the machine
    uint16_t host_port = 0;
    uint16_t container_port = 0;
    bool operator==(const HostPort&) const = default;
};

/// A pod's shared surroundings: network, IPC and UTS namespaces, hosts file, resolver, shared
/// memory.
struct SandboxConfig {
    std::string id{};         // the pod's uid; [0-9a-zA-Z.-], at most 64 characters
    std::string name{}, ns{}; // for people and for the network's records
    std::string hostname{};
    bool host_network = false;
    bool host_ipc = false;
    bool host_pid = false;
    std::vector<HostPort> host_ports{};
    std::string resolv_conf{}; // complete text; empty: the machine's own file at creation
    std::string extra_hosts{}; // lines added to /etc/hosts
    std::string fqdn{};        // "name.subdomain.ns.svc.cluster.local"; empty: only the hostname
    Limits limits{};           // of the pod as a whole
    int64_t shm_bytes = 64 << 20;
    std::map<std::string, std::string> sysctls{}; // namespaced ones
    std::map<std::string, std::string> labels{};
};

/// One bind mount into a container.
struct Mount {
    std::string source{};      // absolute path on the machine
    std::string destination{}; // absolute path in the container
    bool read_only = false;
    std::string propagation{}; // "", "rslave" or "rshared"
};

/// A container as its user describes it. Everything is final: no defaults from the image are
/// merged in here except where a field says so.
struct ContainerConfig {
    std::string id{};                   // empty: a new one of 64 hex digits
    std::string name{};                 // unique within its sandbox
    std::string sandbox{};              // id of its sandbox
    std::string image{};                // id of an image in the store
    std::vector<std::string> command{}; // empty: the image's entrypoint
    std::vector<std::string> args{};    // empty (and command empty): the image's command
    std::vector<std::string> env{};     // "K=V"; added over the image's
    std::string working_dir{};          // empty: the image's, else "/"
    std::string user{};                 // "uid", "uid:gid", "name"; empty: the image's, else root
    std::vector<int64_t> supplementary_groups{};
    std::vector<Mount> mounts{};
    std::vector<std::string> capabilities_add{},
        capabilities_drop{}; // "NET_ADMIN" or "CAP_NET_ADMIN", "ALL"
    bool privileged = false;
    bool read_only_rootfs = false;
    bool no_new_privileges = false;
    bool seccomp = true; // the default profile; privileged containers have none
    bool mask_paths = true;
    Limits limits{};
    int64_t oom_score_adj = 0;
    bool terminal = false;
    bool stdin_open = false;
    std::string log_path{}; // absolute; empty: log.cri in the container's folder
    int64_t log_max_bytes = 10 << 20;
    int log_max_files = 5;
    std::string stop_signal{}; // empty: the image's, else SIGTERM
    std::map<std::string, std::string> labels{};
};

enum class ContainerState { created, running, exited };

/// A container as it is. `exited` containers keep their record, log and files until removed.
struct ContainerInfo {
    ContainerConfig config{};
    std::string id{}, image_id{};
    ContainerState state = ContainerState::created;
    int pid = 0; // of its first process, in the machine's pid namespace; 0 unless running
    WallTime created_at{}, started_at{}, finished_at{};
    int exit_code = 0; // 128+n when a signal ended it
    int signal = 0;
    bool oom_killed = false;
    bool lost = false;   // nobody saw its end: the machine stopped, or its monitor was killed
    std::string error{}; // why a start failed; empty for an ordinary exit
    std::string log_path{};
};

struct SandboxInfo {
    SandboxConfig config{};
    std::string ip{}; // empty with host_network
    std::string gateway{};
    std::string network_namespace{}; // path of its pin; empty with host_network
    WallTime created_at{};
    bool ready = false; // false: its namespaces are gone (the machine restarted); remove it
};

struct ContainerStats {
    int64_t cpu_ns = 0;
    int64_t memory_bytes = 0;
    int64_t memory_working_set = 0;
    int64_t pids = 0;
};

} // namespace cloudlet::engine
