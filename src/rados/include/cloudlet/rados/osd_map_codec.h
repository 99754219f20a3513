#pragma once
// OSD maps as bytes, in Ceph's own encoding: what `osdmaptool`, monitors, OSDs and clients exchange
// (the form of Nautilus to Pacific and what later releases add behind it).
//
// A map that was read writes back byte for byte: parts of newer releases are kept as they came.
// Checksums (CRC-32C over everything but themselves) are verified when read and made anew when
// written. Reading is safe for hostile bytes: nothing is allocated for a count that the bytes
// cannot hold, and messages name the offset. Pure, thread-safe.

#include <cstdint>
#include <string>
#include <string_view>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/osd_map.h"

namespace cloudlet::rados {

/// Error: Code::invalid with the byte offset; Code::unsupported for releases before Nautilus.
Result<OsdMap> decode_osd_map(std::string_view bytes);
std::string encode_osd_map(const OsdMap& map);

Result<OsdMapIncremental> decode_osd_map_incremental(std::string_view bytes);
/// With its own checksum, and full_crc as it stands in the value.
std::string encode_osd_map_incremental(const OsdMapIncremental& incremental);

/// The map of the next epoch. Error: Code::conflict when the step belongs to another cluster or
/// epoch, Code::invalid when it names OSDs that the map has no room for or its encoded parts are
/// bad. The result is checked against the step's full_crc by apply_checked() only.
Result<OsdMap> apply_incremental(const OsdMap& map, const OsdMapIncremental& step);
/// The same, and encodes the result to compare it with full_crc (when that is not 0).
Result<OsdMap> apply_checked(const OsdMap& map, const OsdMapIncremental& step);

/// The checksum that an encoded full map carries. Error: Code::invalid when it is too short.
Result<uint32_t> encoded_osd_map_crc(std::string_view bytes);

} // namespace cloudlet::rados
