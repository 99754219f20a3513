#pragma once
// A process that the command stays with: signals are passed on, a terminal is relayed, and the exit
// status is the process's.

#include "cloudlet/base/result.h"
#include "cloudlet/io/fd.h"

namespace cloudlet::runtime {

/// Blocks the signals that stay_with() passes on; call before the process exists, so that none is
/// lost.
void block_session_signals();

/// Waits until `pid`, a child of ours, has ended; returns its exit status (128 + signal).
/// `terminal` is its terminal's master side, or nothing.
Result<int> stay_with(int pid, io::UniqueFd terminal);

} // namespace cloudlet::runtime
