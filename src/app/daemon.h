#pragma once
// The daemon: the one place where the rooms are wired together. start() is the story of a cloud's
// start, from the lock on its folder to a Ready node; the destructor is the same story backwards.
// Containers are not the daemon's children in any sense that matters: they go on without it, and
// the next start adopts them.

#include <functional>
#include <memory>
#include <string>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"
#include "settings.h"

namespace cloudlet::app {

class Daemon {
public:
    /// Brings everything up and returns when the node is Ready. On failure nothing of this start is
    /// left but files of the root. Errors say what to do; conflict when the root is in use.
    static Result<std::unique_ptr<Daemon>> start(const Settings& settings);
    ~Daemon();

    /// Blocks until SIGTERM, SIGINT or a stop request on the control socket.
    void wait_for_stop();

private:
    struct Parts;
    explicit Daemon(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

/// The whole life of the daemon process: logs to the root's file, starts, writes "ready\n" or
/// "error: ...\n" to `ready_fd` (and closes it), waits, stops. Returns the exit status.
int run_daemon(const Settings& settings, int ready_fd);

} // namespace cloudlet::app
