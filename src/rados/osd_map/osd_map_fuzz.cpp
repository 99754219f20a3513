#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cloudlet/codec/crc32c.h"
#include "cloudlet/rados/osd_map_codec.h"
#include "cloudlet/rados/placement.h"

using namespace cloudlet::rados;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

/// What was read must write back to something that reads as the same.
void walk(const OsdMap& map) {
    std::string bytes = encode_osd_map(map);
    auto again = decode_osd_map(bytes);
    require(again && encode_osd_map(*again) == bytes);
    auto placer = Placer::prepare(std::make_shared<const OsdMap>(map));
    if (!placer) return;
    CrushWorkspace work;
    for (const auto& [id, pool] : map.pools)
        for (uint32_t seed = 0; seed < 4; ++seed) placer->place(work, {id, seed});
}

/// A mutant's checksum never fits; with it put right, what is behind it is reached, too. It is the
/// last word of a map; after a step's comes the checksum of the map that it leads to.
std::string with_right_checksum(std::string_view input, size_t behind) {
    std::string bytes(input);
    if (bytes.size() < 16) return bytes;
    size_t at = bytes.size() - behind - 4;
    uint32_t crc = cloudlet::codec::crc32c(~0u, std::string_view(bytes).substr(0, at));
    crc = cloudlet::codec::crc32c(crc, std::string_view(bytes).substr(at + 4));
    for (size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>(crc >> (8 * i));
    return bytes;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view input(reinterpret_cast<const char*>(data), size);
    for (const std::string& bytes :
         {std::string(input), with_right_checksum(input, 0), with_right_checksum(input, 4)}) {
        if (auto map = decode_osd_map(bytes)) walk(*map);
        auto step = decode_osd_map_incremental(bytes);
        if (!step) continue;
        std::string written = encode_osd_map_incremental(*step);
        auto again = decode_osd_map_incremental(written);
        require(again && encode_osd_map_incremental(*again) == written);
        OsdMap before;
        before.epoch = step->epoch - 1;
        before.fsid = step->fsid;
        before.resize_osds(4);
        if (auto map = apply_incremental(before, *step)) walk(*map);
    }
    return 0;
}
