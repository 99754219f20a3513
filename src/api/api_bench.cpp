// What a request costs in this room, and what the kinds cost at start.
#include <benchmark/benchmark.h>

#include "builtin_schemas.h"
#include "cloudlet/api/openapi.h"
#include "cloudlet/api/patch.h"
#include "cloudlet/api/table.h"

namespace cloudlet::api {
namespace {

Json parse(std::string_view text) { return *codec::parse_json(text); }

const Kind& pods() { return *builtin_kinds().find("", "v1", "pods"); }

Json pod() {
    return parse(
        R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-1","namespace":"default","labels":{"app":"web"}},
        "spec":{"containers":[{"name":"c","image":"nginx:1.25","ports":[{"containerPort":80}],
        "env":[{"name":"A","value":"1"}],"resources":{"requests":{"cpu":"100m","memory":"64Mi"}},
        "readinessProbe":{"httpGet":{"port":80}},"volumeMounts":[{"name":"v","mountPath":"/v"}]}],
        "volumes":[{"name":"v","emptyDir":{}}]}})");
}

void link_the_tables(benchmark::State& state) {
    for (auto _ : state) {
        SchemaBuilder schemas(tables::builtin());
        benchmark::DoNotOptimize(schemas.node(0));
    }
}
BENCHMARK(link_the_tables)->Unit(benchmark::kMicrosecond);

void admit_a_pod(benchmark::State& state) { // check, prune, default, prepare, validate
    const Json object = pod();
    for (auto _ : state) {
        Json copy = object;
        bool good = pods().schema->check_types(copy).has_value();
        pods().schema->prune(copy);
        default_object(pods(), copy);
        prepare_create(pods(), copy);
        good &= validate_create(pods(), copy).empty();
        benchmark::DoNotOptimize(good);
    }
}
BENCHMARK(admit_a_pod)->Unit(benchmark::kMicrosecond);

void patch_a_pod_status(benchmark::State& state) {
    const Json object = pod();
    const Json patch =
        parse(R"({"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}],
        "containerStatuses":[{"name":"c","ready":true,"restartCount":0}]}})");
    for (auto _ : state)
        benchmark::DoNotOptimize(apply_strategic_patch(object, patch, *pods().schema));
}
BENCHMARK(patch_a_pod_status)->Unit(benchmark::kMicrosecond);

void render_a_pod_row(benchmark::State& state) {
    const Json object = pod();
    for (auto _ : state) benchmark::DoNotOptimize(table_row(pods(), object, {}));
}
BENCHMARK(render_a_pod_row)->Unit(benchmark::kMicrosecond);

void write_the_openapi_document_of_core(benchmark::State& state) {
    size_t bytes = 0;
    for (auto _ : state) bytes = openapi_v3(builtin_kinds(), "api/v1").size();
    state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(write_the_openapi_document_of_core)->Unit(benchmark::kMillisecond);

} // namespace
} // namespace cloudlet::api
