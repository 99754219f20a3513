// A pool of 65,536 PGs on 1,000 OSDs in 10 racks of 10 hosts: placed as a whole, and from one map
// to the next.
#include <benchmark/benchmark.h>

#include "cloudlet/rados/crush_builder.h"
#include "cloudlet/rados/placement.h"

namespace cloudlet::rados {
namespace {

std::shared_ptr<OsdMap> large_cluster() {
    auto map = std::make_shared<OsdMap>();
    CrushLayer layers[] = {{"host", BucketAlg::straw2, 10},
                           {"rack", BucketAlg::straw2, 10},
                           {"root", BucketAlg::straw2, 0}};
    map->set_crush(*build_crush_map(1000, layers));
    map->resize_osds(1000);
    for (auto& state : map->osd_state) state = osd_exists | osd_up;
    for (auto& weight : map->osd_weight) weight = crush_weight_one;
    map->pools[1].set_pg_num(65536, 65536);
    return map;
}

void place_pool(benchmark::State& state) {
    Placer placer = *Placer::prepare(large_cluster());
    CrushWorkspace work;
    for (auto _ : state) benchmark::DoNotOptimize(placer.place_pool(work, 1));
    state.SetItemsProcessed(state.iterations() * 65536);
}
BENCHMARK(place_pool)->Unit(benchmark::kMillisecond);

/// Places the pool, changes the map, and measures the update alone.
template <typename Change>
void update_pool(benchmark::State& state, Change change) {
    auto before = large_cluster(), after = std::make_shared<OsdMap>(*before);
    change(*before, *after);
    Placer old_placer = *Placer::prepare(before), placer = *old_placer.prepare_next(after);
    CrushWorkspace work;
    PoolPlacement old = old_placer.place_pool(work, 1), updated;
    for (auto _ : state) updated = placer.update_pool(work, old_placer, old, 1);
    state.counters["walked"] = updated.walked;
    state.SetItemsProcessed(state.iterations() * 65536);
}

void update_after_down(benchmark::State& state) {
    update_pool(state, [](OsdMap&, OsdMap& after) { after.osd_state[17] = osd_exists; });
}
BENCHMARK(update_after_down)->Unit(benchmark::kMillisecond);

void update_after_out(benchmark::State& state) {
    update_pool(state, [](OsdMap&, OsdMap& after) { after.osd_weight[17] = 0; });
}
BENCHMARK(update_after_out)->Unit(benchmark::kMillisecond);

void update_after_slight_reweight(benchmark::State& state) {
    update_pool(state, [](OsdMap& before, OsdMap& after) {
        before.osd_weight[17] = crush_weight_one * 9 / 10;
        after.osd_weight[17] = crush_weight_one;
    });
}
BENCHMARK(update_after_slight_reweight)->Unit(benchmark::kMillisecond);

} // namespace
} // namespace cloudlet::rados
