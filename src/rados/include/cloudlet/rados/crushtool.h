#pragma once
// `crushtool` as a function: compile, decompile, build, change, show and test CRUSH maps, with the
// options, the output and the exit status of Ceph 16.2's. What Ceph leaves the reader to find out
// (why a rule places nothing) is named on the error stream, so that the output stays the same.
//
// It blocks, reads and writes the files that its arguments name, and may be called from any thread.

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace cloudlet::rados {

/// Where a command writes. A progress bar is drawn on `err` when a person watches it.
struct ToolStreams {
    std::function<void(std::string_view)> out;
    std::function<void(std::string_view)> err;
    bool err_is_terminal = false;
};

/// Runs one command line (without the program's name); gives the exit status.
int crushtool(std::span<const std::string> arguments, const ToolStreams& streams);

} // namespace cloudlet::rados
