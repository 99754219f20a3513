#include "spdy_codec.h"

#include <zlib.h>

#include "cloudlet/base/check.h"
#include "text.h"

namespace cloudlet::net {
namespace {

constexpr size_t head_size = 8;
constexpr size_t max_control = 64 << 10;
constexpr size_t max_headers = 64 << 10; // inflated
constexpr uint32_t initial_window_setting = 7;
constexpr uint32_t no_high_bit = 0x7fffffff;

uint32_t read_u32(std::string_view bytes, size_t at) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    return value;
}

void append_u32(std::string& out, uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}

std::string control_frame(SpdyType type, uint8_t flags, std::string_view body) {
    std::string out;
    append_u32(out, 0x80030000u | static_cast<uint32_t>(type));
    append_u32(out, static_cast<uint32_t>(flags) << 24 | static_cast<uint32_t>(body.size()));
    return out.append(body);
}

std::string two_words(uint32_t first, uint32_t second) {
    std::string body;
    append_u32(body, first);
    append_u32(body, second);
    return body;
}

tl::unexpected<Error> broken(std::string_view why) {
    return fail(Code::invalid, fmt::format("SPDY: {}", why));
}

Bytef* zlib_bytes(std::string_view bytes) {
    return reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
}

/// A name/value block: a count, then names and values, each behind its length. A value may hold
/// several, separated by NUL.
Result<Headers> parse_block(std::string_view block) {
    Headers headers;
    if (block.size() < 4) return broken("a header block is cut short");
    uint32_t count = read_u32(block, 0);
    size_t at = 4;
    auto take = [&]() -> std::optional<std::string_view> {
        if (block.size() - at < 4) return std::nullopt;
        uint32_t length = read_u32(block, at);
        at += 4;
        if (block.size() - at < length) return std::nullopt;
        at += length;
        return block.substr(at - length, length);
    };
    for (uint32_t i = 0; i < count; ++i) {
        auto name = take();
        auto value = name ? take() : std::nullopt;
        if (!value) return broken("a header block is cut short");
        if (name->empty() || headers.has(*name))
            return broken("a header name is empty or comes twice");
        auto rest = *value;
        for (;;) {
            auto end = rest.find('\0');
            std::string lowered(*name);
            std::transform(lowered.begin(), lowered.end(), lowered.begin(), lower);
            headers.add(std::move(lowered), std::string(rest.substr(0, end)));
            if (end == std::string_view::npos) break;
            rest = rest.substr(end + 1);
        }
        if (headers.size() > 500) return broken("a header block has more than 500 entries");
    }
    if (at != block.size()) return broken("bytes follow a header block");
    return headers;
}

std::string format_block(const Headers& headers) {
    std::vector<std::pair<std::string, std::string>> joined;
    for (const auto& [name, value] : headers) {
        std::string lowered = name;
        std::transform(lowered.begin(), lowered.end(), lowered.begin(), lower);
        auto found = std::find_if(joined.begin(), joined.end(),
                                  [&](const auto& entry) { return entry.first == lowered; });
        if (found == joined.end()) {
            joined.emplace_back(std::move(lowered), value);
        } else {
            found->second.append(1, '\0').append(value);
        }
    }
    std::string block;
    append_u32(block, static_cast<uint32_t>(joined.size()));
    for (const auto& [name, value] : joined) {
        append_u32(block, static_cast<uint32_t>(name.size()));
        block += name;
        append_u32(block, static_cast<uint32_t>(value.size()));
        block += value;
    }
    return block;
}

} // namespace

struct HeaderCompressor::Impl {
    z_stream stream{};
};

