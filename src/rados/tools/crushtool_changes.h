#pragma once
// The modification stage of crushtool.

#include "cloudlet/rados/crush_map.h"
#include "crushtool_options.h"
#include "tool_output.h"

namespace cloudlet::rados {

/// Carries out every change of the options. Gives the exit status; anything but 0 ends the command.
/// `changed` tells whether there is something to write.
struct CrushChangeOutcome {
    int status = 0;
    bool ends_command = false;
};
CrushChangeOutcome change_crush_map(CrushMap& map, const CrushtoolOptions& options,
                                    ToolOutput& output);

} // namespace cloudlet::rados
