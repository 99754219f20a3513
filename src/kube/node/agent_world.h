#pragma once
// A node for tests: a real engine with a busybox image, the agent over it, an API in memory. Pods
// use the machine's network. Everything is gone afterwards.

#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>

#include "cloudlet/api/informer.h"
#include "cloudlet/engine/engine.h"
#include "cloudlet/image/image_store.h"
#include "cloudlet/io/event_loop.h"
#include "cloudlet/io/file.h"
#include "cloudlet/io/process.h"
#include "cloudlet/kube/node/node_agent.h"
#include "cloudlet/linux/mount.h"
#include "cloudlet/network/pod_network.h"
#include "cloudlet/network/service_proxy.h"
#include "fake_api.h"

namespace cloudlet::kube::node {

inline std::string busybox_tar(const std::string& folder) {
    const std::string root = folder + "/rootfs";
    for (const char* name : {"/bin", "/etc", "/tmp", "/dev", "/proc", "/sys"})
        EXPECT_TRUE(io::make_directories(root + name));
    EXPECT_TRUE(io::run({"cp", "/bin/busybox", root + "/bin/busybox"}, std::chrono::seconds(10)));
    for (const char* name : {"sh", "cat", "echo", "sleep", "true", "test", "touch", "env", "printf",
                             "ls", "httpd", "hostname"})
        EXPECT_EQ(::symlink("busybox", (root + "/bin/" + name).c_str()), 0);
    const std::string tar = folder + "/busybox.tar";
    EXPECT_TRUE(io::run({"tar", "-C", root, "-cf", tar, "."}, std::chrono::seconds(20)));
    EXPECT_TRUE(io::remove_tree(root));
    return tar;
}

enum class Network { machines, own };

class AgentWorld {
public:
    explicit AgentWorld(Network kind = Network::machines)
        : instance("n" + std::to_string(::getpid())) {
        root = io::make_temporary_directory("/tmp/cloudlet-node-").value();
        loop = io::LoopThread::start("test").value();
        images = image::ImageStore::open(root).value();
        EXPECT_TRUE(images->import(busybox_tar(root), "busybox:1"));
        if (kind == Network::own) {
            network_options = {.instance_id = instance, .run_dir = root + "/run"};
            network = network::PodNetwork::open(network_options).value();
            proxy = network::ServiceProxy::open(network_options).value();
        }
        api.on_pod = [this](const api::Object& pod) {
            std::lock_guard lock(mutex);
            latest[std::string(pod.name())] = pod;
            changed.notify_all();
        };
        up();
    }

    ~AgentWorld() {
        down();
        up();
        const auto pods = api.list(api::resources::pods, "", {}).value();
        for (const auto& pod : pods.items)
            EXPECT_TRUE(api.remove(api::resources::pods, pod.key(),
                                   {.grace_period_seconds = 1,
                                    .propagation_policy = {},
                                    .uid = {},
                                    .resource_version = {}}));
        EXPECT_TRUE(wait([&] { return api.list(api::resources::pods, "", {})->items.empty(); }))
            << "pods did not end: " << remaining();
        down();
        engine = open_engine();
        EXPECT_TRUE(engine->list().empty());
        const auto leaks = engine->find_leaks();
        EXPECT_TRUE(leaks.empty()) << leaks.front();
        EXPECT_TRUE(engine->remove_all());
        engine.reset();
        if (network) {
            EXPECT_TRUE(network->attachments().empty());
            EXPECT_TRUE(network->teardown());
        }
        images.reset();
        (void)linux::unmount_all(root);
        EXPECT_TRUE(io::remove_tree(root));
    }

    std::string remaining() {
        std::string text;
        const auto pods = api.list(api::resources::pods, "", {}).value();
        for (const auto& pod : pods.items) text += pod.json().dump_pretty() + "\n";
        for (const auto& info : engine->list())
            text += fmt::format("container {} is in state {}\n", info.config.name,
                                static_cast<int>(info.state));
        return text;
    }

