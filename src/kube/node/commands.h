#pragma once
// Short commands in a container, as probes and life-cycle hooks need them: run, with a deadline,
// the first bytes of the output kept.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cloudlet/engine/engine.h"
#include "cloudlet/io/event_loop.h"

namespace cloudlet::kube::node {

struct CommandResult {
    int exit_code = 0;
    std::string output; // stdout and stderr together, at most 10 KiB
};

/// Starts the command (blocks for milliseconds, so not on the loop) and returns. The callback runs
/// once, on the loop thread. Errors: what Engine::exec says; timeout, and the process is killed.
void run_command(engine::Engine& engine, io::EventLoop& loop, const std::string& container_id,
                 std::vector<std::string> command, Duration deadline,
                 std::function<void(Result<CommandResult>)> callback);

} // namespace cloudlet::kube::node
