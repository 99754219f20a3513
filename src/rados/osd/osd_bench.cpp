// What a client's request of 4 KiB costs the OSDs that serve it, from the primary's hearing of it
// until the answer leaves: three OSDs, their disks in memory, no network. All three together.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "osd/local_cluster.h"

namespace {

using namespace cloudlet::rados;

constexpr uint32_t pgs = 8;
constexpr size_t object_count = 256, data_bytes = 4096, object_blocks = 16;
// Small, so that logs are full and every write trims one.
constexpr PgLogLimits log_limits{.entries = 500, .answered = 150};

struct Bench {
    Bench() {
        for (size_t i = 0; i < object_count; ++i) {
            std::string name = fmt::format("rbd_data.1234567890ab.{:016x}", i);
            objects.push_back({.hash = object_hash(*cluster.map().map().pool(1), {name, {}, {}}),
                               .name = std::move(name)});
        }
        for (size_t i = 0; i < 2 * pgs * (log_limits.entries + log_limits.answered); ++i)
            write(op::WriteFull{data});
    }
    const PgObject& any() { return objects[random.below(objects.size())]; }
    void write(ObjectOp op) {
        cluster.request(any(), {std::move(op)});
        cloudlet::check(cluster.last_reply().result == 0, "a write is refused");
    }
    uint64_t some_block() { return data_bytes * random.below(object_blocks); }

    LocalCluster cluster{test_map(3, 1, pgs, 3), log_limits};
    cloudlet::Random random{7};
    cloudlet::SharedBytes data = cloudlet::share(std::string(data_bytes, 'x'));
    std::vector<PgObject> objects;
};

void write_full(benchmark::State& state) {
    Bench bench;
    for (auto _ : state) bench.write(op::WriteFull{bench.data});
    state.SetItemsProcessed(state.iterations());
}

void overwrite(benchmark::State& state) {
    Bench bench;
    for (const PgObject& object : bench.objects)
        bench.cluster.request(
            object, {op::Write{0, cloudlet::share(std::string(object_blocks * data_bytes, 'y'))}});
    for (auto _ : state) bench.write(op::Write{bench.some_block(), bench.data});
    state.SetItemsProcessed(state.iterations());
}

void read(benchmark::State& state) {
    Bench bench;
    for (auto _ : state) {
        bench.cluster.request(bench.any(), {op::Read{0, data_bytes}});
        cloudlet::check(bench.cluster.last_reply().results.at(0).data.size() == data_bytes,
                        "a read is refused");
    }
    state.SetItemsProcessed(state.iterations());
}

BENCHMARK(write_full)->Name("osd_write_full");
BENCHMARK(overwrite)->Name("osd_overwrite");
BENCHMARK(read)->Name("osd_read");

} // namespace
