// The picture of a plan: boxes in boxes. A bucket of devices is a card with a row for each device;
// a bucket of buckets is a frame around theirs. Two passes: measure, then draw. Text never meets
// other text because every column has a fixed width and what is longer is cut.

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "plan_format.h"

namespace cloudlet::rados {
namespace {

// All in pixels. The fonts are fixed-width: 12 px letters are 7.3 wide, 11 px ones 6.7.
constexpr double gap = 12, card_width = 352, row_height = 20, title_height = 30, page_margin = 20;
constexpr double bars_left = 96, bars_width = 112;
constexpr double header_height = 76;
constexpr double letter_width = 7.3;
constexpr size_t name_letters = 11;
constexpr size_t most_columns = 4;

constexpr std::string_view style = R"(<style>
text { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace }
text { font-size: 12px; fill: #1f2328 }
.small { font-size: 11px }
.head { font-size: 14px; font-weight: bold }
.dim { fill: #59636e }
.added { fill: #1a7f37 }
.removed { fill: #cf222e; text-decoration: line-through }
.page { fill: #ffffff }
.frame { fill: none; stroke: #afb8c1 }
.card { fill: #f6f8fa; stroke: #d0d7de }
.before { fill: #a0a8b0 }
.after { fill: #0969da }
.share { stroke: #bc4c00; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.dim { fill: #9198a1 }
.added { fill: #3fb950 }
.removed { fill: #f85149 }
.page { fill: #0d1117 }
.frame { stroke: #484f58 }
.card { fill: #161b22; stroke: #30363d }
.before { fill: #6e7681 }
.after { fill: #4493f8 }
.share { stroke: #f0883e }
}
</style>
)";

/// Text for XML: what a map's names may hold and a picture may not becomes '?'.
std::string escape(std::string_view text) {
    std::string safe;
    for (char c : text) {
        switch (c) {
        case '<': safe += "&lt;"; break;
        case '>': safe += "&gt;"; break;
        case '&': safe += "&amp;"; break;
        case '"': safe += "&quot;"; break;
        default: safe += c >= ' ' && c <= '~' ? c : '?';
        }
    }
    return safe;
}

std::string cut(std::string text, size_t letters) {
    if (text.size() <= letters) return text;
    text.resize(letters > 2 ? letters - 2 : 0);
    return text + "..";
}

/// A node with its children, as the picture nests them.
struct Box {
    const PlanNode* node = nullptr; // null for the page
    std::vector<Box> boxes;         // buckets
    std::vector<const PlanNode*> devices;
    double width = 0, height = 0;

    bool is_card() const { return boxes.empty(); }
};

class Picture {
public:
    explicit Picture(const Plan& plan) : plan_(plan) {
        size_t next = 0;
        while (next < plan.nodes.size()) page_.boxes.push_back(nest(next));
        for (const PlanNode& node : plan.nodes)
            if (node.is_device())
                most_ = std::max({most_, node.before.bytes, node.after.bytes, node.after.share});
        measure(page_);
    }

    std::string draw() {
        double width = std::max(page_.width, 2 * card_width) + 2 * page_margin;
        double height = page_.height + header_height + page_margin;
        out_ = fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:g}\" "
                           "height=\"{1:g}\" viewBox=\"0 0 {0:g} {1:g}\" role=\"img\">\n"
                           "<title>What each device holds before and after the change</title>\n",
                           width, height);
        out_ += style;
        out_ +=
            fmt::format("<rect class=\"page\" width=\"{:g}\" height=\"{:g}\"/>\n", width, height);
        draw_header(width);
        draw_boxes(page_, page_margin, header_height);
        return std::move(out_) + "</svg>\n";
    }

private:
    Box nest(size_t& next) {
        Box box;
        box.node = &plan_.nodes[next++];
        while (next < plan_.nodes.size() && plan_.nodes[next].depth > box.node->depth) {
            if (plan_.nodes[next].is_device())
                box.devices.push_back(&plan_.nodes[next++]);
            else
                box.boxes.push_back(nest(next));
        }
        return box;
    }

    /// Cards stand side by side, frames one below the other.
    static size_t columns_of(const Box& box) {
        bool cards = std::all_of(box.boxes.begin(), box.boxes.end(),
                                 [](const Box& child) { return child.is_card(); });
        return cards ? std::clamp<size_t>(box.boxes.size(), 1, most_columns) : 1;
    }

    void measure(Box& box) {
        for (Box& child : box.boxes) measure(child);
        double rows = static_cast<double>(box.devices.size()) * row_height;
        if (box.node && box.is_card()) {
            box.width = card_width;
            box.height = title_height + rows + gap / 2;
            return;
        }
        size_t columns = columns_of(box);
        double height = 0;
        for (size_t first = 0; first < box.boxes.size(); first += columns) {
            double line_width = gap, line_height = 0;
            for (size_t i = first; i < std::min(first + columns, box.boxes.size()); ++i) {
                line_width += box.boxes[i].width + gap;
                line_height = std::max(line_height, box.boxes[i].height);
            }
            box.width = std::max(box.width, line_width);
            height += line_height + gap;
        }
        if (!box.node) box.width -= 2 * gap;
        box.height = height + (box.node ? title_height + rows : 0);
    }

    void text(double x, double y, std::string_view classes, std::string_view content,
              std::string_view anchor = "start") {
        out_ +=
            fmt::format("<text x=\"{:g}\" y=\"{:g}\" class=\"{}\" text-anchor=\"{}\">{}</text>\n",
                        x, y, classes, anchor, content);
    }

    void draw_header(double width) {
        auto letters = static_cast<size_t>((width - 2 * page_margin) / 8.6);
        std::string changes;
        for (const PlanStep& step : plan_.ways.front().steps)
            changes += (changes.empty() ? "" : ", ") + step.change.to_string();
        text(page_margin, 24, "head", escape(cut(changes, letters)));
        const Movement& total = plan_.ways.front().total;
        std::string sum = fmt::format("{} PGs move", total.remapped);
        if (total.refilled) sum += fmt::format(", {} are refilled", total.refilled);
        sum += fmt::format(", {} copies", total.copies);
        if (plan_.in_bytes) sum += ", " + data_text(plan_, total.bytes);
        text(page_margin, 43, "dim", sum);
        double x = page_margin;
        for (auto [name, label] : {std::pair{"before", "before"}, {"after", "after"}}) {
            out_ += fmt::format(
                "<rect class=\"{}\" x=\"{:g}\" y=\"56\" width=\"22\" height=\"6\"/>\n", name, x);
            text(x + 28, 63, "small dim", label);
            x += 90;
        }
        out_ += fmt::format("<path class=\"share\" d=\"M{:g} 53v12\"/>\n", x + 4);
        text(x + 12, 63, "small dim", "share by weight");
        text(x + 140, 63, "small added", "+ new disk");
        text(x + 226, 63, "small removed", "gone");
    }

    void draw_boxes(const Box& box, double left, double top) {
        size_t columns = columns_of(box);
        double x = left, y = top, line_height = 0;
        for (size_t i = 0; i < box.boxes.size(); ++i) {
            if (i && i % columns == 0) {
                x = left;
                y += line_height + gap;
                line_height = 0;
            }
            draw_box(box.boxes[i], x, y);
            x += box.boxes[i].width + gap;
            line_height = std::max(line_height, box.boxes[i].height);
        }
    }

    /// "412 → 398", or one figure when nothing changes.
    std::string before_after(const PlanNode& node) const {
        std::string before = data_text(plan_, node.before.bytes);
        std::string after = data_text(plan_, node.after.bytes);
        return before == after ? after : before + " \u2192 " + after;
    }

    void draw_box(const Box& box, double x, double y) {
        const PlanNode& node = *box.node;
        out_ += fmt::format("<rect class=\"{}\" x=\"{:g}\" y=\"{:g}\" width=\"{:g}\" "
                            "height=\"{:g}\" rx=\"6\"/>\n",
                            box.is_card() ? "card" : "frame", x, y, box.width, box.height);
        std::string name = node.name == node.type ? node.name : node.type + " " + node.name;
        constexpr size_t figures = 20; // letters of before_after() at most
        auto letters = static_cast<size_t>((box.width - 2 * gap) / 8.6) - figures;
        text(x + gap, y + 20, "head" + fate_class(node), escape(cut(name, letters)));
        text(x + box.width - gap, y + 20, "small dim", before_after(node), "end");
        double row = y + title_height;
        for (const PlanNode* device : box.devices) {
            draw_device(*device, x, row);
            row += row_height;
        }
        draw_boxes(box, x + gap, row);
    }

    static std::string fate_class(const PlanNode& node) {
        bool is_new = node.fate == PlanNode::Fate::added || node.fate == PlanNode::Fate::replaced;
        return is_new ? " added" : node.fate == PlanNode::Fate::removed ? " removed" : "";
    }

    void bar(std::string_view name, double x, double y, double value) {
        out_ += fmt::format("<rect class=\"{}\" x=\"{:g}\" y=\"{:g}\" width=\"{:.1f}\" "
                            "height=\"6\"/>\n",
                            name, x, y, most_ > 0 ? value / most_ * bars_width : 0);
    }

    void draw_device(const PlanNode& node, double x, double y) {
        std::string state(fate_text(node.fate));
        out_ += fmt::format("<g><title>{}{}: weight {}, {} before, {} after ({} of its share), "
                            "receives {}</title>\n",
                            escape(node.name), state.empty() ? "" : " (" + state + ")",
                            weight_text(node.weight_after), data_text(plan_, node.before.bytes),
                            data_text(plan_, node.after.bytes), deviation_text(node.after),
                            data_text(plan_, node.received));
        bool is_new = node.fate == PlanNode::Fate::added || node.fate == PlanNode::Fate::replaced;
        text(x + gap, y + 14, "name" + fate_class(node),
             escape(cut((is_new ? "+" : "") + node.name, name_letters)));
        bar("before", x + bars_left, y + 3, node.before.bytes);
        bar("after", x + bars_left, y + 10, node.after.bytes);
        if (node.after.share > 0)
            out_ += fmt::format("<path class=\"share\" d=\"M{:.1f} {:g}v15\"/>\n",
                                x + bars_left + node.after.share / most_ * bars_width, y + 2);
        text(x + card_width - gap, y + 14, "small", before_after(node), "end");
        out_ += "</g>\n";
    }

    const Plan& plan_;
    Box page_;
    double most_ = 0;
    std::string out_;
};

static_assert(gap + name_letters * letter_width < bars_left, "a name ends before the bars");

} // namespace

std::string plan_svg(const Plan& plan) { return Picture(plan).draw(); }

} // namespace cloudlet::rados
