// A message that is accepted has one form: it encodes to the very bytes, and they decode again.
#include <cstdint>
#include <string_view>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/message_codec.h"

using namespace cloudlet::rados;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view input(reinterpret_cast<const char*>(data), size);
    auto message = decode_message(input);
    if (!message) return 0;
    std::string bytes = encode_message(**message);
    cloudlet::check(bytes == input, "a message does not encode to the bytes that it came from");
    cloudlet::check(decode_message(bytes).has_value(), "an encoded message is refused");
    return 0;
}
