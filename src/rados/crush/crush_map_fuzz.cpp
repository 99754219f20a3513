// A map that is accepted is safe to walk, keeps its bytes, and one walk ends in bounded time.
#include <algorithm>
#include <array>
#include <cstdint>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/crush_codec.h"
#include "cloudlet/rados/crush_mapper.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace cloudlet::rados;
    auto map = decode_crush_map({reinterpret_cast<const char*>(data), size});
    if (!map) return 0;
    std::string bytes = encode_crush_map(*map);
    auto again = decode_crush_map(bytes);
    cloudlet::check(again && *again == *map, "an encoded map does not read back the same");
    auto mapper = CrushMapper::prepare(*map);
    cloudlet::check(mapper.has_value(), "an accepted map cannot be prepared");
    CrushWorkspace work;
    CrushResults together;
    std::array<uint32_t, 8> reweights = {0x10000, 0x10000, 0x8000, 0, 0x10000, 0x10000, 1, 0x10000};
    std::array<uint32_t, 2> inputs = {0, 0x12345678};
    size_t rules = std::min<size_t>(map->rules.size(), 2);
    for (size_t rule = 0; rule < rules; ++rule) {
        CrushQuery query = {static_cast<int32_t>(rule), 3, reweights, 0};
        mapper->map_many(work, query, inputs, together);
        for (size_t i = 0; i < inputs.size(); ++i) {
            auto alone = mapper->map(work, query, inputs[i]);
            bool same = alone.size() == together[i].size() &&
                        std::equal(alone.begin(), alone.end(), together[i].begin());
            cloudlet::check(same, "a map answers differently one by one and together");
        }
    }
    return 0;
}
