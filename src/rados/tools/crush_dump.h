#pragma once
// A CRUSH map for programs: `crushtool --dump`, `ceph osd crush dump`.

#include "cloudlet/rados/crush_map.h"
#include "dump_writer.h"

namespace cloudlet::rados {

void dump_crush_map(const CrushMap& map, DumpWriter& out);

} // namespace cloudlet::rados
