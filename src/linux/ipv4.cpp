#include "cloudlet/linux/ipv4.h"

#include <charconv>

#include <fmt/format.h>

namespace cloudlet::linux {

std::string Ipv4::to_string() const {
    return fmt::format("{}.{}.{}.{}", value >> 24, value >> 16 & 255, value >> 8 & 255,
                       value & 255);
}

std::string Ipv4Block::to_string() const { return fmt::format("{}/{}", base.to_string(), prefix); }

namespace {

tl::unexpected<Error> no_address(std::string_view text) {
    return fail(Code::invalid,
                fmt::format("\"{}\" is no IPv4 address; write it as 192.0.2.1", text));
}

} // namespace

Result<Ipv4> parse_ipv4(std::string_view text) {
    uint32_t value = 0;
    const char* at = text.data();
    const char* end = at + text.size();
    for (int part = 0; part < 4; ++part) {
        if (part > 0 && (at == end || *at++ != '.')) return no_address(text);
        const char* start = at;
        unsigned number = 0;
        auto parsed = std::from_chars(at, end, number);
        bool leading_zero = parsed.ptr - start > 1 && *start == '0';
        if (parsed.ec != std::errc{} || number > 255 || leading_zero) return no_address(text);
        value = value << 8 | number;
        at = parsed.ptr;
    }
    if (at != end) return no_address(text);
    return Ipv4{value};
}

Result<Ipv4Block> parse_ipv4_block(std::string_view text) {
    size_t slash = text.find('/');
    unsigned prefix = 33;
    if (slash != std::string_view::npos) {
        std::string_view digits = text.substr(slash + 1);
        auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
        if (parsed.ptr != digits.data() + digits.size() || digits.empty()) prefix = 33;
    }
    if (prefix > 32)
        return fail(Code::invalid,
                    fmt::format("\"{}\" is no address block; write it as 10.244.0.0/24", text));
    Ipv4Block block{TRY(parse_ipv4(text.substr(0, slash))), prefix};
    Ipv4 base{block.base.value & block.mask()};
    if (base != block.base)
        return fail(Code::invalid,
                    fmt::format("the block {} has bits set below its prefix; write it as {}/{}",
                                text, base.to_string(), prefix));
    return block;
}

} // namespace cloudlet::linux