HeaderCompressor::HeaderCompressor() : impl_(std::make_unique<Impl>()) {
    // A window of 2 KiB holds the dictionary; the usual one would cost 256 KiB per session.
    int status =
        deflateInit2(&impl_->stream, Z_BEST_COMPRESSION, Z_DEFLATED, 11, 1, Z_DEFAULT_STRATEGY);
    check(status == Z_OK, "zlib starts a compressor");
    const auto& dictionary = spdy_header_dictionary();
    deflateSetDictionary(&impl_->stream, zlib_bytes(dictionary),
                         static_cast<uInt>(dictionary.size()));
}

HeaderCompressor::~HeaderCompressor() { deflateEnd(&impl_->stream); }

std::string HeaderCompressor::compress(const Headers& headers) {
    std::string block = format_block(headers), out;
    auto& stream = impl_->stream;
    stream.next_in = zlib_bytes(block);
    stream.avail_in = static_cast<uInt>(block.size());
    char buffer[2048];
    do {
        stream.next_out = reinterpret_cast<Bytef*>(buffer);
        stream.avail_out = sizeof buffer;
        deflate(&stream, Z_SYNC_FLUSH);
        out.append(buffer, sizeof buffer - stream.avail_out);
    } while (stream.avail_out == 0);
    return out;
}

struct HeaderDecompressor::Impl {
    z_stream stream{};
};

HeaderDecompressor::HeaderDecompressor() : impl_(std::make_unique<Impl>()) {
    check(inflateInit(&impl_->stream) == Z_OK, "zlib starts a decompressor");
}

HeaderDecompressor::~HeaderDecompressor() { inflateEnd(&impl_->stream); }

Result<Headers> HeaderDecompressor::decompress(std::string_view block) {
    std::string out;
    auto& stream = impl_->stream;
    stream.next_in = zlib_bytes(block);
    stream.avail_in = static_cast<uInt>(block.size());
    char buffer[4096];
    for (;;) {
        stream.next_out = reinterpret_cast<Bytef*>(buffer);
        stream.avail_out = sizeof buffer;
        int status = inflate(&stream, Z_SYNC_FLUSH);
        if (status == Z_NEED_DICT) {
            const auto& dictionary = spdy_header_dictionary();
            if (inflateSetDictionary(&stream, zlib_bytes(dictionary),
                                     static_cast<uInt>(dictionary.size())) != Z_OK)
                return broken("headers are compressed with another dictionary");
            continue;
        }
        if (status != Z_OK && status != Z_BUF_ERROR)
            return broken("a header block does not decompress");
        out.append(buffer, sizeof buffer - stream.avail_out);
        if (out.size() > max_headers)
            return broken("a header block decompresses to more than 64 KiB");
        if (stream.avail_out != 0) break; // all that the block holds is out
    }
    if (stream.avail_in) return broken("bytes follow a compressed header block");
    return parse_block(out);
}

std::optional<SpdyFrame> SpdyDecoder::next_data(std::string_view& input) {
    if (input.empty() && data_left_) return std::nullopt;
    SpdyFrame frame;
    frame.stream = data_stream_;
    frame.data = input.substr(0, data_left_);
    input.remove_prefix(frame.data.size());
    data_left_ -= static_cast<uint32_t>(frame.data.size());
    in_data_ = data_left_ != 0;
    frame.flags = in_data_ ? 0 : data_flags_;
    return frame;
}

Result<std::optional<SpdyFrame>> SpdyDecoder::next(std::string_view& input) {
    for (;;) {
        if (in_data_) return next_data(input);
        auto fill = [&](size_t size) {
            auto part = input.substr(0, size - std::min(size, buffer_.size()));
            buffer_.append(part);
            input.remove_prefix(part.size());
            return buffer_.size() >= size;
        };
        if (!fill(head_size)) return std::nullopt;
        uint32_t first = read_u32(buffer_, 0), second = read_u32(buffer_, 4);
        uint32_t length = second & 0xffffff;
        if (!(first >> 31)) {
            data_stream_ = first;
            data_flags_ = static_cast<uint8_t>(second >> 24);
            data_left_ = length;
            in_data_ = true;
            buffer_.clear();
            continue;
        }
        if ((first >> 16 & 0x7fff) != 3) return broken("only version 3 is spoken here");
        if (length > max_control) return broken("a control frame is larger than 64 KiB");
        if (!fill(head_size + length)) return std::nullopt;
        std::string whole = std::exchange(buffer_, {});
        auto frame = TRY(parse_control(whole));
        if (frame) return frame;
    }
}

