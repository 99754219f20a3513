#pragma once
// A world for the planner's tests and benchmark in one line.

#include <string>
#include <string_view>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/crush_builder.h"
#include "cloudlet/rados/plan.h"

namespace cloudlet::rados {

/// A failure here is the test's own fault and ends it. Hosts with OSDs of weight 1, all up and in,
/// and pool 1 "rbd" on a rule that puts copies into different hosts. With racks, hosts stand `hosts
/// / racks` in each.
inline OsdMap plan_map(uint32_t hosts, uint32_t per_host, uint32_t pgs, uint8_t size,
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

inline std::vector<Change> changes_of(std::string_view text) {
    const std::string words[] = {std::string(text)};
    auto changes = parse_changes(words);
    check(changes.has_value(), "the words of a test are changes");
    return std::move(*changes);
}

inline Plan plan_of(const OsdMap& map, std::string_view changes, const PlanOptions& options = {}) {
    auto plan = make_plan(map, changes_of(changes), options);
    check(plan.has_value(), "the changes of a test can be planned");
    return std::move(*plan);
}

} // namespace cloudlet::rados
