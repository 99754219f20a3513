// How fast a Pod of about 10 KB is parsed, written and copied, as the API server does for each
// request.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "cloudlet/codec/json.h"

namespace cloudlet::codec {
namespace {

Json container(int number) {
    Json env = Json::array();
    for (int i = 0; i < 8; ++i)
        env.push_back(Json::object(
            {{"name", fmt::format("SETTING_{}", i)}, {"value", "a value of middling length"}}));
    Json probe = Json::object(
        {{"httpGet", Json::object({{"path", "/healthz"}, {"port", 8080}, {"scheme", "HTTP"}})},
         {"timeoutSeconds", 1},
         {"periodSeconds", 10},
         {"failureThreshold", 3}});
    return Json::object(
        {{"name", fmt::format("container-{}", number)},
         {"image", "docker.io/library/guestbook-web:v1.2.3"},
         {"command", Json::array({"/bin/server", "--listen", ":8080", "--verbose"})},
         {"env", env},
         {"livenessProbe", probe},
         {"readinessProbe", probe},
         {"resources",
          Json::object({{"limits", Json::object({{"cpu", "500m"}, {"memory", "128Mi"}})}})},
         {"terminationMessagePath", "/dev/termination-log"},
         {"imagePullPolicy", "IfNotPresent"}});
}

Json pod() {
    Json pod;
    pod.set("kind", "Pod").set("apiVersion", "v1");
    pod.set_path({"metadata", "name"}, "guestbook-web-6f7c9d8b5-x2x7k");
    pod.set_path({"metadata", "uid"}, "0b6f2f0e-0c0b-4d3e-9a51-6a1f0e7a8b11");
    pod.set_path({"metadata", "labels", "app.kubernetes.io/name"}, "guestbook");
    for (int i = 0; i < 8; ++i) pod.ensure("spec").ensure("containers").push_back(container(i));
    pod.set_path({"status", "phase"}, "Running");
    return pod;
}

void parse_pod(benchmark::State& state) {
    std::string text = pod().dump();
    for (auto _ : state) benchmark::DoNotOptimize(parse_json(text));
    state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
    state.counters["bytes"] = static_cast<double>(text.size());
}
BENCHMARK(parse_pod)->Unit(benchmark::kMicrosecond);

void dump_pod(benchmark::State& state) {
    Json value = pod();
    for (auto _ : state) benchmark::DoNotOptimize(value.dump());
}
BENCHMARK(dump_pod)->Unit(benchmark::kMicrosecond);

void copy_pod(benchmark::State& state) {
    Json value = pod();
    for (auto _ : state) {
        Json copy = value;
        benchmark::DoNotOptimize(copy);
    }
}
BENCHMARK(copy_pod)->Unit(benchmark::kMicrosecond);

} // namespace
} // namespace cloudlet::codec
