#pragma once
// `osdmaptool` as a function: create, show, change and test OSD maps, with the options, the output
// and the exit status of Ceph 16.2's. What keeps a map from placing its PGs is named on the error
// stream with the remedy, so that the output stays the same.
//
// It blocks, reads and writes the files that its arguments name, and may be called from any thread.

#include <span>
#include <string>

#include "cloudlet/rados/crushtool.h"

namespace cloudlet::rados {

/// Runs one command line (without the program's name); gives the exit status.
int osdmaptool(std::span<const std::string> arguments, const ToolStreams& streams);

} // namespace cloudlet::rados
