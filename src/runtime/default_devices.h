#pragma once
// The devices that every container may use, whatever its rules say: null, zero, full, random,
// urandom, tty, console, ptmx and pts. Making nodes is allowed for all, using them is not, as runc
// has it.

#include <vector>

#include "cloudlet/linux/cgroup.h"

namespace cloudlet::runtime {

std::vector<linux::DeviceRule> default_device_rules();

} // namespace cloudlet::runtime
