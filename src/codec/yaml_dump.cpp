// Json to YAML in block style, as kubectl prints it.
#include "cloudlet/codec/yaml.h"
#include "utf8.h"
#include "yaml_scalar.h"

namespace cloudlet::codec {

namespace {

// Plain where no YAML reader, of 1.1 or 1.2, can take the text for something else.
bool may_stand_plain(std::string_view text) {
    if (text.empty() || !resolve_yaml_scalar(text).is_string()) return false;
    if (std::string_view("-?:,[]{}#&*!|>'\"%@`=<~. \t").find(text.front()) != text.npos)
        return false;
    if (text.back() == ' ' || text.back() == ':') return false;
    if (text.front() >= '0' && text.front() <= '9' &&
        text.find_first_not_of("0123456789-:. TZ+_eExXob") == text.npos)
        return false; // numbers, times and dates of some YAML or other
    for (size_t i = 0; i < text.size(); ++i) {
        auto c = static_cast<unsigned char>(text[i]);
        if (c < 0x20 || c >= 0x7F) return false;
        if (c == ':' && text[i + 1] == ' ') return false;
        if (c == '#' && text[i - 1] == ' ') return false;
    }
    return text.find_first_of("[]{},") == text.npos;
}

// Several lines that a literal block shows as they are.
bool may_stand_literal(std::string_view text) {
    if (text.find('\n') == text.npos || text.front() == ' ' || text.front() == '\n' ||
        text.front() == '\t')
        return false;
    for (size_t i = 0; i < text.size();) {
        auto c = static_cast<unsigned char>(text[i]);
        size_t length = utf8_length(text, i);
        if (!length || c == 0x7F || (c < 0x20 && c != '\n' && c != '\t')) return false;
        // U+0085, U+2028, U+2029 and the byte order mark break or vanish in some readers.
        auto rune = text.substr(i, length);
        if (rune == "\xC2\x85" || rune == "\xE2\x80\xA8" || rune == "\xE2\x80\xA9" ||
            rune == "\xEF\xBB\xBF")
            return false;
        if (length == 2 && c == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0)
            return false; // C1 controls
        i += length;
    }
    return text.find(" \n") == text.npos && text.find("\t\n") == text.npos && text.back() != ' ' &&
           text.back() != '\t';
}

void write_literal(std::string& out, std::string_view text, size_t indent) {
    bool ends = text.back() == '\n';
    out += '|';
    if (!ends) out += '-';
    if (text.ends_with("\n\n")) out += '+';
    out += '\n';
    if (ends) text.remove_suffix(1);
    for (;;) {
        size_t end = text.find('\n');
        auto line = text.substr(0, end);
        if (!line.empty()) out.append(indent, ' ').append(line);
        out += '\n';
        if (end == text.npos) return;
        text.remove_prefix(end + 1);
    }
}

void write_scalar(std::string& out, const Json& value, size_t indent) {
    std::string_view text = value.as_string();
    if (!value.is_string())
        value.dump_to(out);
    else if (may_stand_plain(text))
        out += text;
    else if (may_stand_literal(text))
        return write_literal(out, text, indent);
    else
        append_json_string(out, text);
    out += '\n';
}

void write_key(std::string& out, std::string_view key) {
    if (may_stand_plain(key))
        out += key;
    else
        append_json_string(out, key);
    out += ':';
}

bool is_block(const Json& value) {
    return (value.is_object() || value.is_array()) && !value.empty();
}

void write_block(std::string& out, const Json& value, size_t indent, bool inside_item);

// The value behind "key:": lists stand at the key's own column, mappings two further.
void write_member_value(std::string& out, const Json& value, size_t indent) {
    if (!is_block(value)) {
        out += ' ';
        return write_scalar(out, value, indent + 2);
    }
    out += '\n';
    write_block(out, value, value.is_array() ? indent : indent + 2, false);
}

// `inside_item`: the first line goes behind the "- " that is already written.
void write_block(std::string& out, const Json& value, size_t indent, bool inside_item) {
    auto start_line = [&] {
        if (!std::exchange(inside_item, false)) out.append(indent, ' ');
    };
    for (const auto& [key, member] : value.members()) {
        start_line();
        write_key(out, key);
        write_member_value(out, member, indent);
    }
    for (const Json& item : value.items()) {
        start_line();
        out += "- ";
        if (is_block(item))
            write_block(out, item, indent + 2, true);
        else
            write_scalar(out, item, indent + 2);
    }
}

} // namespace

std::string dump_yaml(const Json& value) {
    std::string out;
    if (is_block(value))
        write_block(out, value, 0, false);
    else
        write_scalar(out, value, 2);
    return out;
}

} // namespace cloudlet::codec
