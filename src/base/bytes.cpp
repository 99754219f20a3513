#include "cloudlet/base/bytes.h"

#include <array>

namespace cloudlet {
namespace {

constexpr char hex_digits[] = "0123456789abcdef";
constexpr char standard_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr char url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string encode_base64(std::string_view bytes, const char* alphabet, bool padded) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (size_t at = 0; at < bytes.size(); at += 3) {
        size_t have = std::min<size_t>(3, bytes.size() - at);
        uint32_t group = 0;
        for (size_t i = 0; i < 3; ++i)
            group = group << 8 | (i < have ? static_cast<unsigned char>(bytes[at + i]) : 0U);
        for (size_t i = 0; i <= have; ++i) text += alphabet[group >> (18 - 6 * i) & 63];
        if (padded) text.append(3 - have, '=');
    }
    return text;
}

constexpr std::array<int8_t, 256> make_base64_values() {
    std::array<int8_t, 256> values{};
    values.fill(-1);
    for (int8_t i = 0; i < 64; ++i) {
        values[static_cast<unsigned char>(standard_alphabet[i])] = i;
        values[static_cast<unsigned char>(url_alphabet[i])] = i;
    }
    return values;
}

} // namespace

std::string to_hex(std::string_view bytes) {
    std::string text;
    text.reserve(bytes.size() * 2);
    for (unsigned char byte : bytes) {
        text += hex_digits[byte >> 4];
        text += hex_digits[byte & 15];
    }
    return text;
}

Result<std::string> from_hex(std::string_view text) {
    if (text.size() % 2) return fail(Code::invalid, "hex text has an odd number of digits");
    std::string bytes;
    bytes.reserve(text.size() / 2);
    for (size_t i = 0; i < text.size(); i += 2) {
        int high = hex_value(text[i]), low = hex_value(text[i + 1]);
        if (high < 0 || low < 0)
            return fail(Code::invalid, "hex text has a character that is no hex digit");
        bytes += static_cast<char>(high << 4 | low);
    }
    return bytes;
}

std::string to_base64(std::string_view bytes) {
    return encode_base64(bytes, standard_alphabet, true);
}
std::string to_base64url(std::string_view bytes) {
    return encode_base64(bytes, url_alphabet, false);
}

Result<std::string> from_base64(std::string_view text) {
    static constexpr auto values = make_base64_values();
    size_t padding = 0;
    while (padding < 2 && !text.empty() && text.back() == '=') {
        text.remove_suffix(1);
        ++padding;
    }
    if (text.size() % 4 == 1 || (padding && (text.size() + padding) % 4))
        return fail(Code::invalid, "base64 text has a wrong length");
    std::string bytes;
    bytes.reserve(text.size() / 4 * 3 + 2);
    uint32_t group = 0;
    int bits = 0;
    for (char c : text) {
        int value = values[static_cast<unsigned char>(c)];
        if (value < 0)
            return fail(Code::invalid, "base64 text has a character outside its alphabet");
        group = group << 6 | static_cast<uint32_t>(value);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes += static_cast<char>(group >> bits & 255);
        }
    }
    return bytes;
}

} // namespace cloudlet
