#include "yaml_scalar.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <optional>
#include <string>

namespace cloudlet::codec {

namespace {

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), text) != words.end();
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

size_t count_digits(std::string_view text) {
    return static_cast<size_t>(std::find_if_not(text.begin(), text.end(), is_digit) - text.begin());
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool is_float(std::string_view text) {
    if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
    size_t whole = count_digits(text);
    text.remove_prefix(whole);
    if (text.starts_with('.')) {
        size_t fraction = count_digits(text.substr(1));
        if (!whole && !fraction) return false;
        text.remove_prefix(1 + fraction);
    } else if (!whole) {
        return false;
    }
    if (text.empty()) return true;
    if (text[0] != 'e' && text[0] != 'E') return false;
    text.remove_prefix(1);
    if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
    return !text.empty() && count_digits(text) == text.size();
}

// The base that a prefix announces as Go's strconv does: 0x, 0o, 0b, or a bare leading zero for
// octal.
int take_base(std::string_view& digits) {
    if (digits.size() < 2 || digits[0] != '0') return 10;
    char letter = digits[1] | 0x20;
    int base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    digits.remove_prefix(base ? 2 : 1);
    return base ? base : 8;
}

std::optional<Json> resolve_integer(std::string_view text) {
    bool negative = text.starts_with('-');
    std::string_view digits = text;
    if (negative || text.starts_with('+')) digits.remove_prefix(1);
    int base = take_base(digits);
    uint64_t value = 0;
    auto [end, problem] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (problem != std::errc() || end != digits.data() + digits.size() || digits.empty())
        return std::nullopt;
    if (!negative) return Json(value);
    if (value > uint64_t{1} << 63) return std::nullopt;
    return Json(static_cast<int64_t>(~value + 1));
}

} // namespace

Json resolve_yaml_scalar(std::string_view text) {
    if (is_one_of(text, {"", "~", "null", "Null", "NULL"})) return {};
    if (is_one_of(text, {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}))
        return Json(true);
    if (is_one_of(text,
                  {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}))
        return Json(false);
    if (!is_digit(text[0]) && !is_one_of(text.substr(0, 1), {"+", "-", "."})) return Json(text);
    std::string plain(text);
    std::erase(plain, '_');
    if (auto integer = resolve_integer(plain)) return *integer;
    if (!is_float(plain)) return Json(text);
    double value = 0;
    std::string_view number = plain;
    if (number.starts_with('+')) number.remove_prefix(1);
    auto problem = std::from_chars(number.data(), number.data() + number.size(), value).ec;
    return problem == std::errc() ? Json(value) : Json(text);
}

} // namespace cloudlet::codec
