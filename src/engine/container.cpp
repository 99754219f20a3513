// A container's life: record and file system at create, cgroup, plan and monitor at start, its end
// told by the monitor, everything taken away again at remove.

#include <csignal>

#include <fmt/format.h>

#include "cloudlet/base/id.h"
#include "cloudlet/base/log.h"
#include "cloudlet/io/file.h"
#include "cloudlet/linux/pidfd.h"
#include "container_spec.h"
#include "impl.h"

namespace cloudlet::engine {

using namespace std::chrono_literals;

namespace {

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

} // namespace

Result<ContainerInfo> Engine::Impl::create(const ContainerConfig& given) {
    ContainerConfig config = given;
    if (config.id.empty()) config.id = new_hex_id(64);
    TRY(check_id(config.id, "container"));
    const image::Image image = TRY(images.find(config.image));
    auto container = std::make_shared<Container>();
    container->directory = container_dir(config.id);
    container->cgroup = sandbox_cgroup(config.sandbox) + "/" + config.id.substr(0, 32);
    container->image = image.config;
    if (config.log_path.empty()) config.log_path = container->directory + "/log.cri";
    container->info.config = config;
    container->info.id = config.id;
    container->info.image_id = image.id;
    container->info.log_path = config.log_path;
    container->info.created_at = system_clock().wall();
    std::unique_lock operation(container->operation);
    {
        std::lock_guard lock(mutex);
        auto sandbox = sandboxes.find(config.sandbox);
        if (sandbox == sandboxes.end() || sandbox->second->closing)
            return fail(Code::not_found, "sandbox \"" + config.sandbox + "\" not found");
        for (const auto& [id, other] : containers) {
            const ContainerConfig& its = other->info.config;
            if (id == config.id || (its.sandbox == config.sandbox && its.name == config.name))
                return fail(Code::already_exists,
                            "container \"" + config.name + "\" exists already in this sandbox");
        }
        containers.emplace(config.id, container);
    }
    const auto made = [&]() -> Result<> {
        TRY(io::make_directories(container->directory, 0711));
        const ContainerRecord record{.config = config, .created_at = container->info.created_at};
        TRY(write_record(container->directory, to_json(record)));
        TRY(images.prepare_snapshot(config.id, image.id));
        TRY(io::make_directories(parent_of(config.log_path)));
        return {};
    }();
    if (made) return container->info;
    container->removed = true;
    if (auto gone = images.remove_snapshot(config.id); !gone)
        log_warning("engine", "container {}: {}", config.id, gone.error().to_string());
    (void)io::remove_tree(container->directory); // what stays is cleared at the next start
    std::lock_guard lock(mutex);
    containers.erase(config.id);
    return tl::unexpected(made.error());
}

Result<ContainerInfo> Engine::Impl::start(const std::string& id) {
    auto container = TRY(find(id));
    std::lock_guard operation(container->operation);
    if (container->removed) return fail(Code::not_found, "container \"" + id + "\" not found");
    {
        std::lock_guard lock(mutex);
        if (container->info.state != ContainerState::created)
            return fail(Code::conflict,
                        "container \"" + id + "\" was started before; make a new one");
    }
    auto launched = launch(container);
    if (!launched) {
        // The monitor records why the program could not run; when there is no monitor, we say it.
        if (!container->followed || !wait_for_end(container, 5s))
            settle(container,
                   {.exit_code = 128,
                    .finished_at = system_clock().wall(),
                    .error = launched.error().to_string()},
                   false);
        return tl::unexpected(launched.error());
    }
    std::lock_guard lock(mutex);
    return container->info;
}

Result<> Engine::Impl::launch(const std::shared_ptr<Container>& container) {
    const ContainerConfig& config = container->info.config;
    auto sandbox = find_sandbox(config.sandbox);
    if (!sandbox) return fail(Code::not_found, "sandbox \"" + config.sandbox + "\" not found");
    const std::string root = TRY(images.mount_snapshot(config.id));
    const SpecPlaces places{
        .root = root, .sandbox_dir = sandbox_dir(config.sandbox), .cgroup = container->cgroup};
    const runtime::Spec spec =
        TRY(make_spec(config, container->image, sandbox->info.config, places));
    const auto group =
        TRY(with_context(host->cgroups.create(container->cgroup, spec.resources), "cgroup"));
    runtime::MonitorOptions monitor{.directory = container->directory,
                                    .plan =
                                        TRY(runtime::compile_plan(spec, *host,
                                                                  {.bundle = container->directory,
                                                                   .cgroup = group.files(),
                                                                   .cgroup_path = container->cgroup,
                                                                   .wait_for_start = true})),
                                    .log_path = config.log_path,
                                    .log_max_bytes = static_cast<uint64_t>(config.log_max_bytes),
                                    .log_max_files = static_cast<unsigned>(config.log_max_files),
                                    .stdin_open = config.stdin_open,
                                    .monitor_cgroup = {}};
    for (const auto& note : monitor.plan.notes)
        log_info("engine", "container {}: {}", config.name, note);
    const auto spawned = TRY(runtime::spawn_monitor(monitor));
    auto watch = spawned.connection.watch_exit();
    if (!watch) {
        (void)spawned.connection.shutdown();
        return tl::unexpected(watch.error());
    }
    follow(container, std::move(*watch));
    TRY(spawned.connection.start());
    std::lock_guard lock(mutex);
    if (container->settled) return {}; // it has ended already
    container->info.state = ContainerState::running;
    container->info.pid = spawned.pid;
    container->info.started_at = system_clock().wall();
    return {};
}

/// Has the loop tell us when the container ends.
void Engine::Impl::follow(const std::shared_ptr<Container>& container, runtime::ExitWatch watch) {
    container->followed = true;
    loop.post([this, container, held = std::make_shared<runtime::ExitWatch>(std::move(watch))] {
        container->watch = std::move(*held);
        auto id = loop.watch(container->watch.event_fd(), io::Events::readable | io::Events::hangup,
                             [this, weak = std::weak_ptr(container)](io::Events) {
                                 if (auto alive = weak.lock()) exit_seen(alive);
                             });
        if (!id) {
            log_error("engine", "container {}: watch: {}", container->info.id,
                      id.error().to_string());
            return;
        }
        container->watch_id = *id;
    });
}

void Engine::Impl::exit_seen(const std::shared_ptr<Container>& container) {
    auto record = container->watch.record(0s);
    if (!record && record.error().code == Code::timeout) return;
    loop.unwatch(container->watch_id);
    container->watch = {};
    if (record) return settle(container, *record, false);
    // The monitor was killed. Its container may live on unwatched: end it.
    const bool queued = janitor->submit([this, container] {
        if (auto killed = host->cgroups.open(container->cgroup).kill_all(); !killed)
            log_error("engine", "container {}: {}", container->info.id, killed.error().to_string());
        runtime::ExitRecord unseen{.exit_code = 137, .signal = SIGKILL, .error = {}};
        unseen.finished_at = system_clock().wall();
        settle(container, unseen, true);
    });
    if (!queued) log_error("engine", "container {} lost its monitor", container->info.id);
}

void Engine::Impl::settle(const std::shared_ptr<Container>& container,
                          const runtime::ExitRecord& record, bool lost) {
    ContainerInfo told;
    std::function<void(const ContainerInfo&)> callback;
    {
        std::lock_guard lock(mutex);
        if (container->settled) return;
        container->settled = true;
        ContainerInfo& info = container->info;
        info.state = ContainerState::exited;
        info.pid = 0;
        if (record.started_at != WallTime{}) info.started_at = record.started_at;
        info.finished_at = record.finished_at;
        info.exit_code = record.exit_code;
        info.signal = record.signal;
        info.oom_killed = record.oom_killed;
        info.error = record.error;
        info.lost = lost;
        told = info;
        callback = exit_callback;
        if (!callback) untold_exits.push_back(info);
    }
    changed.notify_all();
    if (callback) callback(told);
}

bool Engine::Impl::wait_for_end(const std::shared_ptr<Container>& container, Duration limit) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, limit, [&] { return container->settled; });
}

