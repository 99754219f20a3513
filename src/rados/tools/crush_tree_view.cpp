#include "crush_tree_view.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "cloudlet/rados/crush_edit.h"

namespace cloudlet::rados {
namespace {

// Buckets sort before devices with a class, and among devices without one by their name's letters.
std::string sort_key(const CrushMap& map, int32_t item) {
    if (item < 0) return "_" + map.item_name(item);
    return fmt::format("{}_osd.{:08}", map.class_name_of_item(item), item);
}

std::string weight_text(float weight) {
    if (weight < -0.01F) return "-";
    if (weight < 0.000001F) return "0";
    return fmt::format("{:.5f}", weight);
}

struct Column {
    std::string title;
    bool right = false; // how its cells stand; the title always stands left
    std::vector<std::string> cells = {};
};

std::string set_weight(const CrushChooseArgs& set, const CrushTreeRow& row) {
    auto arg = set.find(row.parent);
    if (row.parent == 0 || arg == set.end() || arg->second.weight_sets.empty()) return {};
    return weight_text(crush_weight_to_float(arg->second.weight_sets[0][row.place]));
}

std::string name_cell(const CrushMap& map, const CrushTreeRow& row) {
    std::string text(static_cast<size_t>(row.depth) * 4, ' ');
    if (row.id >= 0) return text + fmt::format("osd.{}", row.id);
    return text + map.type_name(map.bucket(row.id)->type) + " " + map.item_name(row.id);
}

} // namespace

std::vector<CrushTreeRow> crush_tree_rows(const CrushMap& map, bool with_shadows) {
    std::vector<CrushTreeRow> rows, stack;
    auto roots = map.roots();
    if (!with_shadows) std::erase_if(roots, [&](int32_t root) { return map.is_shadow(root); });
    for (auto root = roots.rbegin(); root != roots.rend(); ++root)
        stack.push_back({*root, 0, 0, 0, map.bucket(*root)->weight});
    while (!stack.empty()) {
        CrushTreeRow row = stack.back();
        stack.pop_back();
        rows.push_back(row);
        const CrushBucket* bucket = map.bucket(row.id);
        if (!bucket) continue;
        std::map<std::string, CrushTreeRow> children; // of one that stands twice the first is shown
        for (size_t i = 0; i < bucket->items.size(); ++i)
            children.emplace(
                sort_key(map, bucket->items[i]),
                CrushTreeRow{bucket->items[i], row.id, i, row.depth + 1, bucket->item_weight(i)});
        for (auto child = children.rbegin(); child != children.rend(); ++child)
            stack.push_back(child->second);
    }
    return rows;
}

std::string crush_tree_table(const CrushMap& map) {
    std::vector<Column> columns = {{"ID", true}, {"CLASS", true}, {"WEIGHT", true}};
    for (const auto& [pool, set] : map.choose_args)
        columns.push_back(
            {pool == crush_default_choose_args ? "(compat)" : std::to_string(pool), true});
    columns.push_back({"TYPE NAME"});
    for (const auto& row : crush_tree_rows(map)) {
        columns[0].cells.push_back(std::to_string(row.id));
        columns[1].cells.emplace_back(map.class_name_of_item(row.id));
        columns[2].cells.push_back(weight_text(crush_weight_to_float(row.weight)));
        size_t next = 3;
        for (const auto& [pool, set] : map.choose_args)
            columns[next++].cells.push_back(set_weight(set, row));
        columns[next].cells.push_back(name_cell(map, row));
    }
    std::string text;
    std::vector<size_t> widths;
    for (const auto& column : columns) {
        size_t width = column.title.size();
        for (const auto& cell : column.cells) width = std::max(width, cell.size());
        widths.push_back(width);
        text += fmt::format("{}{:<{}}", text.empty() ? "" : "  ", column.title, width);
    }
    text += '\n';
    for (size_t line = 0; line < columns[0].cells.size(); ++line) {
        for (size_t i = 0; i < columns.size(); ++i) {
            const auto& cell = columns[i].cells[line];
            text += i ? "  " : "";
            text += columns[i].right ? fmt::format("{:>{}}", cell, widths[i])
                                     : fmt::format("{:<{}}", cell, widths[i]);
        }
        text += '\n';
    }
    return text;
}

} // namespace cloudlet::rados
