#pragma once
// Namespaces (namespaces(7)) as names and descriptors. A pod's namespaces live without a process:
// each is pinned by a bind mount of its /proc file. All functions are thread-safe and leave the
// calling thread's namespaces as they were: the work is done on threads of their own.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/io/fd.h"

namespace cloudlet::linux {

enum class NamespaceKind { mount, pid, network, ipc, uts, cgroup, time, user };

/// The CLONE_NEW... flag of a kind.
uint64_t clone_flag(NamespaceKind kind);
/// The name of its file in /proc/<pid>/ns: "mnt", "pid", "net", "ipc", "uts", "cgroup", "time",
/// "user".
std::string_view proc_name(NamespaceKind kind);
/// From the OCI name ("network", "mount", ...). Error: Code::invalid.
Result<NamespaceKind> parse_namespace_kind(std::string_view name);

struct PinnedNamespace {
    NamespaceKind kind;   // network, ipc or uts; the others need a process or make no sense alone
    std::string pin_path; // made (an empty file, mode 0444) when absent; its folder must exist
};

/// Makes new namespaces in one unshare(2) and pins each. When one fails nothing is left behind.
/// `hostname`, if not empty, is set in the new uts namespace. Error: already_exists when a path is
/// already a pin.
Result<> make_pinned_namespaces(const std::vector<PinnedNamespace>& pins,
                                const std::string& hostname = {});
Result<> make_pinned_namespace(NamespaceKind kind, const std::string& pin_path);

/// Unmounts the pin and removes its file; absent is success. The namespace ends with its last user.
Result<> remove_pinned_namespace(const std::string& pin_path);

/// True when the path is a live namespace file (nsfs), not the empty file a reboot leaves.
bool is_namespace(const std::string& path);

/// Opens a namespace file and checks that it is of that kind. Error: not_found, invalid.
Result<io::UniqueFd> open_namespace(const std::string& path, NamespaceKind kind);

/// The number that identifies a namespace (its inode), as `readlink /proc/self/ns/x` shows.
Result<uint64_t> namespace_id(const std::string& path);

/// Runs `work` on a new thread that has entered the given namespaces (network, ipc, uts, mount,
/// cgroup), and waits for it. `work` must not start threads that outlive it.
Result<> run_in_namespaces(const std::vector<int>& namespace_fds,
                           const std::function<Result<>()>& work);

} // namespace cloudlet::linux
