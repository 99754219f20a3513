#pragma once
// The engine: containers as users know them. A sandbox is a pod's shared namespaces, pinned by bind
// mounts; a container is an image's snapshot, a process tree under a monitor, a log and a record.
//
// Records are files below <root>/engine, complete or absent, written before what they describe is
// made and removed after it is gone. open() is recovery: it adopts what runs, learns the exits that
// happened while nobody watched, and clears what was half made. Containers outlive the engine.
//
// Every call blocks (milliseconds) and belongs on a worker thread. All are thread-safe; calls for
// different sandboxes run side by side, calls for one container one after the other.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/engine/types.h"
#include "cloudlet/io/fd.h"

namespace cloudlet::io {
class EventLoop;
}
namespace cloudlet::image {
class ImageStore;
}
namespace cloudlet::network {
class PodNetwork;
}

namespace cloudlet::engine {

struct EngineOptions {
    std::string root{};        // state lives in <root>/engine
    std::string instance_id{}; // names the instance's cgroup "cloudlet-<id>"
};

/// What an exec in a running container starts.
struct ExecConfig {
    std::vector<std::string> command{};
    std::vector<std::string> env{}; // added over the container's
    std::string working_dir{};      // empty: the container's
    std::string user{};             // empty: the container's
    bool terminal = false;
    bool with_stdin = false;
};

/// A process started in a running container. The streams are ours to read and write; closing
/// `stdin_writer` is end of input. With a terminal, `terminal` is its master side and the others
/// are empty. Destroying the object leaves the process running. Thread-safe except for the
/// descriptors.
class Exec {
public:
    virtual ~Exec() = default;
    io::UniqueFd stdin_writer, stdout_reader, stderr_reader, terminal;

    /// Runs once, on the loop thread, when the process ended (128+n for a signal); at once if it
    /// has.
    virtual void on_exit(std::function<void(int exit_code)> callback) = 0;
    virtual Result<> resize(uint16_t rows, uint16_t columns) = 0;
    virtual Result<> kill(int signal) = 0;
};

class Engine {
public:
    /// Opens (and recovers) the engine's state. The loop, store and network must outlive it.
    /// `network` may be null: then only sandboxes with host_network can be made.
    static Result<std::unique_ptr<Engine>> open(EngineOptions options, io::EventLoop& loop,
                                                image::ImageStore& images,
                                                network::PodNetwork* network);
    ~Engine(); // containers keep running

    /// Told of every exit, on the loop thread; must not block. Exits found by open() are told to
    /// the first callback at once. One callback; set it before starting containers.
    void on_exit(std::function<void(const ContainerInfo&)> callback);

    /// Makes namespaces, network, files and cgroup. Idempotent for one id: an existing sandbox is
    /// returned. Nothing is left behind on failure.
    Result<SandboxInfo> create_sandbox(const SandboxConfig& config);
    Result<SandboxInfo> inspect_sandbox(const std::string& id) const;
    std::vector<SandboxInfo> sandboxes() const;
    /// Removes its containers (killing those that run), then the sandbox. Idempotent.
    Result<> remove_sandbox(const std::string& id);

    /// Makes the record and the file system, starts nothing. Error: not_found for an unknown
    /// image or sandbox, already_exists for a name taken in the sandbox, invalid.
    Result<ContainerInfo> create(const ContainerConfig& config);
    /// Starts a created container. On failure the container is `exited` with its error.
    Result<ContainerInfo> start(const std::string& id);
    /// Sends a signal to the container's first process. Error: conflict when it does not run.
    Result<> kill(const std::string& id, int signal);
    /// Stop signal, then SIGKILL after `grace`; returns when it ended. Blocks up to grace + 10 s.
    Result<> stop(const std::string& id, Duration grace);
    /// Kills if it runs, then removes record, file system, cgroup and (unless `keep_log`) log.
    Result<> remove(const std::string& id, bool keep_log = false);
    Result<ContainerInfo> inspect(const std::string& id) const;
    std::vector<ContainerInfo> list() const;
    std::vector<ContainerInfo> list(const std::string& sandbox) const;
    Result<std::shared_ptr<Exec>> exec(const std::string& id, const ExecConfig& config);
    Result<ContainerStats> stats(const std::string& id) const;
    /// The merged root file system, to look into from the host (with openat2 RESOLVE_IN_ROOT only).
    Result<std::string> rootfs(const std::string& id) const;
    /// Told whether an image is in use by a container.
    bool uses_image(const std::string& image_id) const;

    /// Kills and removes everything of this instance (for `down --purge`).
    Result<> remove_all();
    /// Compares records with the machine: one line for every mount, cgroup, pin, snapshot or
    /// process of ours that no record explains. Empty when all is well.
    std::vector<std::string> find_leaks() const;

private:
    struct Impl;
    explicit Engine(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace cloudlet::engine
