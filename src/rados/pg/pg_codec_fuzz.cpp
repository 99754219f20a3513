// A placement group's values that are accepted have one form: each encodes to the very bytes.
// Input: which kind (one byte), the value.
#include <cstdint>
#include <string_view>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/pg_codec.h"

using namespace cloudlet::rados;

namespace {

template <typename Decode, typename Encode>
void walk(std::string_view bytes, Decode decode, Encode encode) {
    auto value = decode(bytes);
    if (value) cloudlet::check(encode(*value) == bytes, "a value has two forms");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 6) {
    case 0: walk(bytes, decode_pg_info, encode_pg_info); break;
    case 1: walk(bytes, decode_past_intervals, encode_past_intervals); break;
    case 2: walk(bytes, decode_log_entry, encode_log_entry); break;
    case 3:
        walk(bytes, decode_answered,
             [](const auto& answered) { return encode_answered(answered.first, answered.second); });
        break;
    case 4:
        walk(bytes, decode_missing,
             [](const auto& missing) { return encode_missing(missing.first, missing.second); });
        break;
    default: walk(bytes, decode_object_info, encode_object_info);
    }
    return 0;
}
