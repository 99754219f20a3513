// A hostile archive, also compressed, is read to its end or refused; never more than the limit.
#include <cstdint>

#include "cloudlet/codec/compression.h"
#include "cloudlet/codec/tar.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace cloudlet;
    codec::Decompressor plain(codec::source_of({reinterpret_cast<const char*>(data), size}),
                              4 << 20);
    codec::TarReader reader([&](std::span<char> buffer) { return plain.read(buffer); });
    for (;;) {
        auto entry = reader.next();
        if (!entry || !*entry) return 0;
        for (;;) {
            auto block = reader.next_block();
            if (!block) return 0;
            if (!*block) break;
        }
    }
}
