#include "cloudlet/runtime/spec.h"

#include <unistd.h>

#include <fmt/format.h>

#include "cloudlet/io/file.h"
#include "default_devices.h"

namespace cloudlet::runtime {
namespace {

// Docker's lists (moby, oci/defaults.go): paths that would show or change the host.
const char* const kMasked[] = {
    "/proc/asound",     "/proc/acpi",        "/proc/interrupts",
    "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap"};
const char* const kReadOnly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                 "/proc/sysrq-trigger"};

std::vector<Mount> default_mounts() {
    return {
        {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}},
        {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
        {"/dev/pts",
         "devpts",
         "devpts",
         {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
        {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
        {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
        {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}},
        {"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "ro"}},
    };
}

} // namespace

std::vector<linux::DeviceRule> default_device_rules() {
    return {
        {true, 'c', -1, -1, "m"}, {true, 'b', -1, -1, "m"},    {true, 'c', 1, 3, "rwm"},
        {true, 'c', 1, 5, "rwm"}, {true, 'c', 1, 7, "rwm"},    {true, 'c', 1, 8, "rwm"},
        {true, 'c', 1, 9, "rwm"}, {true, 'c', 5, 0, "rwm"},    {true, 'c', 5, 1, "rwm"},
        {true, 'c', 5, 2, "rwm"}, {true, 'c', 136, -1, "rwm"},
    };
}

Spec default_spec() {
    using linux::NamespaceKind;
    Spec spec;
    const linux::CapabilitySet capabilities = linux::default_container_capabilities();
    spec.process.capabilities = Capabilities::of(capabilities);
    spec.process.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
    spec.mounts = default_mounts();
    for (const auto kind : {NamespaceKind::mount, NamespaceKind::pid, NamespaceKind::network,
                            NamespaceKind::ipc, NamespaceKind::uts, NamespaceKind::cgroup})
        spec.namespaces.push_back({kind, ""});
    spec.resources.devices = {linux::DeviceRule{}}; // deny everything, then allow:
    for (const linux::DeviceRule& rule : default_device_rules())
        spec.resources.devices->push_back(rule);
    spec.masked_paths.assign(std::begin(kMasked), std::end(kMasked));
    for (long cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF); cpu++) {
        std::string path = fmt::format("/sys/devices/system/cpu/cpu{}/thermal_throttle", cpu);
        if (io::exists(path)) spec.masked_paths.push_back(std::move(path));
    }
    spec.read_only_paths.assign(std::begin(kReadOnly), std::end(kReadOnly));
    spec.seccomp = linux::default_seccomp_profile(capabilities);
    return spec;
}

} // namespace cloudlet::runtime
