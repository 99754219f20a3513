#pragma once
// CRC-32C (Castagnoli; RFC 3720, appendix B.4): the checksum of Ceph's maps and of stored blocks.

#include <cstdint>
#include <string_view>

namespace cloudlet::codec {

/// Goes on from `crc` without the final inversion, as Ceph uses it; start with ~0u. Takes the CPU's
/// own instruction where there is one. Thread-safe.
uint32_t crc32c(uint32_t crc, std::string_view bytes);

/// The same by tables, on any CPU.
uint32_t crc32c_portable(uint32_t crc, std::string_view bytes);

} // namespace cloudlet::codec
