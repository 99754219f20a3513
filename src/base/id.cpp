#include "cloudlet/base/id.h"

#include <string>

#include "cloudlet/base/bytes.h"

namespace cloudlet {

static constexpr std::string_view name_alphabet = "bcdfghjklmnpqrstvwxz2456789";

std::string new_uuid() {
    std::string bytes = secure_random_bytes(16);
    bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40); // version 4
    bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80); // variant 10
    std::string hex = to_hex(bytes);
    for (size_t dash : {20, 16, 12, 8}) hex.insert(dash, 1, '-');
    return hex;
}

std::string new_hex_id(size_t digits) {
    std::string hex = to_hex(secure_random_bytes((digits + 1) / 2));
    hex.resize(digits);
    return hex;
}

std::string new_name_suffix(size_t length) {
    std::string suffix;
    while (suffix.size() < length) {
        for (unsigned char byte : secure_random_bytes(length * 2)) {
            constexpr unsigned even_part =
                256 - 256 % name_alphabet.size(); // no letter is likelier
            if (byte < even_part && suffix.size() < length)
                suffix += name_alphabet[byte % name_alphabet.size()];
        }
    }
    return suffix;
}

std::string safe_encode(uint32_t number) {
    std::string encoded;
    for (char digit : std::to_string(number))
        encoded += name_alphabet[static_cast<unsigned char>(digit) % name_alphabet.size()];
    return encoded;
}

uint32_t fnv1a32(std::string_view text) {
    uint32_t hash = 2166136261U;
    for (unsigned char byte : text) hash = (hash ^ byte) * 16777619U;
    return hash;
}

} // namespace cloudlet
