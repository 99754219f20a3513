#pragma once
// Kernel settings under /proc/sys, named by path: "net/ipv4/ip_forward". Settings below net/ are
// those of the calling thread's network namespace. Thread-safe.

#include <string>
#include <string_view>

#include "cloudlet/base/result.h"

namespace cloudlet::linux {

/// The value without its final newline. Error: not_found when this kernel has no such setting.
Result<std::string> read_sysctl(std::string_view name);

/// Error: not_found, forbidden (a read-only /proc/sys), invalid.
Result<> write_sysctl(std::string_view name, std::string_view value);

} // namespace cloudlet::linux
