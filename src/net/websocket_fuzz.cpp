// The frame decoder: no input crashes it, limits hold, and what it accepts is the same in any cut.

#include <cstdint>
#include <cstdlib>

#include "cloudlet/net/websocket.h"

using namespace cloudlet::net;

static std::string run(std::string_view bytes, size_t step, WebSocketDecoder::Role role) {
    WebSocketDecoder decoder(role, 5000);
    std::string trace;
    while (!bytes.empty()) {
        auto messages = decoder.feed(bytes.substr(0, step));
        bytes.remove_prefix(std::min(step, bytes.size()));
        if (!messages) return "failed " + std::to_string(decoder.close_code());
        for (const auto& message : *messages) {
            if (message.payload.size() > 5000) std::abort();
            trace += std::to_string(static_cast<int>(message.opcode)) + message.payload + "|";
        }
    }
    return trace;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view bytes(reinterpret_cast<const char*>(data), size);
    for (auto role : {WebSocketDecoder::Role::server, WebSocketDecoder::Role::client})
        if (run(bytes, size + 1, role) != run(bytes, 1, role)) std::abort();
    WebSocketDecoder decoder(WebSocketDecoder::Role::server);
    auto back = decoder.feed(encode_frame(Opcode::binary, bytes, true, 0x01020304));
    if (!back || back->size() != 1 || back->front().payload != bytes) std::abort();
    return 0;
}
