#pragma once
// Reading the small files of a control group.

#include <cstdint>
#include <string>
#include <string_view>

#include "cloudlet/base/result.h"
#include "cloudlet/linux/cgroup.h"

namespace cloudlet::linux {

/// A file of one number; "max" and numbers beyond 2^62 (v1's spelling of "no limit") read as 0 when
/// `unlimited_is_zero`. 0 when the file is not there.
uint64_t read_number(const std::string& path, bool unlimited_is_zero = false);

/// The number behind `key` in a file of "key number" lines; 0 when absent.
uint64_t read_keyed(const std::string& path, std::string_view key);
/// Whether a file of words ("cpuset cpu io") has this one. Absent counts as empty.
bool file_has_word(const std::string& path, std::string_view word);

/// Replaces the device rules of a v2 group by a BPF program (cgroup_devices.cpp).
Result<> set_device_program(const std::string& folder, const std::vector<DeviceRule>& rules);

} // namespace cloudlet::linux
