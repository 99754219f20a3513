#pragma once
// cloudlet-init and cloudlet-monitor as sealed memory files: made at first use, one per process,
// and shared by every container. A container can never write to them (CVE-2019-5736).

#include "cloudlet/base/result.h"

namespace cloudlet::runtime {

/// Close-on-exec descriptors that stay open for the life of the process. Thread-safe.
Result<int> init_program();
Result<int> monitor_program();

} // namespace cloudlet::runtime