Result<> Engine::Impl::kill(const std::string& id, int signal) {
    auto container = TRY(find(id));
    {
        std::lock_guard lock(mutex);
        if (container->info.state != ContainerState::running)
            return fail(Code::conflict, "container \"" + id + "\" is not running");
    }
    return TRY(runtime::MonitorConnection::connect(container->directory)).kill(signal);
}

Result<> Engine::Impl::stop(const std::string& id, Duration grace) {
    auto container = TRY(find(id));
    {
        std::lock_guard lock(mutex);
        if (container->info.state != ContainerState::running) return {};
    }
    std::string name = container->info.config.stop_signal;
    if (name.empty()) name = container->image.stop_signal;
    const int signal = name.empty() ? SIGTERM : TRY(linux::parse_signal(name));
    if (grace > 0s) {
        auto sent = kill(id, signal);
        const bool ended =
            !sent && (sent.error().code == Code::conflict || sent.error().code == Code::not_found);
        if (!sent && !ended) return sent;
        if (wait_for_end(container, grace)) return {};
    }
    return end_processes(container);
}

/// SIGKILL to all there is, and wait until its end was recorded.
Result<> Engine::Impl::end_processes(const std::shared_ptr<Container>& container) {
    if (auto monitor = runtime::MonitorConnection::connect(container->directory))
        (void)monitor->shutdown();
    TRY(host->cgroups.open(container->cgroup).kill_all());
    if (container->followed && !wait_for_end(container, 10s))
        return fail(Code::timeout,
                    "container \"" + container->info.id + "\" did not end within 10 s of SIGKILL");
    return {};
}

Result<> Engine::Impl::remove(const std::string& id, bool keep_log) {
    auto found = find(id);
    if (!found)
        return found.error().code == Code::not_found ? Result<>{} : tl::unexpected(found.error());
    const auto& container = *found;
    std::lock_guard operation(container->operation);
    if (container->removed) return {};
    bool ended = false;
    {
        std::lock_guard lock(mutex);
        ended = container->settled;
    }
    if (!ended) TRY(end_processes(container));
    const linux::Cgroup group = host->cgroups.open(container->cgroup);
    TRY(group.kill_all());
    TRY(group.remove());
    TRY(images.remove_snapshot(id));
    const std::string& log = container->info.log_path;
    if (!keep_log && !log.starts_with(container->directory + "/")) {
        TRY(io::remove_file(log));
        for (int i = 1; i < container->info.config.log_max_files; ++i)
            TRY(io::remove_file(fmt::format("{}.{}", log, i)));
    }
    TRY(io::remove_tree(container->directory));
    std::lock_guard lock(mutex);
    container->removed = true;
    containers.erase(id);
    return {};
}

} // namespace cloudlet::engine
