#pragma once
// Commands that are programs of their own elsewhere and keep their own command line: they are
// called as `cloudlet NAME ...`, or through a link to cloudlet of that name.

#include <optional>

namespace cloudlet::app {

/// Runs the tool that the command line names and gives its exit status; nothing when it names none.
std::optional<int> run_tool(int argc, char** argv);

} // namespace cloudlet::app
