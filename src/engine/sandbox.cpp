// Sandboxes: made step by step below one folder, removed in reverse. The folder without a record is
// the recorded intent; the record comes last.

#include <sys/mount.h>

#include <fcntl.h>
#include <fmt/format.h>

#include "cloudlet/base/log.h"
#include "cloudlet/io/file.h"
#include "cloudlet/linux/mount.h"
#include "cloudlet/linux/namespace.h"
#include "cloudlet/linux/sysctl.h"
#include "impl.h"

namespace cloudlet::engine {

namespace {

Result<> write_plain(const std::string& path, std::string_view text) {
    const io::UniqueFd fd = TRY(io::open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
    return io::write_all(fd.get(), text);
}

/// /etc/hosts of a pod, as the kubelet writes it.
std::string hosts_file(const SandboxConfig& config, const std::string& ip) {
    std::string text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
                       "fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\n"
                       "fe00::2\tip6-allrouters\n";
    if (!ip.empty()) {
        text += ip + "\t";
        if (!config.fqdn.empty()) text += config.fqdn + "\t";
        text += config.hostname + "\n";
    }
    return text + config.extra_hosts;
}

Result<network::AttachRequest> attach_request(const SandboxConfig& config,
                                              const std::string& netns) {
    network::AttachRequest request{.id = config.id, .netns_path = netns, .host_ports = {}};
    for (const auto& port : config.host_ports) {
        network::HostPort entry{.host_address = std::nullopt,
                                .host_port = port.host_port,
                                .pod_port = port.container_port,
                                .protocol = network::Protocol::tcp};
        if (port.protocol == "UDP") entry.protocol = network::Protocol::udp;
        if (port.protocol == "SCTP") entry.protocol = network::Protocol::sctp;
        if (!port.host_ip.empty() && port.host_ip != "0.0.0.0")
            entry.host_address = TRY(linux::parse_ipv4(port.host_ip));
        request.host_ports.push_back(entry);
    }
    return request;
}

Result<> set_sysctls(const SandboxConfig& config, const std::string& netns,
                     const std::string& ipc) {
    if (config.sysctls.empty()) return {};
    const io::UniqueFd net_fd = TRY(linux::open_namespace(netns, linux::NamespaceKind::network));
    const io::UniqueFd ipc_fd = TRY(linux::open_namespace(ipc, linux::NamespaceKind::ipc));
    return linux::run_in_namespaces({net_fd.get(), ipc_fd.get()}, [&]() -> Result<> {
        for (const auto& [name, value] : config.sysctls) {
            std::string path = name;
            std::replace(path.begin(), path.end(), '.', '/');
            TRY(with_context(linux::write_sysctl(path, value), "sysctl " + name));
        }
        return {};
    });
}

} // namespace

linux::ResourceLimits to_resource_limits(const Limits& limits) {
    linux::ResourceLimits out;
    if (limits.memory_bytes > 0) {
        out.memory_bytes = limits.memory_bytes;
        out.memory_swap_bytes = limits.memory_bytes; // no swap beyond it, as the kubelet sets it
    }
    if (limits.cpu_quota_us > 0) {
        out.cpu_quota_us = limits.cpu_quota_us;
        out.cpu_period_us =
            static_cast<uint64_t>(limits.cpu_period_us > 0 ? limits.cpu_period_us : 100'000);
    }
    if (limits.cpu_shares > 0) out.cpu_shares = static_cast<uint64_t>(limits.cpu_shares);
    if (limits.pids > 0) out.pids = limits.pids;
    return out;
}

Result<> check_id(const std::string& id, const char* what) {
    auto allowed = [](unsigned char c) { return isalnum(c) || c == '-' || c == '.'; };
    const bool good = !id.empty() && id.size() <= 64 && id[0] != '.' && id[0] != '-' &&
                      std::all_of(id.begin(), id.end(), allowed);
    if (good) return {};
    return fail(Code::invalid,
                fmt::format("{} id \"{}\": use 1 to 64 letters, digits, '-' and '.'", what, id));
}

Result<SandboxInfo> Engine::Impl::create_sandbox(const SandboxConfig& config) {
    TRY(check_id(config.id, "sandbox"));
    std::shared_ptr<Sandbox> sandbox;
    {
        std::lock_guard lock(mutex);
        auto& slot = sandboxes[config.id];
        if (!slot) {
            slot = std::make_shared<Sandbox>();
            slot->info.config = config;
        }
        sandbox = slot;
    }
    std::lock_guard operation(sandbox->operation);
    if (sandbox->removed)
        return fail(Code::conflict, "sandbox " + config.id + " is being removed; try again");
    {
        std::lock_guard lock(mutex);
        if (sandbox->complete) return sandbox->info;
    }
    if (auto built = build_sandbox(*sandbox); !built) {
        if (auto undone = tear_down_sandbox(config.id); !undone)
            log_warning("engine", "sandbox {}: undo after a failure: {}", config.id,
                        undone.error().to_string());
        std::lock_guard lock(mutex);
        sandbox->removed = true;
        sandboxes.erase(config.id);
        return tl::unexpected(built.error());
    }
    std::lock_guard lock(mutex);
    sandbox->complete = true;
    return sandbox->info;
}

Result<> Engine::Impl::build_sandbox(Sandbox& sandbox) {
    const SandboxConfig& config = sandbox.info.config;
    const std::string dir = sandbox_dir(config.id);
    if (!config.host_network && !network)
        return fail(Code::unsupported,
                    "there is no pod network: only pods with hostNetwork can run");
    TRY(io::make_directories(dir, 0711));
    std::vector<linux::PinnedNamespace> pins;
    if (!config.host_network)
        pins.push_back({linux::NamespaceKind::network, pin(config.id, "net")});
    if (!config.host_ipc) pins.push_back({linux::NamespaceKind::ipc, pin(config.id, "ipc")});
    if (!config.host_network) pins.push_back({linux::NamespaceKind::uts, pin(config.id, "uts")});
    const std::string hostname = config.host_network ? "" : config.hostname;
    if (!pins.empty())
        TRY(with_context(linux::make_pinned_namespaces(pins, hostname), "namespaces"));
    SandboxRecord record{
        .config = config, .ip = {}, .gateway = {}, .created_at = system_clock().wall()};
    if (!config.host_network) {
        const auto request = TRY(attach_request(config, pin(config.id, "net")));
        const auto attachment = TRY(with_context(network->attach(request), "network"));
        record.ip = attachment.address.to_string();
        record.gateway = attachment.gateway.to_string();
        TRY(set_sysctls(config, pin(config.id, "net"),
                        pin(config.id, config.host_ipc ? "net" : "ipc")));
    }
    if (!config.host_ipc) {
        TRY(io::make_directories(dir + "/shm", 01777));
        TRY(linux::mount_filesystem("tmpfs", "shm", dir + "/shm", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                                    fmt::format("mode=1777,size={}", config.shm_bytes)));
    }
    TRY(host->cgroups.create(sandbox_cgroup(config.id), to_resource_limits(config.limits)));
    TRY(write_plain(dir + "/hosts", hosts_file(config, record.ip)));
    TRY(write_plain(dir + "/hostname", config.hostname + "\n"));
    if (!config.resolv_conf.empty()) {
        TRY(write_plain(dir + "/resolv.conf", config.resolv_conf));
    } else {
        TRY(write_plain(dir + "/resolv.conf", io::read_file("/etc/resolv.conf").value_or("")));
    }
    TRY(write_record(dir, to_json(record)));
    std::lock_guard lock(mutex);
    sandbox.info.ip = record.ip;
    sandbox.info.gateway = record.gateway;
    sandbox.info.network_namespace = config.host_network ? "" : pin(config.id, "net");
    sandbox.info.created_at = record.created_at;
    sandbox.info.ready = true;
    return {};
}

Result<> Engine::Impl::remove_sandbox(const std::string& id) {
    TRY(check_id(id, "sandbox"));
    std::shared_ptr<Sandbox> sandbox = find_sandbox(id);
    if (!sandbox) return {};
    std::lock_guard operation(sandbox->operation);
    if (sandbox->removed) return {};
    std::vector<std::string> members;
    {
        std::lock_guard lock(mutex);
        sandbox->closing = true;
        for (const auto& [key, container] : containers)
            if (container->info.config.sandbox == id) members.push_back(key);
    }
    for (const auto& member : members) TRY(remove(member, true));
    TRY(tear_down_sandbox(id));
    std::lock_guard lock(mutex);
    sandbox->removed = true;
    sandboxes.erase(id);
    return {};
}

/// Removes whatever there is of a sandbox; what is absent is done. The record goes last.
Result<> Engine::Impl::tear_down_sandbox(const std::string& id) {
    const std::string dir = sandbox_dir(id);
    if (network) TRY(with_context(network->detach(id), "network"));
    for (const char* kind : {"net", "ipc", "uts"})
        if (io::exists(pin(id, kind))) TRY(linux::remove_pinned_namespace(pin(id, kind)));
    if (io::exists(dir + "/shm")) TRY(linux::unmount(dir + "/shm"));
    const linux::Cgroup group = host->cgroups.open(sandbox_cgroup(id));
    TRY(group.kill_all());
    TRY(group.remove());
    return io::remove_tree(dir);
}

} // namespace cloudlet::engine
