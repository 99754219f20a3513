// A text that is accepted gives a sound map, and what it decompiles to means the same.
#include <cstdint>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/crush_codec.h"
#include "cloudlet/rados/crush_text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace cloudlet;
    auto map = rados::compile_crush_text({reinterpret_cast<const char*>(data), size}, "fuzz");
    if (!map) {
        check(map.error().to_string().starts_with("fuzz"), "a message does not name the file");
        return 0;
    }
    auto read = rados::decode_crush_map(rados::encode_crush_map(*map));
    check(read && *read == *map, "a compiled map does not read back from its bytes");
    auto again = rados::compile_crush_text(rados::decompile_crush_map(*map), "again");
    if (!again) return 0; // names that only the binary form can hold, such as an empty one
    // Classes are numbered as they come, and decompiling sorts the devices: the second text counts.
    std::string text = rados::decompile_crush_map(*again);
    auto third = rados::compile_crush_text(text, "third");
    check(third && rados::decompile_crush_map(*third) == text, "decompiling is not stable");
    return 0;
}
