#pragma once
// A CRUSH map for programs: `crushtool --dump`, `ceph osd crush dump`.

#include "cloudlet/rados/crush_map.h"
#include "report_tree.h"

namespace cloudlet::rados {

ReportNode crush_dump(const CrushMap& map);

} // namespace cloudlet::rados
