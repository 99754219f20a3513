#include "cloudlet/codec/crc32c.h"

#include <array>
#include <cstring>

namespace cloudlet::codec {
namespace {

/// Eight tables, so that eight bytes go through in one step.
using CrcTables = std::array<std::array<uint32_t, 256>, 8>;

CrcTables make_crc_tables() {
    constexpr uint32_t castagnoli = 0x82f63b78; // reflected
    CrcTables tables{};
    for (uint32_t byte = 0; byte < 256; ++byte) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? castagnoli : 0);
        tables[0][byte] = crc;
    }
    for (size_t table = 1; table < 8; ++table)
        for (uint32_t byte = 0; byte < 256; ++byte) {
            uint32_t before = tables[table - 1][byte];
            tables[table][byte] = tables[0][before & 0xff] ^ (before >> 8);
        }
    return tables;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) uint32_t crc32c_sse42(uint32_t crc, std::string_view bytes) {
    const char* at = bytes.data();
    size_t left = bytes.size();
    uint64_t sum = crc;
    for (; left >= 8; at += 8, left -= 8) {
        uint64_t word;
        std::memcpy(&word, at, sizeof word);
        sum = __builtin_ia32_crc32di(sum, word);
    }
    crc = static_cast<uint32_t>(sum);
    for (; left > 0; ++at, --left)
        crc = __builtin_ia32_crc32qi(crc, static_cast<unsigned char>(*at));
    return crc;
}

bool has_instruction() { return __builtin_cpu_supports("sse4.2"); }

#else

uint32_t crc32c_sse42(uint32_t crc, std::string_view bytes) { return crc32c_portable(crc, bytes); }
bool has_instruction() { return false; }

#endif

} // namespace

uint32_t crc32c_portable(uint32_t crc, std::string_view bytes) {
    static const CrcTables tables = make_crc_tables();
    const char* at = bytes.data();
    size_t left = bytes.size();
    for (; left >= 8; at += 8, left -= 8) {
        uint64_t word;
        std::memcpy(&word, at, sizeof word);
        word ^= crc;
        crc = 0;
        for (size_t i = 0; i < 8; ++i) crc ^= tables[7 - i][(word >> (8 * i)) & 0xff];
    }
    for (; left > 0; ++at, --left)
        crc = tables[0][(crc ^ static_cast<uint8_t>(*at)) & 0xff] ^ (crc >> 8);
    return crc;
}

uint32_t crc32c(uint32_t crc, std::string_view bytes) {
    static const bool by_instruction = has_instruction();
    return by_instruction ? crc32c_sse42(crc, bytes) : crc32c_portable(crc, bytes);
}

} // namespace cloudlet::codec
