#pragma once
// CRUSH maps as bytes: the format of `crushtool -o` and of the map inside an OSD map (Ceph 16.2,
// with device classes and choose_args). A file that Ceph wrote reads and writes back byte for byte.
//
// What decodes is safe to walk: ids fit their slots, every item is a bucket of the map or a device,
// no bucket lies below itself, counts are bounded. Pure, thread-safe.

#include <cstddef>
#include <string>
#include <string_view>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/crush_map.h"

namespace cloudlet::rados {

/// What a map may hold at most; more is refused as hostile.
inline constexpr size_t crush_max_buckets = 1 << 16;
inline constexpr size_t crush_max_rules = 256;
inline constexpr size_t crush_max_bucket_size = 1 << 16;
inline constexpr size_t crush_max_rule_steps = 4096;

/// Reads a whole file. Error: Code::invalid, with the byte offset and what is wrong there.
Result<CrushMap> decode_crush_map(std::string_view bytes);

/// Writes the map with all its tunables, classes and choose_args.
std::string encode_crush_map(const CrushMap& map);

/// What decode_crush_map() checks beyond the format: for maps that came another way (text, edits).
/// The message names the bucket.
Result<void> check_crush_map(const CrushMap& map);

} // namespace cloudlet::rados
