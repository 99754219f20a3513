// Start-up is recovery: what runs is adopted, what ended is learned, what was half made is cleared.

#include <csignal>
#include <sys/stat.h>

#include <algorithm>

#include "cloudlet/base/log.h"
#include "cloudlet/io/file.h"
#include "cloudlet/linux/mount.h"
#include "cloudlet/linux/namespace.h"
#include "impl.h"

namespace cloudlet::engine {

namespace {

/// When nobody wrote down an end, the last thing the monitor did is the best guess of its time.
WallTime last_change(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return system_clock().wall();
    return WallTime{std::chrono::seconds(info.st_mtim.tv_sec) +
                    std::chrono::nanoseconds(info.st_mtim.tv_nsec)};
}

std::vector<std::string> names_in(const std::string& folder) {
    return io::list_directory(folder).value_or(std::vector<std::string>{});
}

} // namespace

Result<> Engine::Impl::recover() {
    TRY(io::make_directories(options.root + "/engine/sandboxes", 0711));
    TRY(io::make_directories(options.root + "/engine/containers", 0711));
    TRY(recover_sandboxes());
    TRY(recover_containers());
    clear_unrecorded();
    return {};
}

Result<> Engine::Impl::recover_sandboxes() {
    std::set<std::string> live;
    for (const auto& id : names_in(options.root + "/engine/sandboxes")) {
        auto json = read_record(sandbox_dir(id));
        auto record = json ? parse_sandbox_record(*json) : tl::unexpected(json.error());
        if (!record) {
            log_info("engine", "clearing half-made sandbox {}", id);
            if (auto gone = tear_down_sandbox(id); !gone)
                log_warning("engine", "sandbox {}: {}", id, gone.error().to_string());
            continue;
        }
        auto sandbox = std::make_shared<Sandbox>();
        sandbox->complete = true;
        const bool host_network = record->config.host_network;
        sandbox->info = {.config = record->config,
                         .ip = record->ip,
                         .gateway = record->gateway,
                         .network_namespace = host_network ? "" : pin(id, "net"),
                         .created_at = record->created_at};
        const bool net_there = host_network || linux::is_namespace(pin(id, "net"));
        const bool ipc_there = record->config.host_ipc || linux::is_namespace(pin(id, "ipc"));
        sandbox->info.ready = net_there && ipc_there;
        sandboxes.emplace(id, sandbox);
        live.insert(id);
    }
    if (network) {
        const auto detached = TRY(with_context(network->reconcile(live), "network"));
        for (const auto& id : detached)
            log_info("engine", "network: cleared what was left of sandbox {}", id);
    }
    return {};
}

Result<> Engine::Impl::recover_containers() {
    for (const auto& id : names_in(options.root + "/engine/containers")) {
        auto json = read_record(container_dir(id));
        auto record = json ? parse_container_record(*json) : tl::unexpected(json.error());
        if (!record) {
            log_info("engine", "clearing half-made container {}", id);
            if (auto gone = images.remove_snapshot(id); !gone)
                log_warning("engine", "container {}: {}", id, gone.error().to_string());
            if (auto gone = io::remove_tree(container_dir(id)); !gone)
                log_warning("engine", "container {}: {}", id, gone.error().to_string());
            continue;
        }
        auto container = std::make_shared<Container>();
        container->directory = container_dir(id);
        container->cgroup = sandbox_cgroup(record->config.sandbox) + "/" + id.substr(0, 32);
        container->info = {.config = record->config,
                           .id = id,
                           .image_id = record->config.image,
                           .created_at = record->created_at,
                           .error = {},
                           .log_path = record->config.log_path};
        if (auto image = images.find(record->config.image)) {
            container->image = image->config;
            container->info.image_id = image->id;
        }
        containers.emplace(id, container);
        adopt(container);
    }
    return {};
}

/// Finds out in which state a container is, and follows it when it runs.
void Engine::Impl::adopt(const std::shared_ptr<Container>& container) {
    auto monitor = runtime::MonitorConnection::connect(container->directory);
    if (monitor) {
        auto state = monitor->state();
        auto watch = monitor->watch_exit();
        if (state && watch) {
            if (state->phase == runtime::MonitorPhase::created) {
                // The former engine died between spawn and start: nobody waits for this one.
                (void)monitor->shutdown();
            } else if (state->phase == runtime::MonitorPhase::running) {
                container->info.state = ContainerState::running;
                container->info.pid = state->pid;
                container->info.started_at = state->started_at;
            }
            return follow(container, std::move(*watch));
        }
    }
    if (auto record = runtime::read_exit_record(container->directory))
        return settle(container, *record, false);
    const std::string trace = container->directory + "/monitor.sock";
    if (!io::exists(trace)) return; // never started
    if (auto killed = host->cgroups.open(container->cgroup).kill_all(); !killed)
        log_warning("engine", "container {}: {}", container->info.id, killed.error().to_string());
    settle(container,
           {.exit_code = 137,
            .signal = SIGKILL,
            .oom_killed = false,
            .started_at = last_change(trace),
            .finished_at = last_change(trace),
            .pid = 0,
            .error = {}},
           true);
}

std::vector<std::string> Engine::Impl::stray_cgroups() const {
    std::set<std::string> known;
    {
        std::lock_guard lock(mutex);
        for (const auto& [id, sandbox] : sandboxes) known.insert("pod" + id);
        for (const auto& [id, container] : containers) known.insert(container->cgroup);
    }
    std::set<std::string> strays;
    for (const auto& hierarchy : host->cgroups.hierarchies()) {
        const std::string root = hierarchy.mount_point + cgroup_root();
        for (const auto& pod : names_in(root)) {
            if (!pod.starts_with("pod") || !io::is_directory(root + "/" + pod)) continue;
            if (!known.contains(pod)) strays.insert(cgroup_root() + "/" + pod);
            for (const auto& child : names_in(root + "/" + pod)) {
                const std::string path = cgroup_root() + "/" + pod + "/" + child;
                if (io::is_directory(root + "/" + pod + "/" + child) && !known.contains(path))
                    strays.insert(path);
            }
        }
    }
    return {strays.begin(), strays.end()};
}

/// Removes what a crash left without a record: snapshots, cgroups, mounts below our folders.
void Engine::Impl::clear_unrecorded() {
    for (const auto& key : images.snapshots()) {
        if (containers.contains(key)) continue;
        log_info("engine", "clearing snapshot {} of no container", key);
        if (auto gone = images.remove_snapshot(key); !gone)
            log_warning("engine", "snapshot {}: {}", key, gone.error().to_string());
    }
    for (const auto& path : stray_cgroups()) {
        const linux::Cgroup group = host->cgroups.open(path);
        auto gone = group.kill_all();
        if (gone) gone = group.remove();
        if (!gone) log_warning("engine", "cgroup {}: {}", path, gone.error().to_string());
    }
}

std::vector<std::string> Engine::Impl::find_leaks() const {
    std::vector<std::string> leaks;
    std::set<std::string> container_ids, sandbox_ids;
    {
        std::lock_guard lock(mutex);
        for (const auto& [id, container] : containers) container_ids.insert(id);
        for (const auto& [id, sandbox] : sandboxes) sandbox_ids.insert(id);
    }
    for (const auto& key : images.snapshots())
        if (!container_ids.contains(key)) leaks.push_back("snapshot " + key);
    for (const auto& path : stray_cgroups()) leaks.push_back("cgroup " + path);
    for (const auto& id : names_in(options.root + "/engine/sandboxes"))
        if (!sandbox_ids.contains(id)) leaks.push_back("folder " + sandbox_dir(id));
    for (const auto& id : names_in(options.root + "/engine/containers"))
        if (!container_ids.contains(id)) leaks.push_back("folder " + container_dir(id));
    if (network)
        for (const auto& attachment : network->attachments())
            if (!sandbox_ids.contains(attachment.id)) leaks.push_back("link " + attachment.link);
    const std::string prefix = options.root + "/engine/sandboxes/";
    const std::string snapshots = options.root + "/image/snapshots/";
    if (auto table = linux::read_mount_table()) {
        for (const auto& mount : *table) {
            const std::string& path = mount.mount_point;
            auto unknown = [&](const std::string& base, const std::set<std::string>& owners) {
                if (!path.starts_with(base)) return false;
                return !owners.contains(
                    path.substr(base.size(), path.find('/', base.size()) - base.size()));
            };
            if (unknown(prefix, sandbox_ids) || unknown(snapshots, container_ids))
                leaks.push_back("mount " + path);
        }
    }
    return leaks;
}

} // namespace cloudlet::engine
