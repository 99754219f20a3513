#pragma once
// Reads little-endian numbers from bytes and never past their end; every error names the offset.

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include <fmt/format.h>

#include "cloudlet/base/result.h"

namespace cloudlet::rados {

class CrushReader {
public:
    explicit CrushReader(std::string_view bytes) : bytes_(bytes) {}

    bool at_end() const { return offset_ == bytes_.size(); }

    template <typename T>
    Result<T> read() {
        if (bytes_.size() - offset_ < sizeof(T)) return cut_short();
        uint64_t bits = 0;
        for (size_t i = 0; i < sizeof(T); ++i) {
            bits |= uint64_t{static_cast<unsigned char>(bytes_[offset_ + i])} << (8 * i);
        }
        offset_ += sizeof(T);
        return static_cast<T>(static_cast<std::make_unsigned_t<T>>(bits));
    }

    Result<std::string> read_bytes(size_t count) {
        if (bytes_.size() - offset_ < count) return cut_short();
        std::string text(bytes_.substr(offset_, count));
        offset_ += count;
        return text;
    }

    /// A count of things that take at least `least` bytes each.
    Result<uint32_t> read_count(std::string_view what, size_t limit, size_t least) {
        uint32_t count = TRY(read<uint32_t>());
        if (count > limit) return fail_here(fmt::format("{} {}; at most {}", count, what, limit));
        TRY(expect_room(uint64_t{count} * least, what));
        return count;
    }

    Result<void> expect_room(uint64_t bytes, std::string_view what) const {
        if (bytes_.size() - offset_ >= bytes) return {};
        return fail_here(fmt::format("{} need {} bytes, {} are left; the file is cut short", what,
                                     bytes, bytes_.size() - offset_));
    }

    tl::unexpected<Error> fail_here(std::string_view what) const {
        return fail(Code::invalid, fmt::format("at byte {}: {}", offset_, what));
    }

private:
    tl::unexpected<Error> cut_short() const {
        return fail_here("the file is cut short; copy it again");
    }

    std::string_view bytes_;
    size_t offset_ = 0;
};

} // namespace cloudlet::rados
