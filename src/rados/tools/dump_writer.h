#pragma once
// Writes structured dumps as Ceph's tools do: JSON, XML, or XML with values as HTML list items; in
// one line, or for people (JSON with 4 spaces for a level, the others with 1). Sections nest; a
// name is ignored inside an array of JSON, elsewhere it is the element.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/result.h"

namespace cloudlet::rados {

class DumpWriter {
public:
    enum class Format { json, json_pretty, xml, xml_pretty, html, html_pretty };
    explicit DumpWriter(Format format) : format_(format) {}

    void open_object(std::string_view name) { open(name, '{'); }
    void open_array(std::string_view name) { open(name, '['); }
    void close();

    void text(std::string_view name, std::string_view value);
    void number(std::string_view name, int64_t value);
    void unsigned_number(std::string_view name, uint64_t value);
    /// 17 significant digits, but 6 in HTML, as Ceph prints floats.
    void real(std::string_view name, double value);
    void boolean(std::string_view name, bool value);

    std::string take();

private:
    struct Section {
        std::string name;
        char kind; // '{' or '['
        bool empty = true;
    };
    void open(std::string_view name, char kind);
    void begin_value(std::string_view name);
    void plain(std::string_view name, std::string_view value);
    void new_line();
    bool is_json() const { return format_ == Format::json || format_ == Format::json_pretty; }
    bool is_html() const { return format_ == Format::html || format_ == Format::html_pretty; }
    bool is_pretty() const;

    Format format_;
    std::string out_;
    std::vector<Section> sections_;
};

/// By Ceph's name: "json", "xml-pretty".
std::optional<DumpWriter::Format> dump_format_of(std::string_view name);

/// Refuses Ceph's tables of dumps, one column for each value: nobody can read a line of thousands,
/// and what a program reads is in JSON.
Result<void> refuse_tables(std::string_view format);

} // namespace cloudlet::rados
