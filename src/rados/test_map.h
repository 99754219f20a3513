#pragma once
// A storage map for tests in one line.

#include "cloudlet/base/check.h"
#include "cloudlet/rados/crush_builder.h"
#include "cloudlet/rados/osd_map.h"

namespace cloudlet::rados {

/// A failure here is the test's own fault and ends it. Hosts with OSDs of weight 1, all up and in,
/// and pool 1 "rbd" on a rule that puts copies into different hosts. With racks, hosts stand `hosts
/// / racks` in each.
inline OsdMap test_map(uint32_t hosts, uint32_t per_host, uint32_t pgs, uint8_t size,
                       uint32_t racks = 0) {
    std::vector<CrushLayer> layers = {{"host", BucketAlg::straw2, per_host}};
    if (racks) layers.push_back({"rack", BucketAlg::straw2, hosts / racks});
    layers.push_back({"root", BucketAlg::straw2, 0});
    auto crush = build_crush_map(hosts * per_host, layers);
    check(crush.has_value(), "a simple hierarchy can be built");
    OsdMap map;
    map.epoch = 7;
    map.resize_osds(static_cast<int32_t>(hosts * per_host));
    for (uint32_t& state : map.osd_state) state = osd_exists | osd_up;
    for (uint32_t& weight : map.osd_weight) weight = crush_weight_one;
    map.flags = map_sortbitwise;
    map.set_crush(std::move(*crush));
    Pool pool;
    pool.size = size;
    pool.min_size = static_cast<uint8_t>(size - size / 2);
    pool.set_pg_num(pgs, pgs);
    map.pools[1] = pool;
    map.pool_names[1] = "rbd";
    map.pool_max = 1;
    return map;
}

} // namespace cloudlet::rados
