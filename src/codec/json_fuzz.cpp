// Whatever is accepted must survive a round trip; whatever is not must be refused without harm.
#include <cstdint>

#include "cloudlet/base/check.h"
#include "cloudlet/codec/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace cloudlet;
    auto parsed = codec::parse_json_noting_duplicates({reinterpret_cast<const char*>(data), size});
    if (!parsed) return 0;
    std::string text = parsed->value.dump();
    auto again = codec::parse_json(text);
    check(again && *again == parsed->value, "a dumped value does not read back the same");
    check(again->dump() == text, "dumping is not stable");
    check(codec::parse_json(parsed->value.dump_pretty()).has_value(), "pretty text does not parse");
    return 0;
}
