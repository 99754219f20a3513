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

void DumpWriter::new_line() {
    if (format_ != Format::json_pretty) return;
    out_ += '\n';
    out_.append(sections_.size() * 4, ' ');
}

void DumpWriter::begin_value(std::string_view name) {
    if (format_ == Format::xml || sections_.empty()) return;
    Section& section = sections_.back();
    if (!section.empty) out_ += ',';
    section.empty = false;
    new_line();
    if (section.kind == '[') return;
    append_json_text(out_, name);
    out_ += format_ == Format::json_pretty ? ": " : ":";
}

void DumpWriter::open(std::string_view name, char kind) {
    begin_value(name);
    if (format_ == Format::xml) {
        out_ += fmt::format("<{}>", name);
    } else {
        out_ += kind;
    }
    sections_.push_back({std::string(name), kind});
}

void DumpWriter::close() {
    Section section = std::move(sections_.back());
    sections_.pop_back();
    if (format_ == Format::xml) {
        out_ += fmt::format("</{}>", section.name);
        return;
    }
    if (!section.empty) new_line();
    out_ += section.kind == '{' ? '}' : ']';
    if (sections_.empty() && format_ == Format::json_pretty) out_ += '\n';
}

void DumpWriter::plain(std::string_view name, std::string_view value) {
    begin_value(name);
    if (format_ == Format::xml) {
        out_ += fmt::format("<{}>{}</{}>", name, value, name);
    } else {
        out_ += value;
    }
}

void DumpWriter::text(std::string_view name, std::string_view value) {
    std::string quoted;
    if (format_ == Format::xml) {
        append_xml_text(quoted, value);
    } else {
        append_json_text(quoted, value);
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
    plain(name, fmt::format("{:.17g}", value));
}

void DumpWriter::boolean(std::string_view name, bool value) {
    plain(name, value ? "true" : "false");
}

std::string DumpWriter::take() { return std::move(out_); }

} // namespace cloudlet::rados
