#include "cloudlet/net/websocket.h"

#include <openssl/sha.h>

#include "cloudlet/base/bytes.h"
#include "cloudlet/base/check.h"

namespace cloudlet::net {

struct WebSocketDecoder::Frame {
    bool final = false;
    Opcode opcode = Opcode::continuation;
    std::string payload;
};

namespace {

bool is_control(Opcode opcode) { return static_cast<uint8_t>(opcode) >= 8; }

bool is_known(uint8_t opcode) { return opcode <= 2 || (opcode >= 8 && opcode <= 10); }

void apply_mask(char* bytes, size_t size, const char* mask) {
    uint32_t word;
    std::memcpy(&word, mask, 4);
    size_t i = 0;
    for (; i + 4 <= size; i += 4) {
        uint32_t chunk;
        std::memcpy(&chunk, bytes + i, 4);
        chunk ^= word;
        std::memcpy(bytes + i, &chunk, 4);
    }
    for (; i < size; ++i) bytes[i] = static_cast<char>(bytes[i] ^ mask[i % 4]);
}

uint64_t big_endian(std::string_view bytes) {
    uint64_t value = 0;
    for (char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
    return value;
}

} // namespace

tl::unexpected<Error> WebSocketDecoder::refuse(uint16_t code, std::string why) {
    close_code_ = code;
    return fail(Code::invalid, "WebSocket: " + std::move(why));
}

/// The next whole frame, unmasked; nothing when bytes are missing. Limits hold before the payload
/// is there.
Result<std::optional<WebSocketDecoder::Frame>> WebSocketDecoder::next_frame() {
    if (input_.size() < 2) return std::nullopt;
    auto first = static_cast<uint8_t>(input_[0]), second = static_cast<uint8_t>(input_[1]);
    if (first & 0x70) return refuse(CloseCode::protocol_error, "a reserved bit is set");
    if (!is_known(first & 0x0f))
        return refuse(CloseCode::protocol_error, fmt::format("unknown opcode {}", first & 0x0f));
    Frame frame{(first & 0x80) != 0, static_cast<Opcode>(first & 0x0f), {}};
    bool masked = second & 0x80;
    if (masked != (role_ == Role::server))
        return refuse(CloseCode::protocol_error,
                      masked ? "a server's frame is masked" : "a client's frame is not masked");
    uint64_t length = second & 0x7f;
    if (is_control(frame.opcode) && (length > 125 || !frame.final))
        return refuse(CloseCode::protocol_error, "a control frame is too long or fragmented");
    size_t extra = length == 126 ? 2 : length == 127 ? 8 : 0;
    size_t head = 2 + extra + (masked ? 4 : 0);
    if (input_.size() < 2 + extra) return std::nullopt;
    if (extra) {
        length = big_endian(std::string_view(input_).substr(2, extra));
        if (length < (extra == 2 ? 126u : 65536u) || length >> 63)
            return refuse(CloseCode::protocol_error,
                          "a length is not written in its shortest form");
    }
    if (!is_control(frame.opcode) && length + message_.size() > max_message_)
        return refuse(CloseCode::too_big,
                      fmt::format("a message is larger than {} bytes", max_message_));
    if (input_.size() < head || input_.size() - head < length) return std::nullopt;
    frame.payload = input_.substr(head, static_cast<size_t>(length));
    if (masked) apply_mask(frame.payload.data(), frame.payload.size(), input_.data() + head - 4);
    input_.erase(0, head + static_cast<size_t>(length));
    return frame;
}

static bool is_sendable_close_code(uint64_t code) {
    if (code >= 3000 && code <= 4999) return true;
    return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

Result<> WebSocketDecoder::accept_frame(Frame frame, std::vector<WebSocketMessage>& out) {
    if (frame.opcode == Opcode::close && !frame.payload.empty()) {
        auto payload = std::string_view(frame.payload);
        if (payload.size() < 2 || !is_sendable_close_code(big_endian(payload.substr(0, 2))))
            return refuse(CloseCode::protocol_error, "a close frame has a wrong code");
        if (!is_valid_utf8(payload.substr(2)))
            return refuse(CloseCode::bad_payload, "a close reason is not UTF-8");
    }
    if (is_control(frame.opcode)) {
        out.push_back({frame.opcode, std::move(frame.payload)});
        return {};
    }
    bool continues = frame.opcode == Opcode::continuation;
    if (continues != (message_opcode_ != Opcode::continuation))
        return refuse(CloseCode::protocol_error,
                      continues ? "a continuation of nothing" : "a message inside another");
    if (!continues) message_opcode_ = frame.opcode;
    if (message_.empty()) {
        message_ = std::move(frame.payload);
    } else {
        message_ += frame.payload;
    }
    if (!frame.final) return {};
    if (message_opcode_ == Opcode::text && !is_valid_utf8(message_))
        return refuse(CloseCode::bad_payload, "a text message is not UTF-8");
    out.push_back(
        {std::exchange(message_opcode_, Opcode::continuation), std::exchange(message_, {})});
    return {};
}

Result<std::vector<WebSocketMessage>> WebSocketDecoder::feed(std::string_view bytes) {
    if (close_code_) return refuse(close_code_, "the connection already failed");
    input_.append(bytes);
    std::vector<WebSocketMessage> messages;
    for (;;) {
        auto frame = TRY(next_frame());
        if (!frame) break;
        TRY(accept_frame(std::move(*frame), messages));
    }
    if (input_.empty()) std::string().swap(input_);
    return messages;
}

std::string encode_frame(Opcode opcode, std::string_view payload, bool final,
                         std::optional<uint32_t> mask) {
    std::string out;
    out.reserve(payload.size() + 14);
    out += static_cast<char>((final ? 0x80 : 0) | static_cast<uint8_t>(opcode));
    char mask_bit = mask ? static_cast<char>(0x80) : 0;
    size_t extra = payload.size() < 126 ? 0 : payload.size() < 65536 ? 2 : 8;
    if (!extra) out += static_cast<char>(mask_bit | static_cast<char>(payload.size()));
    if (extra) out += static_cast<char>(mask_bit | (extra == 2 ? 126 : 127));
    for (size_t i = extra; i-- > 0;) out += static_cast<char>(payload.size() >> (8 * i));
    char key[4];
    if (mask) {
        for (int i = 0; i < 4; ++i) key[i] = static_cast<char>(*mask >> (8 * (3 - i)));
        out.append(key, 4);
    }
    size_t start = out.size();
    out.append(payload);
    if (mask) apply_mask(out.data() + start, payload.size(), key);
    return out;
}

std::string encode_close(uint16_t code, std::string_view reason) {
    std::string payload{static_cast<char>(code >> 8), static_cast<char>(code)};
    payload += reason.substr(0, 123); // a control frame holds 125 bytes
    while (payload.size() > 2 && !is_valid_utf8(std::string_view(payload).substr(2)))
        payload.pop_back();
    return payload;
}

std::string accept_key(std::string_view key) {
    std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[SHA_DIGEST_LENGTH];
    SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
    return to_base64({reinterpret_cast<const char*>(digest), sizeof digest});
}

bool is_valid_utf8(std::string_view text) {
    for (size_t i = 0; i < text.size();) {
        auto byte = static_cast<unsigned char>(text[i]);
        if (byte < 0x80) {
            ++i;
            continue;
        }
        size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
        if (byte < 0xc2 || byte > 0xf4 || text.size() - i < length) return false;
        auto second = static_cast<unsigned char>(text[i + 1]);
        bool overlong = (byte == 0xe0 && second < 0xa0) || (byte == 0xf0 && second < 0x90);
        bool surrogate = byte == 0xed && second >= 0xa0;
        bool beyond = byte == 0xf4 && second >= 0x90;
        if (overlong || surrogate || beyond) return false;
        for (size_t k = 1; k < length; ++k)
            if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
        i += length;
    }
    return true;
}

} // namespace cloudlet::net