/// Nothing for a type that we do not know.
Result<std::optional<SpdyFrame>> SpdyDecoder::parse_control(std::string_view whole) {
    SpdyFrame frame;
    frame.type = static_cast<SpdyType>(read_u32(whole, 0) & 0xffff);
    frame.flags = static_cast<uint8_t>(whole[4]);
    auto body = whole.substr(head_size);
    size_t fixed = 0;
    switch (frame.type) {
    case SpdyType::syn_stream: fixed = 10; break;
    case SpdyType::syn_reply:
    case SpdyType::headers:
    case SpdyType::ping:
    case SpdyType::settings: fixed = 4; break;
    case SpdyType::rst_stream:
    case SpdyType::go_away:
    case SpdyType::window_update: fixed = 8; break;
    default: return std::nullopt;
    }
    if (body.size() < fixed) return broken("a control frame is too short");
    uint32_t first = read_u32(body, 0);
    frame.stream = first & no_high_bit;
    switch (frame.type) {
    case SpdyType::syn_stream:
    case SpdyType::syn_reply:
    case SpdyType::headers: frame.headers = TRY(headers_.decompress(body.substr(fixed))); break;
    case SpdyType::ping: frame.value = first; break;
    case SpdyType::go_away: frame.value = first & no_high_bit; break;
    case SpdyType::rst_stream: frame.value = read_u32(body, 4); break;
    case SpdyType::window_update: frame.value = read_u32(body, 4) & no_high_bit; break;
    default: // SETTINGS: entries of flags and id, then a value
        if ((body.size() - 4) / 8 < first) return broken("a SETTINGS frame is too short");
        for (uint32_t i = 0; i < first; ++i)
            if ((read_u32(body, 4 + i * 8) & 0xffffff) == initial_window_setting)
                frame.initial_window = read_u32(body, 8 + i * 8) & no_high_bit;
    }
    return frame;
}

std::string SpdyEncoder::syn_stream(uint32_t stream, const Headers& headers) {
    std::string body = two_words(stream, 0);
    body.append(2, '\0'); // priority and credential slot
    return control_frame(SpdyType::syn_stream, 0, body + headers_.compress(headers));
}

std::string SpdyEncoder::syn_reply(uint32_t stream, const Headers& headers) {
    std::string body;
    append_u32(body, stream);
    return control_frame(SpdyType::syn_reply, 0, body + headers_.compress(headers));
}

std::string SpdyEncoder::data(uint32_t stream, std::string_view bytes, bool fin) {
    std::string out;
    out.reserve(head_size + bytes.size());
    append_u32(out, stream);
    append_u32(out, static_cast<uint32_t>(fin ? spdy_flag_fin : 0) << 24 |
                        static_cast<uint32_t>(bytes.size()));
    return out.append(bytes);
}

std::string SpdyEncoder::rst_stream(uint32_t stream, uint32_t status) {
    return control_frame(SpdyType::rst_stream, 0, two_words(stream, status));
}

std::string SpdyEncoder::ping(uint32_t id) {
    std::string body;
    append_u32(body, id);
    return control_frame(SpdyType::ping, 0, body);
}

std::string SpdyEncoder::go_away(uint32_t last_good_stream, uint32_t status) {
    return control_frame(SpdyType::go_away, 0, two_words(last_good_stream, status));
}

std::string SpdyEncoder::window_update(uint32_t stream, uint32_t delta) {
    return control_frame(SpdyType::window_update, 0, two_words(stream, delta));
}

} // namespace cloudlet::net
