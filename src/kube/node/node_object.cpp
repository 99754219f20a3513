#include "node_object.h"

#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include <fmt/format.h>

#include "cloudlet/io/file.h"

namespace cloudlet::kube::node {

using codec::Json;

namespace {

std::string first_line(const std::string& path) {
    std::string text = io::read_file(path, 1 << 16).value_or("");
    return text.substr(0, text.find('\n'));
}

/// The number of bytes behind `key` in /proc/meminfo.
int64_t memory_info(const std::string& key) {
    std::istringstream lines(io::read_file("/proc/meminfo", 1 << 16).value_or(""));
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with(key + ":")) return atoll(line.c_str() + key.size() + 1) * 1024;
    return 0;
}

std::string os_name() {
    std::istringstream lines(io::read_file("/etc/os-release", 1 << 16).value_or(""));
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("PRETTY_NAME=")) continue;
        std::string name = line.substr(12);
        std::erase(name, '"');
        return name;
    }
    return "Linux";
}

Json condition(const Json& before, const char* type, bool holds, const char* reason,
               const char* message, WallTime now) {
    const std::string status = holds ? "True" : "False";
    std::string since = format_time(now);
    for (const auto& old : before["conditions"].items())
        if (old["type"].as_string() == type && old["status"].as_string() == status)
            since = old["lastTransitionTime"].as_string(since);
    return Json::object({{"type", type},
                         {"status", status},
                         {"lastHeartbeatTime", format_time(now)},
                         {"lastTransitionTime", since},
                         {"reason", reason},
                         {"message", message}});
}

} // namespace

MachineFacts read_machine(const std::string& root) {
    MachineFacts facts;
    facts.cpus = std::max<long>(1, ::sysconf(_SC_NPROCESSORS_ONLN));
    facts.memory_bytes = memory_info("MemTotal");
    struct statvfs disk {};
    if (::statvfs(root.c_str(), &disk) == 0)
        facts.disk_bytes = static_cast<int64_t>(disk.f_blocks * disk.f_frsize);
    facts.machine_id = first_line("/etc/machine-id");
    facts.system_uuid = first_line("/sys/class/dmi/id/product_uuid");
    facts.boot_id = first_line("/proc/sys/kernel/random/boot_id");
    facts.os_image = os_name();
    utsname name{};
    if (::uname(&name) == 0) {
        facts.kernel_version = name.release;
        facts.hostname = name.nodename;
        facts.architecture = name.machine;
    }
    if (facts.architecture == "x86_64") facts.architecture = "amd64";
    if (facts.architecture == "aarch64") facts.architecture = "arm64";
    if (facts.system_uuid.empty()) facts.system_uuid = facts.machine_id;
    return facts;
}

NodePressure read_pressure(const std::string& root) {
    NodePressure pressure;
    pressure.memory = memory_info("MemAvailable") < (100 << 20);
    struct statvfs disk {};
    if (::statvfs(root.c_str(), &disk) == 0 && disk.f_blocks > 0)
        pressure.disk = disk.f_bavail * 20 < disk.f_blocks ||
                        (disk.f_files > 0 && disk.f_favail * 20 < disk.f_files);
    return pressure;
}

Json node_object(const NodeAgentOptions& options, const MachineFacts& facts) {
    Json labels = Json::object({{"kubernetes.io/hostname", options.node_name},
                                {"kubernetes.io/os", "linux"},
                                {"kubernetes.io/arch", facts.architecture},
                                {"beta.kubernetes.io/os", "linux"},
                                {"beta.kubernetes.io/arch", facts.architecture}});
    for (const auto& [key, value] : options.labels) labels.set(key, value);
    Json json = Json::object({{"apiVersion", "v1"}, {"kind", "Node"}});
    json.set("metadata",
             Json::object({{"name", options.node_name}, {"labels", std::move(labels)}}));
    Json spec = Json::object();
    if (!options.pod_cidr.empty())
        spec.set("podCIDR", options.pod_cidr).set("podCIDRs", Json::array({options.pod_cidr}));
    json.set("spec", std::move(spec));
    return json;
}

Json node_status(const NodeAgentOptions& options, const MachineFacts& facts,
                 const NodePressure& pressure, const std::vector<image::Image>& images,
                 const Json& before, bool ready, WallTime now) {
    auto resources = [&](int64_t held_memory) {
        return Json::object(
            {{"cpu", std::to_string(facts.cpus)},
             {"memory", fmt::format("{}Ki", (facts.memory_bytes - held_memory) / 1024)},
             {"ephemeral-storage", fmt::format("{}Ki", facts.disk_bytes / 1024)},
             {"pods", std::to_string(options.max_pods)},
             {"hugepages-2Mi", "0"},
             {"hugepages-1Gi", "0"}});
    };
    Json status = Json::object();
    status.set("capacity", resources(0))
        .set("allocatable", resources(std::min<int64_t>(facts.memory_bytes / 20, 100 << 20)));
    Json conditions = Json::array();
    auto add = [&](const char* type, bool holds, const char* reason, const char* message) {
        conditions.push_back(condition(before, type, holds, reason, message, now));
    };
    pressure.memory ? add("MemoryPressure", true, "KubeletHasInsufficientMemory",
                          "less than 100Mi of memory is available")
                    : add("MemoryPressure", false, "KubeletHasSufficientMemory",
                          "kubelet has sufficient memory available");
    pressure.disk
        ? add("DiskPressure", true, "KubeletHasDiskPressure", "less than 5% of the disk is free")
        : add("DiskPressure", false, "KubeletHasNoDiskPressure", "kubelet has no disk pressure");
    add("PIDPressure", pressure.pid, "KubeletHasSufficientPID",
        "kubelet has sufficient PID available");
    ready ? add("Ready", true, "KubeletReady", "kubelet is posting ready status")
          : add("Ready", false, "KubeletStopping", "cloudlet is going down");
    status.set("conditions", std::move(conditions));
    status.set("addresses",
               Json::array({Json::object({{"type", "InternalIP"}, {"address", options.node_ip}}),
                            Json::object({{"type", "Hostname"}, {"address", options.node_name}})}));
    status.set("nodeInfo",
               Json::object({{"machineID", facts.machine_id},
                             {"systemUUID", facts.system_uuid},
                             {"bootID", facts.boot_id},
                             {"kernelVersion", facts.kernel_version},
                             {"osImage", facts.os_image},
                             {"containerRuntimeVersion", "cloudlet://" + options.runtime_version},
                             {"kubeletVersion", options.version},
                             {"kubeProxyVersion", options.version},
                             {"operatingSystem", "linux"},
                             {"architecture", facts.architecture}}));
    Json list = Json::array();
    for (size_t i = 0; i < images.size() && i < 50; ++i) {
        Json names = Json::array();
        for (const auto& name : images[i].names) names.push_back(name);
        if (names.empty()) names.push_back(images[i].id);
        list.push_back(Json::object({{"names", std::move(names)}, {"sizeBytes", images[i].size}}));
    }
    status.set("images", std::move(list));
    return status;
}

} // namespace cloudlet::kube::node
