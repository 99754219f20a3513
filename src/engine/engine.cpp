#include "cloudlet/engine/engine.h"

#include "cloudlet/base/log.h"
#include "impl.h"

namespace cloudlet::engine {

Engine::Impl::~Impl() {
    janitor.reset();
    loop.call([this] {
        for (auto& [id, container] : containers) {
            if (container->watch_id) loop.unwatch(container->watch_id);
            container->watch = {};
        }
    });
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::open(EngineOptions options, io::EventLoop& loop,
                                             image::ImageStore& images,
                                             network::PodNetwork* network) {
    if (options.root.empty() || options.instance_id.empty())
        return fail(Code::invalid, "engine: root and instance id are needed");
    auto impl = std::make_unique<Impl>(std::move(options), loop, images, network);
    impl->host = TRY(runtime::Host::probe());
    for (const auto& line : impl->host->cgroups.missing()) log_info("engine", "{}", line);
    impl->janitor = std::make_unique<io::WorkerPool>("janitor", 1, 4096);
    TRY(with_context(impl->recover(), "recovery of " + impl->options.root + "/engine"));
    return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

void Engine::on_exit(std::function<void(const ContainerInfo&)> callback) {
    std::vector<ContainerInfo> untold;
    {
        std::lock_guard lock(impl_->mutex);
        impl_->exit_callback = callback;
        if (callback) untold = std::exchange(impl_->untold_exits, {});
    }
    if (untold.empty()) return;
    impl_->loop.post([callback, untold = std::move(untold)] {
        for (const auto& info : untold) callback(info);
    });
}

Result<std::shared_ptr<Container>> Engine::Impl::find(const std::string& id) const {
    std::lock_guard lock(mutex);
    auto found = containers.find(id);
    if (found == containers.end())
        return fail(Code::not_found, "container \"" + id + "\" not found");
    return found->second;
}

std::shared_ptr<Sandbox> Engine::Impl::find_sandbox(const std::string& id) const {
    std::lock_guard lock(mutex);
    auto found = sandboxes.find(id);
    return found == sandboxes.end() ? nullptr : found->second;
}

Result<SandboxInfo> Engine::create_sandbox(const SandboxConfig& config) {
    return with_context(impl_->create_sandbox(config), "sandbox " + config.name);
}

Result<SandboxInfo> Engine::inspect_sandbox(const std::string& id) const {
    std::lock_guard lock(impl_->mutex);
    auto found = impl_->sandboxes.find(id);
    if (found == impl_->sandboxes.end() || !found->second->complete)
        return fail(Code::not_found, "sandbox \"" + id + "\" not found");
    return found->second->info;
}

std::vector<SandboxInfo> Engine::sandboxes() const {
    std::vector<SandboxInfo> all;
    std::lock_guard lock(impl_->mutex);
    for (const auto& [id, sandbox] : impl_->sandboxes)
        if (sandbox->complete) all.push_back(sandbox->info);
    return all;
}

Result<> Engine::remove_sandbox(const std::string& id) {
    return with_context(impl_->remove_sandbox(id), "removing sandbox " + id);
}

Result<ContainerInfo> Engine::create(const ContainerConfig& config) {
    return with_context(impl_->create(config), "container " + config.name);
}

Result<ContainerInfo> Engine::start(const std::string& id) { return impl_->start(id); }
Result<> Engine::kill(const std::string& id, int signal) { return impl_->kill(id, signal); }
Result<> Engine::stop(const std::string& id, Duration grace) { return impl_->stop(id, grace); }
Result<> Engine::remove(const std::string& id, bool keep_log) {
    return with_context(impl_->remove(id, keep_log), "removing container " + id);
}

Result<ContainerInfo> Engine::inspect(const std::string& id) const {
    auto container = TRY(impl_->find(id));
    std::lock_guard lock(impl_->mutex);
    return container->info;
}

std::vector<ContainerInfo> Engine::list() const {
    std::vector<ContainerInfo> all;
    std::lock_guard lock(impl_->mutex);
    for (const auto& [id, container] : impl_->containers) all.push_back(container->info);
    return all;
}

std::vector<ContainerInfo> Engine::list(const std::string& sandbox) const {
    std::vector<ContainerInfo> all;
    std::lock_guard lock(impl_->mutex);
    for (const auto& [id, container] : impl_->containers)
        if (container->info.config.sandbox == sandbox) all.push_back(container->info);
    return all;
}

Result<std::shared_ptr<Exec>> Engine::exec(const std::string& id, const ExecConfig& config) {
    return impl_->exec(id, config);
}

Result<ContainerStats> Engine::stats(const std::string& id) const {
    auto container = TRY(impl_->find(id));
    const auto stats = TRY(impl_->host->cgroups.open(container->cgroup).stats());
    return ContainerStats{
        .cpu_ns = stats.cpu_total.count(),
        .memory_bytes = static_cast<int64_t>(stats.memory_bytes),
        .memory_working_set = static_cast<int64_t>(
            stats.memory_bytes - std::min(stats.memory_bytes, stats.memory_inactive_file_bytes)),
        .pids = static_cast<int64_t>(stats.pids)};
}

Result<std::string> Engine::rootfs(const std::string& id) const {
    TRY(impl_->find(id));
    return impl_->images.snapshot_path(id);
}

bool Engine::uses_image(const std::string& image_id) const {
    std::lock_guard lock(impl_->mutex);
    return std::any_of(impl_->containers.begin(), impl_->containers.end(),
                       [&](const auto& entry) { return entry.second->info.image_id == image_id; });
}

Result<> Engine::remove_all() {
    for (const auto& container : list()) TRY(remove(container.id));
    std::vector<std::string> ids;
    {
        std::lock_guard lock(impl_->mutex);
        for (const auto& [id, sandbox] : impl_->sandboxes) ids.push_back(id);
    }
    for (const auto& id : ids) TRY(remove_sandbox(id));
    return impl_->host->cgroups.open(impl_->cgroup_root()).remove();
}

std::vector<std::string> Engine::find_leaks() const { return impl_->find_leaks(); }

} // namespace cloudlet::engine
