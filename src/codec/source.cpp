#include "cloudlet/codec/source.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <unistd.h>

namespace cloudlet::codec {

ByteSource source_of(std::string_view bytes) {
    return [bytes](std::span<char> buffer) mutable -> Result<size_t> {
        size_t count = std::min(buffer.size(), bytes.size());
        if (count) std::memcpy(buffer.data(), bytes.data(), count);
        bytes.remove_prefix(count);
        return count;
    };
}

ByteSource source_of_descriptor(int descriptor, std::string_view what) {
    return [descriptor, what = std::string(what)](std::span<char> buffer) -> Result<size_t> {
        for (;;) {
            ssize_t count = ::read(descriptor, buffer.data(), buffer.size());
            if (count >= 0) return static_cast<size_t>(count);
            if (errno != EINTR) return fail_errno("read " + what);
        }
    };
}

Result<std::string> read_all(const ByteSource& source, size_t limit) {
    std::string all;
    size_t size = 0;
    for (;;) {
        if (all.size() - size < 4096) all.resize(std::max<size_t>(all.size() * 2, 16384));
        size_t count = TRY(source(std::span(all).subspan(size)));
        size += count;
        if (size > limit)
            return fail(Code::too_large,
                        fmt::format("more than {} bytes; at most that many are accepted", limit));
        if (count) continue;
        all.resize(size);
        return all;
    }
}

} // namespace cloudlet::codec
