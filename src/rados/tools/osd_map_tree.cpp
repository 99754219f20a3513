#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "tools/osd_map_text.h"

namespace cloudlet::rados {
namespace {

size_t at(int32_t osd) { return static_cast<size_t>(osd); }

struct Node {
    int32_t id;
    int32_t parent; // 0 for a root
    int32_t depth;
    uint32_t weight;
    std::vector<int32_t> children; // in the order of the lines
};

/// Lines are sorted: buckets by name, then devices by class and number.
std::string sort_key(const CrushMap& crush, int32_t item) {
    if (item < 0) return "_" + crush.item_name(item);
    return fmt::format("{}_osd.{:08}", crush.class_name_of_item(item), item);
}

class TreeWalk {
public:
    explicit TreeWalk(const OsdMap& map) : map_(map) {
        for (int32_t root : map.crush->roots_without_shadows())
            visit(root, 0, 0, map.crush->bucket(root)->weight);
        for (int32_t osd = 0; osd < map.max_osd(); ++osd)
            if (map.exists(osd) && !seen_.contains(osd)) stray.push_back({osd, 0, 0, 0, {}});
    }

    std::vector<Node> nodes, stray; // stray: OSDs that no bucket holds

private:
    void visit(int32_t item, int32_t parent, int32_t depth, uint32_t weight) {
        seen_.insert(item);
        size_t index = nodes.size();
        nodes.push_back({item, parent, depth, weight, {}});
        const CrushBucket* bucket = map_.crush->bucket(item);
        if (!bucket) return;
        std::vector<std::pair<std::string, size_t>> sorted;
        for (size_t i = 0; i < bucket->items.size(); ++i)
            sorted.emplace_back(sort_key(*map_.crush, bucket->items[i]), i);
        std::sort(sorted.begin(), sorted.end(), [&](const auto& a, const auto& b) {
            return std::pair(a.first, bucket->items[a.second]) <
                   std::pair(b.first, bucket->items[b.second]);
        });
        for (const auto& [key, i] : sorted) nodes[index].children.push_back(bucket->items[i]);
        for (const auto& [key, i] : sorted)
            visit(bucket->items[i], item, depth + 1, bucket->item_weight(i));
    }

    const OsdMap& map_;
    std::set<int32_t> seen_;
};

std::string_view status_of(const OsdMap& map, int32_t osd) {
    if (map.is_up(osd)) return "up";
    return map.exists(osd) && (map.osd_state[at(osd)] & osd_destroyed) ? "destroyed" : "down";
}

/// A weight in a column: five digits behind the point, and a bare 0.
std::string column_weight(double weight) {
    if (weight < -0.01) return "-";
    return weight < 0.000001 ? "0" : fmt::format("{:.5f}", weight);
}

using Row = std::array<std::string, 7>;

Row row_of(const OsdMap& map, const Node& node) {
    std::string indent(static_cast<size_t>(node.depth) * 4, ' ');
    Row row = {std::to_string(node.id),
               std::string(map.crush->class_name_of_item(node.id)),
               column_weight(static_cast<float>(node.weight) / 65536.0f),
               {},
               {},
               {},
               {}};
    if (node.id < 0) {
        row[3] =
            fmt::format("{}{} {}", indent, map.crush->type_name(map.crush->bucket(node.id)->type),
                        map.crush->item_name(node.id));
        return row;
    }
    row[3] = fmt::format("{}osd.{}", indent, node.id);
    if (!map.exists(node.id)) {
        row[4] = "DNE";
        row[5] = "0";
        return row;
    }
    row[4] = status_of(map, node.id);
    row[5] = column_weight(map.osd_weight[at(node.id)] / 65536.0);
    row[6] = column_weight(map.affinity(node.id) / 65536.0);
    return row;
}

void dump_node(const OsdMap& map, const Node& node, DumpWriter& out) {
    out.open_object("item");
    out.number("id", node.id);
    std::string_view device_class = map.crush->class_name_of_item(node.id);
    if (!device_class.empty()) out.text("device_class", device_class);
    out.text("name", node.id < 0 ? map.crush->item_name(node.id) : fmt::format("osd.{}", node.id));
    int32_t type = node.id < 0 ? map.crush->bucket(node.id)->type : 0;
    out.text("type", map.crush->type_name(type));
    out.number("type_id", type);
    if (node.id >= 0) {
        out.real("crush_weight", static_cast<float>(node.weight) / 65536.0f);
        out.unsigned_number("depth", static_cast<uint32_t>(node.depth));
    }
    if (node.parent) {
        out.open_object("pool_weights");
        const CrushBucket& parent = *map.crush->bucket(node.parent);
        for (const auto& [pool, args] : map.crush->choose_args) {
            auto arg = args.find(node.parent);
            size_t place = *parent.find(node.id);
            if (arg == args.end() || arg->second.weight_sets.empty()) continue;
            out.open_array(pool == crush_default_choose_args ? "(compat)" : std::to_string(pool));
            for (const auto& weights : arg->second.weight_sets)
                out.real("weight", static_cast<float>(weights[place]) / 65536.0f);
            out.close();
        }
        out.close();
    }
    if (node.id >= 0) {
        bool exists = map.exists(node.id);
        out.unsigned_number("exists", exists);
        out.text("status", status_of(map, node.id));
        out.real("reweight", map.has_osd(node.id)
                                 ? static_cast<float>(map.osd_weight[at(node.id)]) / 65536.0f
                                 : 0);
        out.real("primary_affinity",
                 map.has_osd(node.id) ? static_cast<float>(map.affinity(node.id)) / 65536.0f : 1);
    } else {
        out.open_array("children");
        for (auto child = node.children.rbegin(); child != node.children.rend(); ++child)
            out.number("child", *child);
        out.close();
    }
    out.close();
}

} // namespace

std::string print_osd_tree(const OsdMap& map) {
    TreeWalk walk(map);
    std::vector<Row> rows = {
        {"ID", "CLASS", "WEIGHT", "TYPE NAME", "STATUS", "REWEIGHT", "PRI-AFF"}};
    for (const Node& node : walk.nodes) rows.push_back(row_of(map, node));
    for (const Node& node : walk.stray) rows.push_back(row_of(map, node));
    std::array<size_t, 7> widths{};
    for (const Row& row : rows)
        for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    std::string text;
    for (const Row& row : rows) {
        for (size_t i = 0; i < row.size(); ++i) {
            bool left = &row == &rows[0] || i == 3;
            text += left ? fmt::format("{:<{}}", row[i], widths[i])
                         : fmt::format("{:>{}}", row[i], widths[i]);
            if (i + 1 < row.size()) text += "  ";
        }
        text += '\n';
    }
    return text;
}

void dump_osd_tree(const OsdMap& map, DumpWriter& out) {
    TreeWalk walk(map);
    out.open_object("tree");
    out.open_array("nodes");
    for (const Node& node : walk.nodes) dump_node(map, node, out);
    out.close();
    out.open_array("stray");
    for (const Node& node : walk.stray) dump_node(map, node, out);
    out.close();
    out.close();
}

} // namespace cloudlet::rados
