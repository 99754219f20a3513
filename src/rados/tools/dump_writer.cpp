#include "tools/dump_writer.h"

#include <fmt/format.h>

namespace cloudlet::rados {
namespace {

void append_json_text(std::string& out, std::string_view text) {
    out += '"';
    for (char c : text) {
        switch (c) {
        case '"': out += "\\\""; break;
        case '\\': out += "\\\\"; break;
        case '\n': out += "\\n"; break;
        case '\t': out += "\\t"; break;
        case '\r': out += "\\r"; break;
        case '\b': out += "\\b"; break;
        case '\f': out += "\\f"; break;
        default:
            if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
                out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
            } else {
                out += c;
            }
        }
    }
    out += '"';
}

void append_xml_text(std::string& out, std::string_view text) {
    for (char c : text) {
        switch (c) {
        case '&': out += "&amp;"; break;
        case '<': out += "&lt;"; break;
        case '>': out += "&gt;"; break;
        case '"': out += "&quot;"; break;
        case '\'': out += "&apos;"; break;
        default: out += c;
        }
    }
}

} // namespace

bool DumpWriter::is_pretty() const {
    return format_ == Format::json_pretty || format_ == Format::xml_pretty ||
           format_ == Format::html_pretty;
}

void DumpWriter::new_line() {
    if (!is_pretty() || out_.empty()) return;
    out_ += '\n';
    out_.append(sections_.size() * (is_json() ? 4 : 1), ' ');
}

void DumpWriter::begin_value(std::string_view name) {
    if (!is_json()) return new_line();
    if (sections_.empty()) return;
    Section& section = sections_.back();
    if (!section.empty) out_ += ',';
    section.empty = false;
    new_line();
    if (section.kind == '[') return;
    append_json_text(out_, name);
    out_ += is_pretty() ? ": " : ":";
}

void DumpWriter::open(std::string_view name, char kind) {
    begin_value(name);
    if (is_json()) {
        out_ += kind;
    } else {
        out_ += fmt::format("<{}>", name);
    }
    sections_.push_back({std::string(name), kind});
}

void DumpWriter::close() {
    Section section = std::move(sections_.back());
    sections_.pop_back();
    if (!is_json() || !section.empty) new_line();
    if (is_json()) {
        out_ += section.kind == '{' ? '}' : ']';
    } else {
        out_ += fmt::format("</{}>", section.name);
    }
    if (sections_.empty() && is_pretty()) out_ += is_json() ? "\n" : "\n\n";
}

void DumpWriter::plain(std::string_view name, std::string_view value) {
    begin_value(name);
    if (is_json()) {
        out_ += value;
    } else if (is_html()) {
        out_ += fmt::format("<li>{}: {}</li>", name, value);
    } else {
        out_ += fmt::format("<{}>{}</{}>", name, value, name);
    }
}

void DumpWriter::text(std::string_view name, std::string_view value) {
    std::string quoted;
    if (is_json()) {
        append_json_text(quoted, value);
    } else {
        append_xml_text(quoted, value);
    }
    plain(name, quoted);
}

void DumpWriter::number(std::string_view name, int64_t value) {
    plain(name, std::to_string(value));
}

void DumpWriter::unsigned_number(std::string_view name, uint64_t value) {
    plain(name, std::to_string(value));
}

void DumpWriter::real(std::string_view name, double value) {
    plain(name, is_html() ? fmt::format("{:g}", value) : fmt::format("{:.17g}", value));
}

void DumpWriter::boolean(std::string_view name, bool value) {
    plain(name, value ? "true" : "false");
}

std::string DumpWriter::take() { return std::move(out_); }

std::optional<DumpWriter::Format> dump_format_of(std::string_view name) {
    using Format = DumpWriter::Format;
    constexpr std::pair<std::string_view, Format> formats[] = {
        {"json", Format::json}, {"json-pretty", Format::json_pretty},
        {"xml", Format::xml},   {"xml-pretty", Format::xml_pretty},
        {"html", Format::html}, {"html-pretty", Format::html_pretty}};
    for (const auto& [known, format] : formats)
        if (name == known) return format;
    return std::nullopt;
}

Result<void> refuse_tables(std::string_view format) {
    if (format != "table" && format != "table-kv") return {};
    return fail(Code::invalid, fmt::format("the format {} is not written here; use json or xml, or "
                                           "html-pretty to read it",
                                           format));
}

} // namespace cloudlet::rados
