#pragma once
// New OSD maps: what `osdmaptool --createsimple` makes, byte for byte.

#include <cstdint>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/osd_map.h"

namespace cloudlet::rados {

struct SimpleMapOptions {
    int32_t osds = 1;
    bool with_default_pool = false; // pool 1, "rbd", 3 replicas
    uint32_t pg_bits = 6;           // pg_num is osds << pg_bits
    uint32_t pgp_bits = 6;          // at most pg_bits
    Timestamp now = {};
};

/// OSDs that do not exist yet, all in one host; epoch 1. Error: Code::invalid for a count that is
/// not positive or a pg_num that no pool can have.
Result<OsdMap> create_simple_map(const SimpleMapOptions& options);

} // namespace cloudlet::rados
