// Json to text. Compact output is what goes over the wire and into the store, so it is stable: the
// same value gives the same bytes.
#include <array>
#include <charconv>
#include <cmath>

#include "cloudlet/codec/json.h"
#include "utf8.h"

namespace cloudlet::codec {

namespace {

// 0: as it is; 1: needs a look (a byte of a longer UTF-8 character); else the letter after the
// backslash, 'u' meaning \u00XX.
constexpr std::array<char, 256> make_escapes() {
    std::array<char, 256> table{};
    for (size_t c = 0; c < 0x20; ++c) table[c] = 'u';
    for (size_t c = 0x80; c < 0x100; ++c) table[c] = 1;
    table['"'] = '"';
    table['\\'] = '\\';
    table['\b'] = 'b';
    table['\f'] = 'f';
    table['\n'] = 'n';
    table['\r'] = 'r';
    table['\t'] = 't';
    return table;
}
constexpr auto escapes = make_escapes();

void append_escape(std::string& out, unsigned char c) {
    out += '\\';
    out += escapes[c];
    if (escapes[c] != 'u') return;
    constexpr char digits[] = "0123456789abcdef";
    out += "00";
    out += digits[c >> 4];
    out += digits[c & 15];
}

// As JavaScript and Go's encoding/json choose: plain digits from 1e-6 up to 1e21, else an exponent.
void append_double(std::string& out, double value) {
    if (value == 0 && std::signbit(value)) { // "-0" would read back as an integer
        out += "-0.0";
        return;
    }
    char buffer[64];
    double size = std::fabs(value);
    bool plain = size == 0 || (size >= 1e-6 && size < 1e21);
    auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
    auto end = std::to_chars(buffer, buffer + sizeof buffer, value, format).ptr;
    // to_chars writes two digits of exponent at least: "1e-07".
    if (!plain && end[-2] == '0' && (end[-3] == '-' || end[-3] == '+')) {
        end[-2] = end[-1];
        --end;
    }
    out.append(buffer, end);
}

template <typename Integer>
void append_integer(std::string& out, Integer value) {
    char buffer[24];
    out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
}

} // namespace

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    size_t plain = 0; // start of the bytes not yet copied
    for (size_t i = 0; i < text.size();) {
        auto c = static_cast<unsigned char>(text[i]);
        if (!escapes[c]) [[likely]] {
            ++i;
            continue;
        }
        size_t length = escapes[c] == 1 ? utf8_length(text, i) : 0;
        if (length) {
            i += length;
            continue;
        }
        out.append(text, plain, i - plain);
        if (escapes[c] == 1)
            out += "\xEF\xBF\xBD"; // U+FFFD
        else
            append_escape(out, c);
        plain = ++i;
    }
    out.append(text, plain);
    out += '"';
}

class JsonWriter {
public:
    JsonWriter(std::string& out, size_t indent) : out_(out), indent_(indent) {}

    void write(const Json& value) {
        using Kind = Json::Kind;
        switch (value.kind_) {
        case Kind::null: out_ += "null"; break;
        case Kind::boolean: out_ += value.load<bool>() ? "true" : "false"; break;
        case Kind::signed_integer: append_integer(out_, value.load<int64_t>()); break;
        case Kind::unsigned_integer: append_integer(out_, value.load<uint64_t>()); break;
        case Kind::real: append_double(out_, value.load<double>()); break;
        case Kind::short_text:
        case Kind::long_text: append_json_string(out_, value.as_string()); break;
        case Kind::huge_integer: out_ += value.long_text(); break;
        case Kind::array: write_array(value.items()); break;
        case Kind::object: write_object(value.members()); break;
        }
    }

private:
    void write_array(const Json::Array& items) {
        if (items.empty()) {
            out_ += "[]";
            return;
        }
        char before = '[';
        ++depth_;
        for (const Json& item : items) {
            out_ += before;
            before = ',';
            new_line();
            write(item);
        }
        --depth_;
        new_line();
        out_ += ']';
    }

    void write_object(const Json::Object& members) {
        if (members.empty()) {
            out_ += "{}";
            return;
        }
        char before = '{';
        ++depth_;
        for (const auto& [key, value] : members) {
            out_ += before;
            before = ',';
            new_line();
            append_json_string(out_, key);
            out_ += ':';
            if (indent_) out_ += ' ';
            write(value);
        }
        --depth_;
        new_line();
        out_ += '}';
    }

    void new_line() {
        if (!indent_) return;
        out_ += '\n';
        out_.append(depth_ * indent_, ' ');
    }

    std::string& out_;
    size_t indent_; // 0: compact
    size_t depth_ = 0;
};

void Json::dump_to(std::string& out) const { JsonWriter(out, 0).write(*this); }

std::string Json::dump() const {
    std::string out;
    out.reserve(256);
    dump_to(out);
    return out;
}

std::string Json::dump_pretty(size_t indent) const {
    std::string out;
    JsonWriter(out, indent).write(*this);
    return out;
}

} // namespace cloudlet::codec
