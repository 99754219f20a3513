#pragma once
// The engine's inside, shared by its source files: what is in memory, and where things are on disk.

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "cloudlet/engine/engine.h"
#include "cloudlet/image/image_store.h"
#include "cloudlet/io/event_loop.h"
#include "cloudlet/io/worker_pool.h"
#include "cloudlet/linux/cgroup.h"
#include "cloudlet/network/pod_network.h"
#include "cloudlet/runtime/monitor_client.h"
#include "cloudlet/runtime/plan.h"
#include "records.h"

namespace cloudlet::engine {

/// A container in memory. `operation` is held during calls that change it; `info` and `watch_id`
/// are guarded by Impl::mutex, which is only ever held briefly.
struct Container {
    std::mutex operation;
    ContainerInfo info;
    image::ImageConfig image;
    std::string directory;
    std::string cgroup;
    runtime::ExitWatch watch;            // loop thread
    io::EventLoop::WatchId watch_id = 0; // loop thread
    bool followed = false;               // the loop tells us its end
    bool settled = false;                // its end was recorded in `info`; set once
    bool removed = false; // by remove(); whoever waited for `operation` finds nothing
};

struct Sandbox {
    std::mutex operation;
    SandboxInfo info;
    bool complete = false; // the record is there
    bool closing = false;  // it takes no more containers
    bool removed = false;
};

struct Engine::Impl {
    Impl(EngineOptions given, io::EventLoop& the_loop, image::ImageStore& store,
         network::PodNetwork* net)
        : options(std::move(given)), loop(the_loop), images(store), network(net) {}
    ~Impl();

    // Places.
    std::string sandbox_dir(const std::string& id) const {
        return options.root + "/engine/sandboxes/" + id;
    }
    std::string container_dir(const std::string& id) const {
        return options.root + "/engine/containers/" + id;
    }
    std::string cgroup_root() const { return "/cloudlet-" + options.instance_id; }
    std::string sandbox_cgroup(const std::string& id) const { return cgroup_root() + "/pod" + id; }
    std::string pin(const std::string& sandbox, const char* kind) const {
        return sandbox_dir(sandbox) + "/" + kind;
    }

    // Sandboxes (sandbox.cpp).
    Result<SandboxInfo> create_sandbox(const SandboxConfig& config);
    Result<> build_sandbox(Sandbox& sandbox);
    Result<> remove_sandbox(const std::string& id);
    Result<> tear_down_sandbox(const std::string& id);

    // Containers (container.cpp).
    Result<ContainerInfo> create(const ContainerConfig& config);
    Result<ContainerInfo> start(const std::string& id);
    Result<> launch(const std::shared_ptr<Container>& container);
    Result<> remove(const std::string& id, bool keep_log);
    Result<> end_processes(const std::shared_ptr<Container>& container);
    Result<> stop(const std::string& id, Duration grace);
    Result<> kill(const std::string& id, int signal);
    void follow(const std::shared_ptr<Container>& container, runtime::ExitWatch watch);
    void exit_seen(const std::shared_ptr<Container>& container);
    void settle(const std::shared_ptr<Container>& container, const runtime::ExitRecord& record,
                bool lost);
    bool wait_for_end(const std::shared_ptr<Container>& container, Duration limit);
    Result<std::shared_ptr<Exec>> exec(const std::string& id, const ExecConfig& config);

    // Recovery (recovery.cpp).
    Result<> recover();
    Result<> recover_sandboxes();
    Result<> recover_containers();
    void adopt(const std::shared_ptr<Container>& container);
    void clear_unrecorded();
    std::vector<std::string> find_leaks() const;
    std::vector<std::string> stray_cgroups() const;

    Result<std::shared_ptr<Container>> find(const std::string& id) const;
    std::shared_ptr<Sandbox> find_sandbox(const std::string& id) const;

    EngineOptions options;
    io::EventLoop& loop;
    image::ImageStore& images;
    network::PodNetwork* network;
    std::optional<runtime::Host> host;
    std::unique_ptr<io::WorkerPool> janitor; // rare slow work that the loop must not do

    mutable std::mutex mutex;
    std::condition_variable changed; // a container ended
    std::map<std::string, std::shared_ptr<Container>> containers;
    std::map<std::string, std::shared_ptr<Sandbox>> sandboxes;
    std::function<void(const ContainerInfo&)> exit_callback;
    std::vector<ContainerInfo> untold_exits; // found by open(), before there was a callback
};

/// Limits as the cgroup calls take them; zeros are left out.
linux::ResourceLimits to_resource_limits(const Limits& limits);
/// Ids name folders and cgroups. Error: Code::invalid.
Result<> check_id(const std::string& id, const char* what);

} // namespace cloudlet::engine
