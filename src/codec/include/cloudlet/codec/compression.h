#pragma once
// gzip (RFC 1952) and Zstandard (RFC 8878), streaming and whole.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "cloudlet/base/result.h"
#include "cloudlet/codec/source.h"

namespace cloudlet::codec {

enum class Compression { none, gzip, zstd };

/// The compression that the first bytes of a stream announce (4 bytes are enough).
Compression detect_compression(std::string_view first_bytes);

/// Undoes the compression of a stream that tells by its first bytes what it is: gzip (also several
/// members one after the other, as pigz and eStargz write), Zstandard (several frames), or plain.
/// Owned by one reader; one thread at a time.
class Decompressor {
public:
    /// Gives up with Code::too_large once more than `output_limit` bytes would come out.
    Decompressor(ByteSource source, uint64_t output_limit);
    ~Decompressor();
    Decompressor(Decompressor&&) noexcept;
    Decompressor& operator=(Decompressor&&) noexcept;

    /// The next bytes, 0 at the end. Error: Code::invalid when the data is damaged or cut off;
    /// Code::too_large; that of the source.
    Result<size_t> read(std::span<char> buffer);
    /// Known after the first read.
    Compression compression() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

std::string gzip_compress(std::string_view bytes, int level = 6);
std::string zstd_compress(std::string_view bytes, int level = 3);
/// Whole gzip, zstd or plain text. Error: as Decompressor.
Result<std::string> decompress(std::string_view bytes, size_t output_limit);

} // namespace cloudlet::codec
