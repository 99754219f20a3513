#include "teardown.h"

#include <algorithm>
#include <cstdlib>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>

#include "cloudlet/base/log.h"
#include "cloudlet/engine/engine.h"
#include "cloudlet/image/image_store.h"
#include "cloudlet/io/event_loop.h"
#include "cloudlet/io/file.h"
#include "cloudlet/kube/node/node_agent.h"
#include "cloudlet/network/pod_network.h"
#include "machine.h"

namespace cloudlet::app {
namespace {

/// The pod's own grace (the node agent labels its sandbox with it), but never more than `most`.
Duration grace_of(const engine::Engine& engine, const engine::ContainerInfo& container,
                  Duration most) {
    auto sandbox = engine.inspect_sandbox(container.config.sandbox);
    if (!sandbox) return most;
    auto label = sandbox->config.labels.find("grace");
    if (label == sandbox->config.labels.end()) return most;
    return std::min<Duration>(
        most, std::chrono::seconds(std::strtol(label->second.c_str(), nullptr, 10)));
}

void stop_containers(engine::Engine& engine, Duration most) {
    std::vector<std::thread> stopping; // a few hundred at most, each mostly waits
    for (const auto& container : engine.list())
        stopping.emplace_back(
            [&engine, id = container.id, grace = grace_of(engine, container, most)] {
                auto stopped = engine.stop(id, grace);
                if (!stopped && stopped.error().code != Code::conflict &&
                    stopped.error().code != Code::not_found)
                    log_warning("app", "stop {}: {}", id, stopped.error().to_string());
            });
    for (auto& thread : stopping) thread.join();
}

/// Monitors write the last record after their container ended; then they end themselves.
Result<> wait_for_monitors(const std::vector<OwnProcess>& processes) {
    for (const auto& process : processes)
        if (process.name.starts_with("cloudlet-monito"))
            TRY(with_context(wait_for_end(process.pid, std::chrono::seconds(10)), "a monitor"));
    return {};
}

} // namespace

Result<> stop_everything(const Settings& settings, Duration grace, const Report& report) {
    if (!io::exists(settings.marker())) return {};
    auto lock =
        TRY(with_context(io::FileLock::acquire(settings.lock_file()), "the daemon still runs"));
    TRY(io::make_directories(settings.run_dir()));
    auto network = TRY(settings.network_options());
    auto images = TRY(image::ImageStore::open(settings.root));
    {
        auto loop = TRY(io::LoopThread::start("loop"));
        auto engine =
            TRY(engine::Engine::open({.root = settings.root, .instance_id = settings.instance},
                                     loop->loop(), *images, nullptr));
        report(fmt::format("stopping {} containers", engine->list().size()));
        stop_containers(*engine, grace);
        auto processes = own_processes(0, settings.run_dir(), settings.root);
        TRY(engine->remove_all());
        TRY(wait_for_monitors(processes));
        TRY(kube::node::unmount_volumes(settings.root));
    }
    report("removing the network");
    TRY(network::PodNetwork::teardown(network));
    TRY(images->unmount_all());
    images.reset();
    return io::remove_tree(settings.run_dir());
}

Result<> purge_files(const Settings& settings) {
    if (io::exists(settings.root)) {
        if (!io::exists(settings.marker()))
            return fail(
                Code::conflict,
                fmt::format("{} is not a cloud's folder ({} is missing): nothing was removed",
                            settings.root, settings.marker()));
        // The marker goes last, so that an interrupted purge can be repeated.
        for (const auto& name : TRY(io::list_directory(settings.root)))
            if (name != "cloudlet.json") TRY(io::remove_tree(settings.root + "/" + name));
        TRY(io::remove_tree(settings.root));
    }
    rmdir("/run/cloudlet"); // only when no other instance uses it
    return {};
}

} // namespace cloudlet::app
