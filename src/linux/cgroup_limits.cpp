// Writing limits: v1 and v2 spell them differently and insist on an order.

#include <fmt/format.h>

#include "cgroup_files.h"
#include "cloudlet/io/file.h"

namespace cloudlet::linux {
namespace {

std::string number_or_max(int64_t value, bool zero_is_max = false) {
    return value < 0 || (zero_is_max && value == 0) ? "max" : fmt::format("{}", value);
}

// The kernel's own ranges: shares 2..262144 (default 1024), weight 1..10000 (default 100).
uint64_t weight_of(uint64_t shares) {
    const uint64_t bounded = std::clamp<uint64_t>(shares, 2, 262144);
    return 1 + (bounded - 2) * 9999 / 262142;
}

// The group on the way to `folder` that does not hand a controller down although it has it; empty
// when there is none. The kernel refuses that to a group with processes of its own.
std::string group_in_the_way(const CgroupHierarchy& hierarchy, const std::string& folder,
                             std::string_view controller) {
    std::string above = hierarchy.mount_point;
    if (!file_has_word(above + "/cgroup.controllers", controller)) return "";
    while (above != folder && file_has_word(above + "/cgroup.subtree_control", controller))
        above = folder.substr(0, folder.find('/', above.size() + 1));
    return above == folder ? "" : above;
}

} // namespace

Result<> Cgroup::write(std::string_view controller, std::string_view file,
                       std::string_view value) const {
    const Part* part = part_with(controller);
    const Part* unified = part_with("");
    const std::string path = part == nullptr ? "" : fmt::format("{}/{}", part->folder, file);
    if (part != nullptr && (part != unified || io::exists(path)))
        return with_context(io::write_control_file(path, value),
                            fmt::format("set {} to {}", file, value));
    const std::string way =
        unified == nullptr ? "" : group_in_the_way(unified->hierarchy, unified->folder, controller);
    if (!way.empty())
        return fail(Code::unsupported,
                    fmt::format("{} cannot be set: group {} does not hand the {} controller down: "
                                "move its own processes to a group below it, or leave the limit "
                                "out",
                                file, way, controller));
    return fail(
        Code::unsupported,
        fmt::format("this host has no {0} cgroup controller: {1} cannot be set (boot with it "
                    "enabled, or leave the limit out)",
                    controller, file));
}

Result<> Cgroup::set_cpu(const ResourceLimits& limits) const {
    const Part* part = part_with("cpu");
    const bool v2 = part != nullptr && part->hierarchy.unified;
    if (limits.cpu_shares) {
        TRY(v2 ? write("cpu", "cpu.weight", fmt::format("{}", weight_of(*limits.cpu_shares)))
               : write("cpu", "cpu.shares", fmt::format("{}", *limits.cpu_shares)));
    }
    if (!limits.cpu_quota_us && !limits.cpu_period_us) return {};
    const int64_t quota = limits.cpu_quota_us.value_or(-1);
    const uint64_t period = limits.cpu_period_us.value_or(100000);
    if (v2)
        return write("cpu", "cpu.max", fmt::format("{} {}", number_or_max(quota, true), period));
    // A quota must fit its period at every moment: the old quota may not fit the new period.
    const std::string quota_text = fmt::format("{}", quota <= 0 ? -1 : quota);
    if (!write("cpu", "cpu.cfs_period_us", fmt::format("{}", period))) {
        TRY(write("cpu", "cpu.cfs_quota_us", quota_text));
        return write("cpu", "cpu.cfs_period_us", fmt::format("{}", period));
    }
    return write("cpu", "cpu.cfs_quota_us", quota_text);
}

// memory <= memory+swap must hold at every moment, so the order depends on the direction.
Result<> Cgroup::set_memory_v1(const ResourceLimits& limits) const {
    const Part* part = part_with("memory");
    const bool counts_swap =
        part != nullptr && io::exists(part->folder + "/memory.memsw.limit_in_bytes");
    const auto set_plain = [&]() -> Result<> {
        return limits.memory_bytes ? write("memory", "memory.limit_in_bytes",
                                           fmt::format("{}", *limits.memory_bytes))
                                   : Result<>{};
    };
    const auto set_both = [&]() -> Result<> {
        return limits.memory_swap_bytes && counts_swap
                   ? write("memory", "memory.memsw.limit_in_bytes",
                           fmt::format("{}", *limits.memory_swap_bytes))
                   : Result<>{};
    };
    uint64_t current = ~uint64_t{0};
    if (counts_swap) current = read_number(part->folder + "/memory.memsw.limit_in_bytes");
    const bool raise =
        limits.memory_bytes &&
        (*limits.memory_bytes < 0 || static_cast<uint64_t>(*limits.memory_bytes) > current);
    TRY(raise ? set_both() : set_plain());
    TRY(raise ? set_plain() : set_both());
    if (limits.memory_reservation_bytes)
        TRY(write("memory", "memory.soft_limit_in_bytes",
                  fmt::format("{}", *limits.memory_reservation_bytes)));
    return {};
}

Result<> Cgroup::set_memory_v2(const ResourceLimits& limits) const {
    if (limits.memory_bytes)
        TRY(write("memory", "memory.max", number_or_max(*limits.memory_bytes)));
    const Part* part = part_with("memory");
    if (limits.memory_swap_bytes && part != nullptr &&
        io::exists(part->folder + "/memory.swap.max")) {
        const int64_t memory = limits.memory_bytes.value_or(0);
        const bool unlimited = *limits.memory_swap_bytes < 0 || memory < 0;
        TRY(write("memory", "memory.swap.max",
                  unlimited ? "max"
                            : fmt::format(
                                  "{}", std::max<int64_t>(0, *limits.memory_swap_bytes - memory))));
    }
    if (limits.memory_reservation_bytes)
        TRY(write("memory", "memory.low", number_or_max(*limits.memory_reservation_bytes)));
    return {};
}

Result<> Cgroup::set_memory(const ResourceLimits& limits) const {
    if (!limits.memory_bytes && !limits.memory_swap_bytes && !limits.memory_reservation_bytes)
        return {};
    const Part* part = part_with("memory");
    return part != nullptr && part->hierarchy.unified ? set_memory_v2(limits)
                                                      : set_memory_v1(limits);
}

Result<> Cgroup::set_cpuset(const ResourceLimits& limits) const {
    if (!limits.cpuset_cpus.empty()) TRY(write("cpuset", "cpuset.cpus", limits.cpuset_cpus));
    if (!limits.cpuset_mems.empty()) TRY(write("cpuset", "cpuset.mems", limits.cpuset_mems));
    return {};
}

Result<> Cgroup::set_devices(const std::vector<DeviceRule>& rules) const {
    const Part* v1 = part_with("devices");
    if (v1 == nullptr) {
        const Part* unified = part_with("");
        if (unified == nullptr)
            return fail(Code::unsupported,
                        "this host has no devices cgroup controller: devices cannot be restricted");
        return set_device_program(unified->folder, rules);
    }
    for (const DeviceRule& rule : rules) {
        const auto part = [](int64_t number) {
            return number < 0 ? std::string("*") : fmt::format("{}", number);
        };
        const bool everything = rule.type == 'a' && rule.major < 0 && rule.minor < 0;
        // "a" cannot carry numbers in v1: a rule about both types is two rules.
        const std::string_view types = everything         ? "a"
                                       : rule.type == 'a' ? "bc"
                                       : rule.type == 'b' ? "b"
                                                          : "c";
        for (const char type : types) {
            const std::string text = everything ? "a"
                                                : fmt::format("{} {}:{} {}", type, part(rule.major),
                                                              part(rule.minor), rule.access);
            TRY(write("devices", rule.allow ? "devices.allow" : "devices.deny", text));
        }
    }
    return {};
}

Result<> Cgroup::set_limits(const ResourceLimits& limits) const {
    TRY(set_cpuset(limits));
    TRY(set_cpu(limits));
    TRY(set_memory(limits));
    if (limits.pids) TRY(write("pids", "pids.max", number_or_max(*limits.pids, true)));
    if (limits.devices) TRY(set_devices(*limits.devices));
    return {};
}

} // namespace cloudlet::linux
