// The promises about programming rules, in a private network namespace:
//   full install of 10,000 services     <= 150 ms CPU
//   one service changed at 10,000       < 1 ms
//   a pod attached                      < 2 ms
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "cloudlet/io/file.h"
#include "cloudlet/linux/link.h"
#include "cloudlet/network/pod_network.h"
#include "cloudlet/network/service_proxy.h"

namespace cloudlet::network {
namespace {

constexpr uint32_t service_count = 10'000;

// The calling thread is in a fresh namespace while this lives.
struct Node {
    io::UniqueFd before{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
    io::UniqueFd netns = linux::create_netns().value();
    std::string run_dir = io::make_temporary_directory("/tmp/cloudlet-network-bench-").value();
    NetworkOptions options;

    Node() {
        ::setns(netns.get(), CLONE_NEWNET);
        (void)linux::RouteSocket::open()->set_up(1);
        options.instance_id = "bench";
        options.run_dir = run_dir + "/run";
        options.dns_service = Ipv4{options.service_block.base.value + 10};
    }
    ~Node() {
        ::setns(before.get(), CLONE_NEWNET);
        (void)io::remove_tree(run_dir);
    }
};

void must(const Result<>& done, benchmark::State& state) {
    if (!done) state.SkipWithError(done.error().to_string().c_str());
}

std::vector<ServicePort> many_services() {
    std::vector<ServicePort> services(service_count);
    for (uint32_t i = 0; i < service_count; ++i) {
        services[i].name = "default/service-" + std::to_string(i);
        services[i].cluster_ip = Ipv4{0x0A600100 + i};
        services[i].port = 80;
        for (uint32_t e = 0; e < 2; ++e)
            services[i].endpoints.push_back({Ipv4{0x0AF40002 + i * 2 + e}, 8080});
    }
    return services;
}

void install_10k_services(benchmark::State& state) {
    auto services = many_services();
    for (auto _ : state) {
        state.PauseTiming();
        auto node = std::make_unique<Node>();
        auto proxy = ServiceProxy::open(node->options).value();
        state.ResumeTiming();
        must(proxy->apply(services), state);
        state.PauseTiming();
        proxy.reset();
        node.reset();
        state.ResumeTiming();
    }
}
BENCHMARK(install_10k_services)->Unit(benchmark::kMillisecond)->Iterations(5);

void adopt_10k_services(benchmark::State& state) {
    auto services = many_services();
    Node node;
    must(ServiceProxy::open(node.options).value()->apply(services), state);
    for (auto _ : state) {
        auto proxy = ServiceProxy::open(node.options).value();
        must(proxy->apply(services), state);
    }
}
BENCHMARK(adopt_10k_services)->Unit(benchmark::kMillisecond)->Iterations(5);

void change_one_of_10k(benchmark::State& state) {
    auto services = many_services();
    Node node;
    auto proxy = ServiceProxy::open(node.options).value();
    must(proxy->apply(services), state);
    uint32_t i = 0;
    for (auto _ : state) {
        auto& service = services[i++ * 7919 % service_count];
        std::swap(service.endpoints[0].port, service.endpoints[1].port);
        service.endpoints[0].port = static_cast<uint16_t>(8000 + i % 1000);
        bool whole_state = state.range(0) != 0;
        must(whole_state ? proxy->apply(services) : proxy->update({service}, {}), state);
    }
}
BENCHMARK(change_one_of_10k)
    ->ArgName("full_state")
    ->Arg(0)
    ->Arg(1)
    ->Unit(benchmark::kMicrosecond)
    ->Iterations(500);

void attach_pod(benchmark::State& state) {
    Node node;
    auto network = PodNetwork::open(node.options).value();
    int i = 0;
    for (auto _ : state) {
        state.PauseTiming();
        auto pod = linux::create_netns().value();
        std::string id = "pod-" + std::to_string(i++);
        state.ResumeTiming();
        auto done = network->attach({id, "/proc/self/fd/" + std::to_string(pod.get()), {}});
        if (!done) state.SkipWithError(done.error().to_string().c_str());
        state.PauseTiming();
        must(network->detach(id), state);
        state.ResumeTiming();
    }
}
BENCHMARK(attach_pod)->Unit(benchmark::kMicrosecond)->Iterations(100);

} // namespace
} // namespace cloudlet::network
