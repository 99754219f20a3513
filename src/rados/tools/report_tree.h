#pragma once
// What a command reports to programs: a tree of named values that is written as JSON or XML, in the
// forms of Ceph's tools.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cloudlet::rados {

class ReportNode {
public:
    static ReportNode object() { return ReportNode(Kind::object, {}); }
    static ReportNode array() { return ReportNode(Kind::array, {}); }

    /// A member of an object, or an element of an array, whose name only XML shows. Gives the
    /// child, which is valid until its next sibling is added.
    ReportNode& add(std::string_view name, ReportNode child);
    ReportNode& add_object(std::string_view name) { return add(name, object()); }
    ReportNode& add_array(std::string_view name) { return add(name, array()); }
    void add_text(std::string_view name, std::string_view value);
    void add_number(std::string_view name, int64_t value);
    /// As C++ streams print a double with all its digits: "0.5", "1", "0.3333282470703125".
    void add_number(std::string_view name, double value);

    std::string to_json() const;
    std::string to_pretty_json() const; // four spaces for a level
    std::string to_xml(std::string_view name) const;
    std::string to_pretty_xml(std::string_view name) const; // one space for a level

private:
    enum class Kind { number, text, object, array };
    ReportNode(Kind kind, std::string value) : kind_(kind), value_(std::move(value)) {}
    void write_json(std::string& out, int indent) const;
    void write_xml(std::string& out, std::string_view name, int indent) const;

    Kind kind_;
    std::string value_;
    std::vector<std::pair<std::string, ReportNode>> children_;
};

} // namespace cloudlet::rados
