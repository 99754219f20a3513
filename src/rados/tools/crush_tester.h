#pragma once
// `crushtool --test` and `--compare`: maps a range of inputs by each rule and tells what came out.

#include "cloudlet/rados/crush_mapper.h"
#include "crushtool_options.h"
#include "tool_output.h"

namespace cloudlet::rados {

/// Error: Code::invalid when the map cannot be walked, Code::io when a CSV file cannot be written.
Result<void> test_crush_map(const CrushMap& map, const CrushTestOptions& options,
                            ToolOutput& output);

/// Whether both maps place alike what the options tell to test; says so for each rule.
Result<bool> compare_crush_maps(const CrushMap& map, const CrushMap& other,
                                const CrushTestOptions& options, ToolOutput& output);

/// How many devices a rule can reach at most: the fewest buckets of a type that it chooses.
int32_t most_devices_of_rule(const CrushMap& map, const CrushRule& rule);

/// A weight for each device: what was given, else 1 for those in the tree.
std::vector<uint32_t> device_weights(const CrushMap& map, const CrushTestOptions& options);

} // namespace cloudlet::rados
