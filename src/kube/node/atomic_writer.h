#pragma once
// A folder whose files change all at once (kubelet pkg/volume/util/atomic_writer.go):
//
//   <dir>/..2026_01_02_03_04_05.123456/a/b   the payload
//   <dir>/..data -> ..2026_...               renamed into place: the one atomic step
//   <dir>/a -> ..data/a                      what the container sees

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"

namespace cloudlet::kube::node {

struct PayloadFile {
    std::string bytes;
    unsigned mode = 0644;
    bool operator==(const PayloadFile&) const = default;
};
/// Relative path ("dir/file", no "..") -> file.
using Payload = std::map<std::string, PayloadFile>;

/// Makes the folder hold exactly this payload; does nothing when it does already. `group`: owner
/// group of files and folders, and they become group-readable. Returns whether anything changed.
/// Error: invalid for a path that leaves the folder.
Result<bool> write_payload(const std::string& directory, const Payload& payload,
                           std::optional<int64_t> group, WallTime now);

} // namespace cloudlet::kube::node
