#include "cloudlet/rados/osd_map_create.h"

#include <array>

#include <fmt/format.h>

#include "cloudlet/rados/crush_builder.h"
#include "cloudlet/rados/crush_edit.h"

namespace cloudlet::rados {
namespace {

constexpr std::array type_names = {"osd", "host", "chassis",    "rack", "row",    "pdu",
                                   "pod", "room", "datacenter", "zone", "region", "root"};
constexpr uint16_t host_type = 1, rack_type = 3, root_type = 11;

/// root "default" > rack "localrack" > host "localhost" > the OSDs.
Result<CrushMap> one_host(int32_t osds) {
    CrushMap crush;
    for (size_t type = 0; type < type_names.size(); ++type)
        crush.type_names[static_cast<int32_t>(type)] = type_names[type];
    std::vector<int32_t> items;
    for (int32_t osd = 0; osd < osds; ++osd) {
        items.push_back(osd);
        crush.item_names[osd] = fmt::format("osd.{}", osd);
    }
    struct Level {
        uint16_t type;
        int32_t id;
        const char* name;
    };
    std::vector<uint32_t> weights(items.size(), crush_weight_one);
    for (const Level& level : {Level{host_type, -2, "localhost"}, Level{rack_type, -3, "localrack"},
                               Level{root_type, -1, "default"}}) {
        CrushBucket bucket = TRY(make_bucket(BucketAlg::straw2, level.type, items, weights,
                                             crush.tunables.straw_calc_version));
        bucket.id = level.id;
        items = {level.id};
        weights = {bucket.weight};
        TRY(add_bucket(crush, std::move(bucket)));
        crush.item_names[level.id] = level.name;
    }
    crush.max_devices = osds;
    TRY(create_simple_rule(crush, "replicated_rule", "default", "host", "", RuleMode::firstn,
                           RuleType::replicated));
    return crush;
}

Pool default_pool(uint32_t pg_num, uint32_t pgp_num) {
    Pool pool;
    pool.set_pg_num(pg_num, pgp_num);
    pool.pg_autoscale_mode = 2; // on
    pool.application_metadata["rbd"] = {};
    return pool;
}

} // namespace

Result<OsdMap> create_simple_map(const SimpleMapOptions& options) {
    if (options.osds <= 0 || options.osds > max_osd_limit)
        return fail(Code::invalid, fmt::format("osd count must be > 0 and at most {}, not {}",
                                               max_osd_limit, options.osds));
    uint64_t pg_num = options.pg_bits < 32 ? static_cast<uint64_t>(options.osds) << options.pg_bits
                                           : uint64_t{max_pg_num} + 1;
    if (options.with_default_pool && pg_num > max_pg_num)
        return fail(Code::invalid, fmt::format("{} OSDs with {} pg bits make more than {} PGs; ask "
                                               "for fewer --pg-bits",
                                               options.osds, options.pg_bits, max_pg_num));
    OsdMap map;
    map.epoch = 1;
    map.created = map.modified = options.now;
    map.resize_osds(options.osds);
    map.set_crush(TRY(one_host(options.osds)));
    map.erasure_code_profiles["default"] = {
        {"k", "2"}, {"m", "2"}, {"plugin", "jerasure"}, {"technique", "reed_sol_van"}};
    if (options.with_default_pool) {
        uint32_t pgp_bits = std::min(options.pg_bits, options.pgp_bits);
        map.pools[1] = default_pool(static_cast<uint32_t>(pg_num),
                                    static_cast<uint32_t>(options.osds) << pgp_bits);
        map.pool_names[1] = "rbd";
        map.pool_max = 1;
    }
    return map;
}

} // namespace cloudlet::rados
