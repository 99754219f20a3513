// A line of changes, then an OSD map: whatever both hold, a plan is made or refused.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "cloudlet/codec/crc32c.h"
#include "cloudlet/rados/osd_map_codec.h"
#include "cloudlet/rados/plan.h"

using namespace cloudlet::rados;

namespace {

/// A mutant's checksum never fits; it is the last word of a map.
std::string with_right_checksum(std::string_view input) {
    std::string bytes(input);
    if (bytes.size() < 16) return bytes;
    uint32_t crc =
        cloudlet::codec::crc32c(~0u, std::string_view(bytes).substr(0, bytes.size() - 4));
    for (size_t i = 0; i < 4; ++i) bytes[bytes.size() - 4 + i] = static_cast<char>(crc >> (8 * i));
    return bytes;
}

/// Large maps cost time and show nothing that small ones do not.
bool is_small(const OsdMap& map) {
    uint64_t pgs = 0;
    for (const auto& [id, pool] : map.pools) pgs += pool.pg_num;
    return pgs <= 512 && map.max_osd() <= 256;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view input(reinterpret_cast<const char*>(data), size);
    size_t end = std::min(input.find('\n'), input.size());
    const std::string words[] = {std::string(input.substr(0, end))};
    auto changes = parse_changes(words);
    if (!changes || changes->size() > 8) return 0;
    for (const Change& change : *changes) {
        // What is spelled out reads as the same.
        const std::string spelled[] = {change.to_string()};
        auto again = parse_changes(spelled);
        if (again && again->front().kind != change.kind) std::abort();
        if (change.number > 512) return 0;
    }
    input.remove_prefix(std::min(end + 1, input.size()));
    auto map = decode_osd_map(with_right_checksum(input));
    if (!map || !is_small(*map)) return 0;
    auto plan = make_plan(*map, *changes, {.pg_bytes = 1e9, .most_tries = 20'000});
    if (!plan) return 0;
    if (plan_text(*plan).empty() || plan_json(*plan).empty() || plan_svg(*plan).empty())
        std::abort();
    return 0;
}
