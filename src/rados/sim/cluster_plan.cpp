#include "sim/cluster_plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/crush_edit.h"
#include "cloudlet/rados/osd_map_create.h"

namespace cloudlet::rados::sim {

namespace {

template <typename T>
T must(Result<T> result) {
    check(result.has_value(), "the simulator's own map cannot be made");
    return std::move(*result);
}
void must(Result<void> result) {
    check(result.has_value(), "the simulator's own map cannot be made");
}

size_t between(Random& random, size_t least, size_t most) {
    return least + random.below(most - least + 1);
}

constexpr uint8_t by_host = 0, by_osd = 1; // rules of hierarchy()

/// Mostly few, for few meet more often; now and then many.
size_t some_osds(Random& random) {
    return random.chance(0.9) ? between(random, 3, 8) : between(random, 9, 30);
}

CrushMap hierarchy(const CrushMap& simple, const ClusterPlan& plan) {
    CrushMap crush = simple;
    for (size_t osd = 0; osd < plan.osds; ++osd) {
        const auto number = static_cast<int32_t>(osd);
        must(update_item(
            crush, number, fmt::format("osd.{}", osd), crush_weight_one,
            {{"host", ClusterPlan::host_name(plan.host_of[osd])}, {"root", "default"}}));
    }
    must(remove_item(crush, *crush.item_of("localhost")));
    must(remove_item(crush, *crush.item_of("localrack")));
    must(create_simple_rule(crush, "by_osd", "default", "osd", "", RuleMode::firstn,
                            RuleType::replicated));
    return crush;
}

Pool some_pool(Random& random, size_t most_copies, uint8_t rule) {
    Pool pool;
    pool.size = static_cast<uint8_t>(between(random, 2, most_copies));
    pool.min_size = static_cast<uint8_t>(pool.size - pool.size / 2);
    if (random.chance(0.3)) pool.min_size = static_cast<uint8_t>(between(random, 1, pool.size));
    pool.crush_rule = rule;
    const auto pgs = static_cast<uint32_t>(between(random, 1, 8));
    pool.set_pg_num(pgs, pgs);
    pool.last_change = 1;
    return pool;
}

std::vector<Pool> some_pools(Random& random, const ClusterPlan& plan) {
    const uint8_t rule = plan.hosts() >= 3 ? by_host : by_osd;
    std::vector<Pool> pools(between(random, 1, 2));
    for (Pool& pool : pools) pool = some_pool(random, 3, rule);
    return pools;
}

std::shared_ptr<const OsdMap> base_map(const ClusterPlan& plan, const std::vector<Pool>& pools) {
    OsdMap map = must(create_simple_map({.osds = static_cast<int32_t>(plan.osds)}));
    map.fsid = disk_uuid(-1, 0);
    map.flags |= map_sortbitwise | map_recovery_deletes | map_purged_snapdirs | map_pglog_hardlimit;
    map.require_osd_release = 16;
    map.nearfull_ratio = 0.85f;
    map.backfillfull_ratio = 0.9f;
    map.full_ratio = 0.95f;
    map.set_crush(hierarchy(*map.crush, plan));
    for (size_t osd = 0; osd < plan.osds; ++osd) {
        map.osd_state[osd] = osd_exists;
        map.osd_weight[osd] = 0x10000;
        map.osd_uuid[osd] = disk_uuid(static_cast<int32_t>(osd), 0);
        map.osd_extra[osd].dead_epoch = 1; // an earlier life of it, which says nothing of the next
    }
    for (const Pool& pool : pools) {
        const PoolId id = ++map.pool_max;
        map.pools[id] = pool;
        map.pool_names[id] = fmt::format("pool{}", id);
    }
    return std::make_shared<const OsdMap>(std::move(map));
}

PgLogLimits some_limits(Random& random) {
    if (random.chance(0.25)) return {};
    // A request may come again as late as a partition lasts: its answer must still be known then.
    return {.entries = between(random, 5, 40), .answered = between(random, 200, 500)};
}

ScrubIntervals short_intervals(Random& random) {
    const Duration least = std::chrono::seconds(between(random, 20, 60));
    return {.least = least,
            .most = 4 * least,
            .deep = std::chrono::seconds(between(random, 30, 150)),
            .become_deep = random.chance(0.5) ? 0.15 : 0};
}

} // namespace

size_t ClusterPlan::hosts() const {
    return static_cast<size_t>(
        *std::max_element(host_of.begin(), host_of.begin() + static_cast<long>(osds)) + 1);
}

ClusterPlan plan_cluster(Random random) {
    ClusterPlan plan;
    plan.monitors = random.chance(0.6) ? 3 : 1;
    plan.clients = between(random, 1, 4);
    plan.osds = some_osds(random);
    plan.spare = between(random, 0, 2);
    const size_t on_each = between(random, plan.osds < 6 ? 1 : 2, 5);
    for (size_t osd = 0; osd < plan.all_osds(); ++osd)
        plan.host_of.push_back(static_cast<int>(osd / on_each));
    plan.base = base_map(plan, some_pools(random, plan));
    const size_t objects = between(random, 5, 24);
    for (size_t i = 0; i < objects; ++i) plan.objects.push_back(fmt::format("object{}", i));
    plan.log = some_limits(random);
    if (random.chance(0.8)) plan.batch = between(random, 1, 3);
    plan.working_time = std::chrono::seconds(between(random, 60, 200));
    plan.operations = between(random, 200, 300);
    plan.faults = between(random, 5, 12);
    if (random.chance(0.4)) plan.down_out_interval = std::chrono::seconds(between(random, 8, 30));
    if (random.chance(0.3)) plan.scrubs = short_intervals(random);
    plan.cluster_network = random.chance(0.5);
    return plan;
}

ClusterPlan plain_cluster(size_t osds, size_t spare) {
    ClusterPlan plan{.osds = osds, .spare = spare};
    for (size_t osd = 0; osd < plan.all_osds(); ++osd)
        plan.host_of.push_back(static_cast<int>(osd));
    Pool pool;
    pool.size = 3;
    pool.min_size = 2;
    pool.crush_rule = by_host;
    pool.set_pg_num(1, 1);
    pool.last_change = 1;
    plan.base = base_map(plan, {pool});
    return plan;
}

Uuid disk_uuid(int32_t osd, uint32_t generation) {
    Uuid uuid;
    uuid.bytes[0] = 0xd1;
    uuid.bytes[1] = static_cast<uint8_t>(osd + 1);
    uuid.bytes[2] = static_cast<uint8_t>(generation);
    return uuid;
}

} // namespace cloudlet::rados::sim
