#pragma once
// Makes a container's process with a compiled plan and hears how it went.

#include <string>

#include "cloudlet/base/result.h"
#include "cloudlet/io/fd.h"
#include "cloudlet/runtime/plan.h"

namespace cloudlet::runtime {

struct Launched {
    int pid = 0; // our child
    io::UniqueFd terminal;
};

/// Why a program could not be executed becomes the command's exit status: 127, 126, or 1.
struct LaunchFailure {
    Error error;
    int exit_code = 1;
};

/// Returns once init waits at its barrier, or, in a plan without one, once the program runs. A
/// process that failed is reaped. `start_listener` is the barrier's listening socket, or -1.
tl::expected<Launched, LaunchFailure> launch(const Plan& plan, int start_listener);

} // namespace cloudlet::runtime
