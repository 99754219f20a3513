#include "cloudlet/api/quantity.h"

#include <array>
#include <limits>

namespace cloudlet::api {

namespace {

using Wide = __int128;
constexpr Wide nano = 1'000'000'000;
constexpr Wide max_whole = std::numeric_limits<int64_t>::max();

tl::unexpected<Error> bad() {
    return fail(Code::invalid, "quantities must match the regular expression "
                               "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
}

struct Suffix {
    std::string_view text;
    int base; // 2 or 10
    int exponent;
};
// Ordered from large to small within a family.
constexpr std::array binary_suffixes{Suffix{"Ei", 2, 60}, Suffix{"Pi", 2, 50}, Suffix{"Ti", 2, 40},
                                     Suffix{"Gi", 2, 30}, Suffix{"Mi", 2, 20}, Suffix{"Ki", 2, 10}};
constexpr std::array decimal_suffixes{Suffix{"E", 10, 18}, Suffix{"P", 10, 15}, Suffix{"T", 10, 12},
                                      Suffix{"G", 10, 9},  Suffix{"M", 10, 6},  Suffix{"k", 10, 3},
                                      Suffix{"", 10, 0},   Suffix{"m", 10, -3}, Suffix{"u", 10, -6},
                                      Suffix{"n", 10, -9}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Multiplies towards saturation: the result never passes `limit`.
Wide scaled(Wide value, int base, int times, Wide limit) {
    for (int i = 0; i < times; ++i) {
        if (value > limit / base) return limit;
        value *= base;
    }
    return value;
}

struct Parts {
    bool negative = false;
    std::string digits; // without the point
    int fraction = 0;   // digits behind the point
    Suffix suffix{"", 10, 0};
    Quantity::Format format = Quantity::Format::decimal_si;
};

Result<Suffix> parse_exponent(std::string_view text) {
    text.remove_prefix(1); // e or E
    int sign = 1;
    if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
        if (text[0] == '-') sign = -1;
        text.remove_prefix(1);
    }
    if (text.empty()) return bad();
    int value = 0;
    for (char c : text) {
        if (!is_digit(c)) return bad();
        value = std::min(value * 10 + (c - '0'), 1000);
    }
    return Suffix{"", 10, sign * value};
}

Result<> parse_suffix(std::string_view text, Parts& parts) {
    for (const Suffix& suffix : binary_suffixes)
        if (text == suffix.text) {
            parts.suffix = suffix;
            parts.format = Quantity::Format::binary_si;
            return {};
        }
    for (const Suffix& suffix : decimal_suffixes)
        if (text == suffix.text) {
            parts.suffix = suffix;
            return {};
        }
    if (text.empty() || (text[0] != 'e' && text[0] != 'E')) return bad();
    parts.suffix = TRY(parse_exponent(text));
    parts.format = Quantity::Format::decimal_exponent;
    return {};
}

Result<Parts> split(std::string_view text) {
    Parts parts;
    if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
        parts.negative = text[0] == '-';
        text.remove_prefix(1);
    }
    bool point = false;
    size_t at = 0;
    for (; at < text.size() && (is_digit(text[at]) || text[at] == '.'); ++at) {
        if (text[at] == '.') {
            if (point) return bad();
            point = true;
            continue;
        }
        parts.digits += text[at];
        if (point) ++parts.fraction;
    }
    if (parts.digits.empty() || parts.digits.size() > 1000) return bad();
    TRY(parse_suffix(text.substr(at), parts));
    return parts;
}

/// digits * 10^shift rounded away from zero, saturating at `limit`.
Wide decimal(std::string_view digits, int shift, Wide limit) {
    int dropped = shift < 0 ? -shift : 0;
    bool inexact = false;
    while (dropped > 0 && !digits.empty()) {
        inexact |= digits.back() != '0';
        digits.remove_suffix(1);
        --dropped;
    }
    Wide value = 0;
    for (char c : digits) {
        if (value > (limit - 9) / 10) return limit;
        value = value * 10 + (c - '0');
    }
    if (shift > 0 && value > 0) value = scaled(value, 10, std::min(shift, 60), limit);
    return inexact ? std::min(value + 1, limit) : value;
}

/// digits * 10^-fraction * 2^power in nanos. Nanos are 10^9 = 2^9 * 5^9, so the power comes last
/// and rounding (away from zero) happens once; a 128-bit integer holds what matters before
/// saturation.
Wide binary(std::string_view digits, int fraction, int power, Wide limit) {
    constexpr int kept = 18; // digits behind the point that can still matter
    if (fraction > kept) {
        digits.remove_suffix(static_cast<size_t>(fraction - kept));
        fraction = kept;
    }
    Wide whole =
        decimal(digits.substr(0, digits.size() - static_cast<size_t>(fraction)), 0, max_whole);
    Wide value = scaled(whole, 2, power, max_whole) * nano;
    Wide rest = decimal(digits.substr(digits.size() - static_cast<size_t>(fraction)), 0, limit);
    Wide unit = 1;
    for (int i = 0; i < fraction; ++i) unit *= 10;
    // rest / unit * 2^power * nano, bit by bit so that nothing overflows
    Wide quotient = 0;
    Wide remainder = rest;
    for (int i = 0; i < power; ++i) {
        remainder *= 2;
        quotient = quotient * 2 + remainder / unit;
        remainder %= unit;
    }
    Wide nanos = quotient * nano;
    nanos += (remainder * nano + unit - 1) / unit;
    return std::min(value + nanos, limit);
}

std::string digits_of(Wide value) {
    if (value == 0) return "0";
    std::string text;
    for (; value > 0; value /= 10)
        text.insert(text.begin(), static_cast<char>('0' + static_cast<int>(value % 10)));
    return text;
}

} // namespace

Quantity Quantity::of(int64_t value, Format format) { return {Nanos{value} * nano, format}; }
Quantity Quantity::of_milli(int64_t milli, Format format) {
    return {Nanos{milli} * 1'000'000, format};
}

Result<Quantity> Quantity::parse(std::string_view text) {
    Parts parts = TRY(split(text));
    constexpr Wide limit = max_whole * nano;
    Wide nanos = parts.suffix.base == 2
                     ? binary(parts.digits, parts.fraction, parts.suffix.exponent, limit)
                     : decimal(parts.digits, parts.suffix.exponent + 9 - parts.fraction, limit);
    Format format = parts.format;
    return Quantity(parts.negative ? -nanos : nanos, format);
}

int64_t Quantity::value() const {
    Wide magnitude = nanos_ < 0 ? -nanos_ : nanos_;
    Wide whole = std::min((magnitude + nano - 1) / nano, max_whole); // away from zero
    return static_cast<int64_t>(nanos_ < 0 ? -whole : whole);
}

int64_t Quantity::milli_value() const {
    Wide magnitude = nanos_ < 0 ? -nanos_ : nanos_;
    Wide milli = std::min((magnitude + 999'999) / 1'000'000, max_whole);
    return static_cast<int64_t>(nanos_ < 0 ? -milli : milli);
}

double Quantity::as_double() const { return static_cast<double>(nanos_) / 1e9; }

std::string Quantity::to_string() const {
    if (nanos_ == 0) return "0";
    Wide magnitude = nanos_ < 0 ? -nanos_ : nanos_;
    std::string sign = nanos_ < 0 ? "-" : "";
    // Below 1024, and with a fraction, binary amounts print as decimal ones do.
    bool binary_form =
        format_ == Format::binary_si && magnitude % nano == 0 && magnitude / nano >= 1024;
    if (binary_form) {
        Wide whole = magnitude / nano;
        for (const Suffix& suffix : binary_suffixes) {
            Wide unit = Wide{1} << suffix.exponent;
            if (whole % unit == 0) return sign + digits_of(whole / unit) + std::string(suffix.text);
        }
        return sign + digits_of(whole);
    }
    for (const Suffix& suffix : decimal_suffixes) {
        Wide unit = scaled(1, 10, suffix.exponent + 9, std::numeric_limits<Wide>::max());
        if (magnitude % unit != 0) continue;
        std::string tail(suffix.text);
        if (format_ == Format::decimal_exponent)
            tail = suffix.exponent == 0 ? "" : "e" + std::to_string(suffix.exponent);
        return sign + digits_of(magnitude / unit) + tail;
    }
    return sign + digits_of(magnitude) + "n";
}

Quantity Quantity::operator+(const Quantity& other) const {
    Wide limit = max_whole * nano;
    Wide sum = nanos_ + other.nanos_;
    return {std::clamp(sum, -limit, limit), is_zero() ? other.format_ : format_};
}

Quantity Quantity::operator-(const Quantity& other) const {
    Wide limit = max_whole * nano;
    return {std::clamp(nanos_ - other.nanos_, -limit, limit), is_zero() ? other.format_ : format_};
}

std::strong_ordering Quantity::operator<=>(const Quantity& other) const {
    if (nanos_ == other.nanos_) return std::strong_ordering::equal;
    return nanos_ < other.nanos_ ? std::strong_ordering::less : std::strong_ordering::greater;
}

} // namespace cloudlet::api
