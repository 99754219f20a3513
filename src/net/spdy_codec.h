#pragma once
// Frames of SPDY/3.1 from and to bytes. Pure; the header blocks of one direction share one zlib
// context, so a decoder must see every frame. Not thread-safe.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cloudlet/base/result.h"
#include "cloudlet/net/http_message.h"

namespace cloudlet::net {

const std::string& spdy_header_dictionary();

enum class SpdyType : uint16_t {
    data = 0, // ours: data frames have no type
    syn_stream = 1,
    syn_reply = 2,
    rst_stream = 3,
    settings = 4,
    ping = 6,
    go_away = 7,
    headers = 8,
    window_update = 9,
};

struct SpdyStatus {
    static constexpr uint32_t protocol_error = 1, invalid_stream = 2, refused_stream = 3,
                              cancel = 5, flow_control_error = 7;
};

constexpr uint8_t spdy_flag_fin = 1, spdy_flag_unidirectional = 2;

struct SpdyFrame {
    SpdyType type = SpdyType::data;
    uint8_t flags = 0;
    uint32_t stream = 0;
    uint32_t value = 0; // RST: status; PING: id; GOAWAY: last good stream; WINDOW_UPDATE: delta
    Headers headers = {};
    std::string_view data = {}; // valid until the next call; a long frame comes in several pieces
    std::optional<uint32_t> initial_window = {};
    bool fin() const { return flags & spdy_flag_fin; }
};

/// deflate and inflate with the dictionary.
class HeaderCompressor {
public:
    HeaderCompressor();
    ~HeaderCompressor();
    std::string compress(const Headers& headers);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

class HeaderDecompressor {
public:
    HeaderDecompressor();
    ~HeaderDecompressor();
    /// Error: no zlib data, a broken block, or more than 64 KiB of headers.
    Result<Headers> decompress(std::string_view block);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

class SpdyDecoder {
public:
    /// The next frame, consuming from `input`; nothing when more bytes are needed. Frames of
    /// unknown type are skipped. After an error the session is lost.
    Result<std::optional<SpdyFrame>> next(std::string_view& input);

private:
    Result<std::optional<SpdyFrame>> parse_control(std::string_view frame);
    std::optional<SpdyFrame> next_data(std::string_view& input);

    std::string buffer_;       // of a frame head, or of a whole control frame
    uint32_t data_stream_ = 0; // a data frame in progress
    uint32_t data_left_ = 0;
    uint8_t data_flags_ = 0;
    bool in_data_ = false;
    HeaderDecompressor headers_;
};

class SpdyEncoder {
public:
    std::string syn_stream(uint32_t stream, const Headers& headers);
    std::string syn_reply(uint32_t stream, const Headers& headers);
    static std::string data(uint32_t stream, std::string_view bytes, bool fin);
    static std::string rst_stream(uint32_t stream, uint32_t status);
    static std::string ping(uint32_t id);
    static std::string go_away(uint32_t last_good_stream, uint32_t status);
    static std::string window_update(uint32_t stream, uint32_t delta);

private:
    HeaderCompressor headers_;
};

} // namespace cloudlet::net