    std::unique_ptr<engine::Engine> open_engine() {
        return engine::Engine::open({.root = root, .instance_id = instance}, loop->loop(), *images,
                                    network.get())
            .value();
    }

    void up() {
        engine = open_engine();
        informers = std::make_unique<api::InformerSet>(api);
        NodeAgentOptions options;
        options.node_name = "n1";
        options.root = root;
        options.node_ip = "127.0.0.1";
        options.version = "v1.32.0";
        agent = NodeAgent::create(options, {.informers = *informers,
                                            .engine = *engine,
                                            .images = *images,
                                            .loop = loop->loop(),
                                            .proxy = proxy.get()})
                    .value();
        const auto started = agent->start();
        EXPECT_TRUE(started) << (started ? "" : started.error().to_string());
    }

    /// As if the daemon had ended; containers go on.
    void down() {
        if (!agent) return;
        agent->stop();
        informers->stop();
        agent.reset();
        informers.reset();
        engine.reset();
    }

    /// A pod of one container that runs a shell script; `more` is merged over the container.
    api::Object pod(const std::string& name, const std::string& script,
                    codec::Json more = codec::Json::object(),
                    codec::Json spec_more = codec::Json::object()) {
        codec::Json container = codec::Json::object({{"name", "main"}, {"image", "busybox:1"}});
        container.set("command", codec::Json::array({"/bin/sh", "-c", codec::Json(script)}));
        container = api::apply_merge_patch(container, more);
        codec::Json spec = codec::Json::object(
            {{"nodeName", "n1"}, {"hostNetwork", !network}, {"terminationGracePeriodSeconds", 1}});
        spec.set("containers", codec::Json::array({std::move(container)}));
        spec = api::apply_merge_patch(spec, spec_more);
        codec::Json json =
            codec::Json::object({{"metadata", codec::Json::object({{"name", name}})}});
        json.set("spec", std::move(spec));
        return api.create(api::resources::pods, "default", std::move(json)).value();
    }

    /// Waits until the predicate on the pod's newest state holds.
    bool wait_pod(const std::string& name,
                  const std::function<bool(const api::Object&)>& predicate) {
        std::unique_lock lock(mutex);
        const bool held = changed.wait_for(lock, std::chrono::seconds(30),
                                           [&] { return predicate(latest[name]); });
        if (!held) ADD_FAILURE() << latest[name].status().dump_pretty();
        return held;
    }
    bool wait_phase(const std::string& name, const std::string& phase) {
        return wait_pod(name, [&](const api::Object& pod) {
            return pod.status()["phase"].as_string() == phase;
        });
    }
    template <typename Predicate>
    bool wait(Predicate predicate) {
        const auto limit = system_clock().monotonic() + std::chrono::seconds(30);
        while (!predicate() && system_clock().monotonic() < limit) ::usleep(2000);
        return predicate();
    }
    codec::Json container(const std::string& name) {
        std::lock_guard lock(mutex);
        return latest[name].status()["containerStatuses"][0];
    }
    std::string log(const api::Object& pod, int attempt = 0) {
        return io::read_file(root + "/log/pods/default_" + std::string(pod.name()) + "_" +
                             std::string(pod.uid()) + "/main/" + std::to_string(attempt) + ".log")
            .value_or("");
    }

    std::string root, instance;
    FakeApi api;
    std::unique_ptr<io::LoopThread> loop;
    std::unique_ptr<image::ImageStore> images;
    network::NetworkOptions network_options;
    std::unique_ptr<network::PodNetwork> network;
    std::unique_ptr<network::ServiceProxy> proxy;
    std::unique_ptr<engine::Engine> engine;
    std::unique_ptr<api::InformerSet> informers;
    std::unique_ptr<NodeAgent> agent;
    std::mutex mutex;
    std::condition_variable changed;
    std::map<std::string, api::Object> latest;
};

} // namespace cloudlet::kube::node
