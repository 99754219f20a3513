#pragma once
// A small machine for tests: a temporary root, an image of Debian's static busybox, an engine.
// Everything it makes is gone when it is destroyed, also after a failed test.

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "cloudlet/engine/engine.h"
#include "cloudlet/image/image_store.h"
#include "cloudlet/io/event_loop.h"
#include "cloudlet/io/file.h"
#include "cloudlet/io/process.h"
#include "cloudlet/linux/cgroup.h"
#include "cloudlet/linux/mount.h"

namespace cloudlet::engine {

/// A tar of a root file system: busybox and the commands that tests use.
inline std::string make_busybox_tar(const std::string& folder) {
    const std::string root = folder + "/rootfs";
    for (const char* name : {"/bin", "/etc", "/tmp", "/root", "/proc", "/sys", "/dev", "/var"})
        EXPECT_TRUE(io::make_directories(root + name));
    const auto copied =
        io::run({"cp", "/bin/busybox", root + "/bin/busybox"}, std::chrono::seconds(10));
    EXPECT_TRUE(copied && copied->exit_status.ok());
    for (const char* name : {"sh",    "cat",  "echo",     "sleep", "true", "false", "id",
                             "ls",    "env",  "hostname", "test",  "kill", "touch", "printf",
                             "httpd", "wget", "head",     "mount", "stty", "grep",  "ps"})
        EXPECT_EQ(::symlink("busybox", (root + "/bin/" + name).c_str()), 0);
    EXPECT_TRUE(io::write_file_atomic(
        root + "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/var:/bin/sh\n"));
    EXPECT_TRUE(io::write_file_atomic(root + "/etc/group", "root:x:0:\nweb:x:1000:\n"));
    const std::string tar = folder + "/busybox.tar";
    const auto packed = io::run({"tar", "-C", root, "-cf", tar, "."}, std::chrono::seconds(20));
    EXPECT_TRUE(packed && packed->exit_status.ok());
    EXPECT_TRUE(io::remove_tree(root));
    return tar;
}

class TestWorld {
public:
    TestWorld() : instance("t" + std::to_string(::getpid())) {
        root = io::make_temporary_directory("/tmp/cloudlet-engine-").value();
        const std::string tar = make_busybox_tar(root);
        loop = io::LoopThread::start("test").value();
        images = image::ImageStore::open(root).value();
        image = images->import(tar, "busybox").value().id;
        open();
    }

    ~TestWorld() {
        if (!images) images = image::ImageStore::open(root).value();
        if (!engine) open();
        if (auto removed = engine->remove_all(); !removed)
            ADD_FAILURE() << removed.error().to_string();
        const auto leaks = engine->find_leaks();
        EXPECT_TRUE(leaks.empty()) << leaks.front();
        engine.reset();
        images.reset();
        (void)linux::unmount_all(root);
        EXPECT_TRUE(io::remove_tree(root));
        const auto cgroups = linux::CgroupHost::probe().value();
        for (const auto& hierarchy : cgroups.hierarchies())
            EXPECT_FALSE(io::exists(hierarchy.mount_point + "/cloudlet-" + instance))
                << hierarchy.mount_point;
    }

    void open() {
        engine =
            Engine::open({.root = root, .instance_id = instance}, loop->loop(), *images, nullptr)
                .value();
    }
    /// As if the daemon had been restarted.
    void reopen() {
        engine.reset();
        open();
    }

    std::string sandbox(const std::string& id = "pod-1") {
        SandboxConfig config;
        config.id = id;
        config.name = id;
        config.ns = "default";
        config.hostname = id;
        config.host_network = true; // these tests need no network of their own
        const auto made = engine->create_sandbox(config);
        EXPECT_TRUE(made) << (made ? "" : made.error().to_string());
        return id;
    }

    ContainerConfig shell(const std::string& script, const std::string& name = "main") {
        ContainerConfig config;
        config.name = name;
        config.sandbox = "pod-1";
        config.image = image;
        config.command = {"/bin/sh", "-c", script};
        return config;
    }

    ContainerInfo run(const ContainerConfig& config) {
        auto created = engine->create(config);
        EXPECT_TRUE(created) << (created ? "" : created.error().to_string());
        if (!created) return {};
        auto started = engine->start(created->id);
        EXPECT_TRUE(started) << (started ? "" : started.error().to_string());
        return engine->inspect(created->id).value();
    }

    /// Waits for its end.
    ContainerInfo ended(const std::string& id) {
        const auto limit = system_clock().monotonic() + std::chrono::seconds(20);
        while (system_clock().monotonic() < limit) {
            const auto info = engine->inspect(id).value();
            if (info.state == ContainerState::exited) return info;
            ::usleep(2000);
        }
        ADD_FAILURE() << "container did not end";
        return engine->inspect(id).value();
    }

    /// What a script printed, one string without the CRI prefixes.
    std::string output(const ContainerInfo& info) {
        std::string text;
        const std::string log = io::read_file(info.log_path).value_or("");
        for (size_t begin = 0; begin < log.size();) {
            const size_t end = std::min(log.find('\n', begin), log.size());
            const std::string line = log.substr(begin, end - begin);
            size_t at = 0;
            for (int i = 0; i < 3 && at != std::string::npos; ++i) at = line.find(' ', at) + 1;
            text += line.substr(at) + "\n";
            begin = end + 1;
        }
        return text;
    }

    std::string print(const std::string& script) { return print(shell(script)); }
    std::string print(const ContainerConfig& config) {
        const auto info = run(config);
        const auto end = ended(info.id);
        const std::string text = output(end);
        EXPECT_TRUE(engine->remove(info.id));
        return text;
    }

    std::string root, instance, image;
    std::unique_ptr<io::LoopThread> loop;
    std::unique_ptr<image::ImageStore> images;
    std::unique_ptr<Engine> engine;
};

} // namespace cloudlet::engine
