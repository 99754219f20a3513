#include "report_tree.h"

#include <fmt/format.h>

#include "cloudlet/codec/json.h"

namespace cloudlet::rados {
namespace {

constexpr int compact = -1; // as an indent: everything in one line

void start_line(std::string& out, int indent, int spaces) {
    if (indent == compact) return;
    out += '\n';
    out.append(static_cast<size_t>(indent * spaces), ' ');
}

int deeper(int indent) { return indent == compact ? compact : indent + 1; }

std::string escape_xml(std::string_view text) {
    std::string out;
    for (char c : text) {
        switch (c) {
        case '<': out += "&lt;"; break;
        case '>': out += "&gt;"; break;
        case '&': out += "&amp;"; break;
        case '\'': out += "&apos;"; break;
        case '"': out += "&quot;"; break;
        default: out += c;
        }
    }
    return out;
}

} // namespace

ReportNode& ReportNode::add(std::string_view name, ReportNode child) {
    return children_.emplace_back(name, std::move(child)).second;
}

void ReportNode::add_text(std::string_view name, std::string_view value) {
    add(name, ReportNode(Kind::text, std::string(value)));
}

void ReportNode::add_number(std::string_view name, int64_t value) {
    add(name, ReportNode(Kind::number, std::to_string(value)));
}

void ReportNode::add_number(std::string_view name, double value) {
    add(name, ReportNode(Kind::number, fmt::format("{:.17g}", value)));
}

std::string ReportNode::to_json() const {
    std::string out;
    write_json(out, compact);
    return out;
}

std::string ReportNode::to_pretty_json() const {
    std::string out;
    write_json(out, 0);
    return out + "\n";
}

std::string ReportNode::to_xml(std::string_view name) const {
    std::string out;
    write_xml(out, name, compact);
    return out;
}

std::string ReportNode::to_pretty_xml(std::string_view name) const {
    std::string out;
    write_xml(out, name, 0);
    return out.substr(1) + "\n\n"; // without the first line's break
}

void ReportNode::write_json(std::string& out, int indent) const {
    if (kind_ == Kind::number) out += value_;
    if (kind_ == Kind::text) out += codec::Json(value_).dump();
    if (kind_ == Kind::number || kind_ == Kind::text) return;
    out += kind_ == Kind::object ? '{' : '[';
    for (size_t i = 0; i < children_.size(); ++i) {
        if (i) out += ',';
        start_line(out, deeper(indent), 4);
        if (kind_ == Kind::object)
            out += codec::Json(children_[i].first).dump() + (indent == compact ? ":" : ": ");
        children_[i].second.write_json(out, deeper(indent));
    }
    if (!children_.empty()) start_line(out, indent, 4);
    out += kind_ == Kind::object ? '}' : ']';
}

void ReportNode::write_xml(std::string& out, std::string_view name, int indent) const {
    start_line(out, indent, 1);
    out += fmt::format("<{}>", name);
    if (kind_ == Kind::number || kind_ == Kind::text) {
        out += escape_xml(value_);
    } else {
        for (const auto& [child, node] : children_) node.write_xml(out, child, deeper(indent));
        start_line(out, indent, 1);
    }
    out += fmt::format("</{}>", name);
}

} // namespace cloudlet::rados
