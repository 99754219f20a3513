// Mappings per second on the three clusters that SPECIFICATION.md names, one by one and together.
#include <numeric>

#include <benchmark/benchmark.h>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/crush_builder.h"
#include "cloudlet/rados/crush_mapper.h"

namespace {

using namespace cloudlet::rados;

struct Cluster {
    uint32_t devices;
    std::vector<CrushLayer> layers;
};

Cluster cluster(int64_t devices) {
    if (devices == 10)
        return {10, {{"host", BucketAlg::straw2, 2}, {"root", BucketAlg::straw2, 0}}};
    if (devices == 100) {
        return {100, {{"host", BucketAlg::straw2, 10}, {"root", BucketAlg::straw2, 0}}};
    }
    return {1000,
            {{"host", BucketAlg::straw2, 10},
             {"rack", BucketAlg::straw2, 10},
             {"root", BucketAlg::straw2, 0}}};
}

// An operator's cluster has disks of several sizes: then draws need logarithms and quotients.
CrushMap unequal(CrushMap map) {
    for (auto& bucket : map.buckets) {
        if (!bucket) continue;
        for (size_t i = 0; i < bucket->weights.size(); ++i) {
            bucket->weights[i] += static_cast<uint32_t>(i % 3) * 1000;
        }
    }
    return map;
}

void run(benchmark::State& state, bool together) {
    auto made = cluster(state.range(0));
    auto map = build_crush_map(made.devices, made.layers);
    auto mapper = CrushMapper::prepare(state.range(1) ? unequal(*map) : *map);
    cloudlet::check(mapper.has_value(), "the benchmark's map is refused");
    std::vector<uint32_t> reweights(made.devices, crush_weight_one);
    CrushQuery query = {.rule = 0, .result_max = 3, .reweights = reweights};
    CrushWorkspace work;
    CrushResults results;
    std::vector<uint32_t> inputs(4096);
    std::iota(inputs.begin(), inputs.end(), 0);
    for (auto _ : state) {
        if (together) {
            mapper->map_many(work, query, inputs, results);
            benchmark::DoNotOptimize(results[0].data());
        } else {
            for (uint32_t x : inputs) benchmark::DoNotOptimize(mapper->map(work, query, x).data());
        }
    }
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(inputs.size()));
    state.SetLabel(CrushMapper::instruction_set());
}

void map_one_by_one(benchmark::State& state) { run(state, false); }
void map_together(benchmark::State& state) { run(state, true); }

BENCHMARK(map_one_by_one)->ArgsProduct({{10, 100, 1000}, {0, 1}})->ArgNames({"osds", "unequal"});
BENCHMARK(map_together)->ArgsProduct({{10, 100, 1000}, {0, 1}})->ArgNames({"osds", "unequal"});

} // namespace
