#include "cloudlet/linux/capability.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

namespace cloudlet::linux {
namespace {

// In number order (linux/capability.h); the names of capabilities(7) without "CAP_".
constexpr std::string_view kNames[] = {"CHOWN",
                                       "DAC_OVERRIDE",
                                       "DAC_READ_SEARCH",
                                       "FOWNER",
                                       "FSETID",
                                       "KILL",
                                       "SETGID",
                                       "SETUID",
                                       "SETPCAP",
                                       "LINUX_IMMUTABLE",
                                       "NET_BIND_SERVICE",
                                       "NET_BROADCAST",
                                       "NET_ADMIN",
                                       "NET_RAW",
                                       "IPC_LOCK",
                                       "IPC_OWNER",
                                       "SYS_MODULE",
                                       "SYS_RAWIO",
                                       "SYS_CHROOT",
                                       "SYS_PTRACE",
                                       "SYS_PACCT",
                                       "SYS_ADMIN",
                                       "SYS_BOOT",
                                       "SYS_NICE",
                                       "SYS_RESOURCE",
                                       "SYS_TIME",
                                       "SYS_TTY_CONFIG",
                                       "MKNOD",
                                       "LEASE",
                                       "AUDIT_WRITE",
                                       "AUDIT_CONTROL",
                                       "SETFCAP",
                                       "MAC_OVERRIDE",
                                       "MAC_ADMIN",
                                       "SYSLOG",
                                       "WAKE_ALARM",
                                       "BLOCK_SUSPEND",
                                       "AUDIT_READ",
                                       "PERFMON",
                                       "BPF",
                                       "CHECKPOINT_RESTORE"};
constexpr int kCount = sizeof kNames / sizeof *kNames;

bool equal_ignoring_case(std::string_view a, std::string_view upper) {
    if (a.size() != upper.size()) return false;
    for (size_t i = 0; i < a.size(); i++) {
        const char c = a[i] >= 'a' && a[i] <= 'z' ? static_cast<char>(a[i] - 'a' + 'A') : a[i];
        if (c != upper[i]) return false;
    }
    return true;
}

} // namespace

int capability_number(std::string_view name) {
    if (name.size() > 4 && equal_ignoring_case(name.substr(0, 4), "CAP_")) name.remove_prefix(4);
    for (int number = 0; number < kCount; number++)
        if (equal_ignoring_case(name, kNames[number])) return number;
    return -1;
}

Result<CapabilitySet> CapabilitySet::from_names(const std::vector<std::string>& names) {
    uint64_t bits = 0;
    for (const std::string& name : names) {
        const int number = capability_number(name);
        if (number < 0) return fail(Code::invalid, fmt::format("unknown capability \"{}\"", name));
        bits |= uint64_t{1} << number;
    }
    return CapabilitySet(bits);
}

CapabilitySet CapabilitySet::all() { return CapabilitySet((uint64_t{1} << kCount) - 1); }

bool CapabilitySet::contains(std::string_view name) const {
    const int number = capability_number(name);
    return number >= 0 && contains(number);
}

std::vector<std::string> CapabilitySet::names() const {
    std::vector<std::string> out;
    for (int number = 0; number < kCount; number++)
        if (contains(number)) out.push_back("CAP_" + std::string(kNames[number]));
    return out;
}

Result<HeldCapabilities> held_capabilities() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    if (syscall(SYS_capget, &header, data) != 0) return fail_errno("read our capabilities");
    uint64_t bounding = 0;
    for (int number = 0; number < kCount; number++)
        if (prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1) bounding |= uint64_t{1} << number;
    const uint64_t known = CapabilitySet::all().bits();
    const auto join = [known](uint32_t low, uint32_t high) {
        return CapabilitySet((low | static_cast<uint64_t>(high) << 32) & known);
    };
    return HeldCapabilities{join(data[0].effective, data[1].effective),
                            join(data[0].permitted, data[1].permitted), CapabilitySet(bounding)};
}

CapabilitySet default_container_capabilities() {
    uint64_t bits = 0;
    for (const int number : {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FSETID, CAP_FOWNER, CAP_MKNOD,
                             CAP_NET_RAW, CAP_SETGID, CAP_SETUID, CAP_SETFCAP, CAP_SETPCAP,
                             CAP_NET_BIND_SERVICE, CAP_SYS_CHROOT, CAP_KILL, CAP_AUDIT_WRITE})
        bits |= uint64_t{1} << number;
    return CapabilitySet(bits);
}

} // namespace cloudlet::linux
