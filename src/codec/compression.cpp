#include "cloudlet/codec/compression.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <fmt/format.h>
#include <libdeflate.h>
#include <zlib.h>
#include <zstd.h>

#include "cloudlet/base/check.h"

namespace cloudlet::codec {

namespace {

constexpr size_t input_size = 128 * 1024;

} // namespace

Compression detect_compression(std::string_view first_bytes) {
    if (first_bytes.starts_with("\x1f\x8b")) return Compression::gzip;
    if (first_bytes.starts_with("\x28\xb5\x2f\xfd")) return Compression::zstd;
    // A Zstandard skippable frame (zstd:chunked writes one) has the magic 0x184D2A5?,
    // little-endian.
    if (first_bytes.size() >= 4 && (first_bytes[0] & 0xF0) == 0x50 &&
        first_bytes.substr(1, 3) == "\x2a\x4d\x18")
        return Compression::zstd;
    return Compression::none;
}

struct Decompressor::Impl {
    Impl(ByteSource bytes, uint64_t limit)
        : source(std::move(bytes)), room(limit), input(input_size) {}
    ~Impl() {
        if (inflating) inflateEnd(&zlib);
        ZSTD_freeDCtx(zstd);
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    Result<void> begin();
    Result<void> fill();
    Result<size_t> read_some(std::span<char> buffer);
    Result<size_t> read_plain(std::span<char> buffer);
    Result<size_t> read_gzip(std::span<char> buffer);
    Result<size_t> read_zstd(std::span<char> buffer);
    size_t left() const { return end - start; }

    ByteSource source;
    uint64_t room; // bytes that may still come out
    std::vector<char> input;
    size_t start = 0, end = 0; // the unused part of input
    bool begun = false, source_ended = false;
    Compression compression = Compression::none;
    z_stream zlib{};
    bool inflating = false;
    bool in_member = false; // inside a gzip member or a Zstandard frame
    ZSTD_DCtx* zstd = nullptr;
};

Decompressor::Decompressor(ByteSource source, uint64_t output_limit)
    : impl_(std::make_unique<Impl>(std::move(source), output_limit)) {}
Decompressor::~Decompressor() = default;
Decompressor::Decompressor(Decompressor&&) noexcept = default;
Decompressor& Decompressor::operator=(Decompressor&&) noexcept = default;

Compression Decompressor::compression() const { return impl_->compression; }

// Reads more input behind what is left.
Result<void> Decompressor::Impl::fill() {
    if (start) {
        std::memmove(input.data(), input.data() + start, left());
        end -= start;
        start = 0;
    }
    if (source_ended || end == input.size()) return {};
    size_t count = TRY(source(std::span(input).subspan(end)));
    end += count;
    source_ended = count == 0;
    return {};
}

Result<void> Decompressor::Impl::begin() {
    while (left() < 4 && !source_ended) TRY(fill());
    compression = detect_compression({input.data() + start, left()});
    if (compression == Compression::gzip) {
        check(inflateInit2(&zlib, 15 + 16) == Z_OK, "zlib could not start");
        inflating = in_member = true;
    } else if (compression == Compression::zstd) {
        zstd = ZSTD_createDCtx();
        check(zstd != nullptr, "zstd could not start");
        in_member = true;
    }
    begun = true;
    return {};
}

Result<size_t> Decompressor::Impl::read_plain(std::span<char> buffer) {
    if (!left()) {
        if (source_ended) return 0;
        return source(buffer);
    }
    size_t count = std::min(buffer.size(), left());
    std::memcpy(buffer.data(), input.data() + start, count);
    start += count;
    return count;
}

// Behind a member stands another one, zero padding (as tapes have it), or the end.
Result<size_t> Decompressor::Impl::read_gzip(std::span<char> buffer) {
    for (;;) {
        while (left() < 2 && !source_ended) TRY(fill());
        if (!in_member) {
            if (!left()) return 0;
            bool another = left() >= 2 &&
                           detect_compression({input.data() + start, left()}) == Compression::gzip;
            bool padding = input[start] == 0;
            if (!another && !padding)
                return fail(Code::invalid, "the gzip data is followed by something else");
            if (padding) {
                ++start;
                continue;
            }
            inflateReset(&zlib);
            in_member = true;
        }
        zlib.next_in = reinterpret_cast<Bytef*>(input.data() + start);
        zlib.avail_in = static_cast<uInt>(left());
        zlib.next_out = reinterpret_cast<Bytef*>(buffer.data());
        zlib.avail_out = static_cast<uInt>(std::min<size_t>(buffer.size(), UINT32_MAX));
        uInt wanted = zlib.avail_out;
        int status = inflate(&zlib, Z_NO_FLUSH);
        start = end - zlib.avail_in;
        size_t produced = wanted - zlib.avail_out;
        if (status == Z_STREAM_END)
            in_member = false;
        else if (status != Z_OK && status != Z_BUF_ERROR)
            return fail(Code::invalid, fmt::format("the gzip data is damaged ({})",
                                                   zlib.msg ? zlib.msg : "no reason given"));
        if (produced) return produced;
        if (in_member && !left() && source_ended)
            return fail(Code::invalid, "the gzip data is cut off");
    }
}

Result<size_t> Decompressor::Impl::read_zstd(std::span<char> buffer) {
    for (;;) {
        if (!left() && !source_ended) TRY(fill());
        if (!left() && source_ended && !in_member) return 0;
        ZSTD_inBuffer in{input.data() + start, left(), 0};
        ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
        size_t hint = ZSTD_decompressStream(zstd, &out, &in);
        if (ZSTD_isError(hint))
            return fail(Code::invalid,
                        fmt::format("the zstd data is damaged ({})", ZSTD_getErrorName(hint)));
        bool stalled = in.pos == 0 && out.pos == 0;
        start += in.pos;
        in_member = hint != 0; // 0: a frame has ended and is flushed
        if (out.pos) return out.pos;
        if (stalled && source_ended && in_member)
            return fail(Code::invalid, "the zstd data is cut off");
    }
}

Result<size_t> Decompressor::Impl::read_some(std::span<char> buffer) {
    if (!begun) TRY(begin());
    switch (compression) {
    case Compression::gzip: return read_gzip(buffer);
    case Compression::zstd: return read_zstd(buffer);
    case Compression::none: break;
    }
    return read_plain(buffer);
}

Result<size_t> Decompressor::read(std::span<char> buffer) {
    if (buffer.empty()) return 0;
    size_t count = TRY(impl_->read_some(buffer));
    if (count > impl_->room)
        return fail(
            Code::too_large,
            "the data unpacks to more bytes than are accepted; it may be a decompression bomb");
    impl_->room -= count;
    return count;
}

std::string gzip_compress(std::string_view bytes, int level) {
    std::unique_ptr<libdeflate_compressor, void (*)(libdeflate_compressor*)> compressor(
        libdeflate_alloc_compressor(level), libdeflate_free_compressor);
    check(compressor != nullptr, "libdeflate could not start; the level is 0 to 12");
    std::string out(libdeflate_gzip_compress_bound(compressor.get(), bytes.size()), '\0');
    size_t size = libdeflate_gzip_compress(compressor.get(), bytes.data(), bytes.size(), out.data(),
                                           out.size());
    check(size > 0, "libdeflate ran out of the room it asked for");
    out.resize(size);
    return out;
}

std::string zstd_compress(std::string_view bytes, int level) {
    std::string out(ZSTD_compressBound(bytes.size()), '\0');
    size_t size = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), level);
    check(!ZSTD_isError(size), "zstd could not compress");
    out.resize(size);
    return out;
}

Result<std::string> decompress(std::string_view bytes, size_t output_limit) {
    Decompressor decompressor(source_of(bytes), output_limit);
    return read_all([&](std::span<char> buffer) { return decompressor.read(buffer); },
                    output_limit);
}

} // namespace cloudlet::codec
