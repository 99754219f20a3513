#include "cloudlet/rados/crush_hash.h"

#include <bit>

#include "crush_ln_table.h"

namespace cloudlet::rados {

namespace {

constexpr uint32_t seed = 1315423911;
constexpr uint32_t pad_x = 231232;
constexpr uint32_t pad_y = 1232;

// Bob Jenkins' mix of three words.
void mix(uint32_t& a, uint32_t& b, uint32_t& c) {
    a = (a - b - c) ^ (c >> 13);
    b = (b - c - a) ^ (a << 8);
    c = (c - a - b) ^ (b >> 13);
    a = (a - b - c) ^ (c >> 12);
    b = (b - c - a) ^ (a << 16);
    c = (c - a - b) ^ (b >> 5);
    a = (a - b - c) ^ (c >> 3);
    b = (b - c - a) ^ (a << 10);
    c = (c - a - b) ^ (b >> 15);
}

uint32_t word_at(const unsigned char* bytes) {
    return bytes[0] | uint32_t{bytes[1]} << 8 | uint32_t{bytes[2]} << 16 | uint32_t{bytes[3]} << 24;
}

} // namespace

uint32_t crush_hash32(uint32_t a) {
    uint32_t hash = seed ^ a, b = a, x = pad_x, y = pad_y;
    mix(b, x, hash);
    mix(y, a, hash);
    return hash;
}

uint32_t crush_hash32(uint32_t a, uint32_t b) {
    uint32_t hash = seed ^ a ^ b, x = pad_x, y = pad_y;
    mix(a, b, hash);
    mix(x, a, hash);
    mix(b, y, hash);
    return hash;
}

uint32_t crush_hash32(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t hash = seed ^ a ^ b ^ c, x = pad_x, y = pad_y;
    mix(a, b, hash);
    mix(c, x, hash);
    mix(y, a, hash);
    mix(b, x, hash);
    mix(y, c, hash);
    return hash;
}

uint32_t crush_hash32(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    uint32_t hash = seed ^ a ^ b ^ c ^ d, x = pad_x, y = pad_y;
    mix(a, b, hash);
    mix(c, d, hash);
    mix(a, x, hash);
    mix(y, b, hash);
    mix(c, x, hash);
    mix(y, d, hash);
    return hash;
}

uint32_t crush_hash32(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e) {
    uint32_t hash = seed ^ a ^ b ^ c ^ d ^ e, x = pad_x, y = pad_y;
    mix(a, b, hash);
    mix(c, d, hash);
    mix(e, x, hash);
    mix(y, a, hash);
    mix(b, x, hash);
    mix(y, c, hash);
    mix(d, x, hash);
    mix(y, e, hash);
    return hash;
}

uint32_t hash_name_rjenkins(std::string_view name) {
    uint32_t a = 0x9e3779b9, b = a, c = 0;
    const auto* bytes = reinterpret_cast<const unsigned char*>(name.data());
    size_t left = name.size();
    for (; left >= 12; bytes += 12, left -= 12) {
        a += word_at(bytes);
        b += word_at(bytes + 4);
        c += word_at(bytes + 8);
        mix(a, b, c);
    }
    // The lowest byte of c is taken by the length.
    c += static_cast<uint32_t>(name.size());
    for (size_t i = 0; i < left; ++i) {
        uint32_t byte = bytes[i];
        if (i < 4) {
            a += byte << (8 * i);
        } else if (i < 8) {
            b += byte << (8 * (i - 4));
        } else {
            c += byte << (8 * (i - 7));
        }
    }
    mix(a, b, c);
    return c;
}

uint32_t hash_name_linux(std::string_view name) {
    uint64_t hash = 0;
    for (unsigned char c : name) hash = (hash + (uint64_t{c} << 4) + (c >> 4)) * 11;
    return static_cast<uint32_t>(hash);
}

uint64_t crush_ln(uint32_t x) {
    // Normalised to [2^15, 2^16]: eight bits choose the coarse entry, what its reciprocal leaves
    // over chooses the fine one.
    ++x;
    uint64_t exponent = 15;
    if ((x & 0x18000) == 0) {
        int shift = std::countl_zero(x) - 16;
        x <<= shift;
        exponent -= static_cast<uint64_t>(shift);
    }
    size_t coarse = ((x >> 8) - 128) * 2;
    uint64_t rest = (x * ln_coarse[coarse]) >> 48;
    return (exponent << 44) + ((ln_coarse[coarse + 1] + ln_fine[rest & 0xff]) >> 4);
}

} // namespace cloudlet::rados
