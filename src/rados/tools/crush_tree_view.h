#pragma once
// A CRUSH map as an indented table (`crushtool --tree`, `ceph osd crush tree`).

#include <string>
#include <vector>

#include "cloudlet/rados/crush_map.h"

namespace cloudlet::rados {

struct CrushTreeRow {
    int32_t id = 0;
    int32_t parent = 0; // 0 for a root
    size_t place = 0;   // among the parent's items
    int depth = 0;
    uint32_t weight = 0;
};

/// All items below all roots, shadow trees too, in the order of the table: roots by id, below a
/// bucket first buckets by name, then devices by class and id.
std::vector<CrushTreeRow> crush_tree_rows(const CrushMap& map, bool with_shadows = true);

/// The table, with a column for each weight set.
std::string crush_tree_table(const CrushMap& map);

} // namespace cloudlet::rados
