#pragma once
// The sysctls that routing pods needs, and their former values. Several instances share one node:
// the first one that changes a value remembers what was there, the last one that goes puts it back.
// The memory is a file under run_dir named for the network namespace; like the values, it ends at
// reboot.

#include <string>

#include "cloudlet/base/result.h"

namespace cloudlet::network {

/// Turns IPv4 forwarding on, remembering first what changes with it.
Result<> enable_forwarding(const std::string& run_dir);

/// Puts the remembered values back and forgets them. Done when nothing is remembered.
Result<> restore_settings(const std::string& run_dir);

} // namespace cloudlet::network
