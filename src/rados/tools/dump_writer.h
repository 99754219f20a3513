#pragma once
// Writes structured dumps as Ceph's tools do: JSON in one line, JSON for people (4 spaces), or XML.
// Sections nest; a name is ignored inside an array, except in XML, where it is the element.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cloudlet::rados {

class DumpWriter {
public:
    enum class Format { json, json_pretty, xml };
    explicit DumpWriter(Format format) : format_(format) {}

    void open_object(std::string_view name) { open(name, '{'); }
    void open_array(std::string_view name) { open(name, '['); }
    void close();

    void text(std::string_view name, std::string_view value);
    void number(std::string_view name, int64_t value);
    void unsigned_number(std::string_view name, uint64_t value);
    /// 17 significant digits, as Ceph prints floats.
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

    Format format_;
    std::string out_;
    std::vector<Section> sections_;
};

} // namespace cloudlet::rados
