// The promise of the planner: one of 1,000 OSDs out of a map with 65,536 PGs, all orders compared.

#include <benchmark/benchmark.h>

#include "plan_test_support.h"

namespace cloudlet::rados {
namespace {

void plan_removal(benchmark::State& state, std::string_view words, uint32_t racks) {
    OsdMap map = test_map(100, 10, 65536, 3, racks);
    auto changes = changes_of(words);
    for (auto _ : state) {
        auto plan = make_plan(map, changes, {});
        check(plan.has_value(), "the plan can be made");
        benchmark::DoNotOptimize(plan->ways.front().total.remapped);
    }
}

BENCHMARK_CAPTURE(plan_removal, remove_in_10_racks, "remove osd.500", 10)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(plan_removal, remove_in_100_hosts, "remove osd.500", 0)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(plan_removal, replace_in_10_racks,
                  "remove osd.500 add osd.1000 weight 1 host=host50", 10)
    ->Unit(benchmark::kMillisecond);

} // namespace
} // namespace cloudlet::rados
