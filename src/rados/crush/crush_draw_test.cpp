#include "crush_draw.h"

#include <cstdlib>
#include <new>
#include <random>

#include "cloudlet/base/random.h"
#include "cloudlet/rados/crush_hash.h"

namespace cloudlet::rados {
namespace {

// The definition, in integers: the largest truncated quotient wins, the first of equals.
uint32_t winner_by_definition(const std::vector<Straw2Entry>& entries, uint32_t x, uint32_t r) {
    size_t best = 0;
    int64_t highest = 0;
    for (size_t i = 0; i < entries.size(); ++i) {
        uint32_t u = crush_hash32(x, static_cast<uint32_t>(entries[i].id), r) & 0xffff;
        int64_t ln = static_cast<int64_t>(crush_ln(u)) - (int64_t{1} << 48);
        int64_t drawn = ln / static_cast<int64_t>(entries[i].weight);
        if (i == 0 || drawn > highest) {
            best = i;
            highest = drawn;
        }
    }
    return static_cast<uint32_t>(best);
}

std::vector<const DrawKernels*> kernels_of_this_cpu() {
    std::vector<const DrawKernels*> kernels = {&draw_kernels_portable};
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2")) kernels.push_back(&draw_kernels_avx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
        kernels.push_back(&draw_kernels_avx512);
    }
#endif
    return kernels;
}

std::vector<Straw2Entry> random_entries(Random& random) {
    size_t count = 1 + random.below(random.chance(0.1) ? 250 : 30);
    std::vector<Straw2Entry> entries(count);
    // Huge weights make quotients small and ties many.
    uint32_t shift = static_cast<uint32_t>(random.below(32));
    bool equal = random.chance(0.5);
    uint32_t one = static_cast<uint32_t>(random.next() >> 32) >> shift | 1;
    for (Straw2Entry& entry : entries) {
        entry.id = static_cast<int32_t>(random.next());
        entry.weight = equal ? one : static_cast<uint32_t>(random.next() >> 32) >> shift | 1;
    }
    return entries;
}

class Scratch {
public:
    uint32_t* words() {
        return words_.data() + (64 - reinterpret_cast<uintptr_t>(words_.data()) % 64) / 4;
    }

private:
    std::vector<uint32_t> words_ = std::vector<uint32_t>(draw_scratch(1024) + 16);
};

TEST(CrushDraw, is_the_definition_on_every_instruction_set) {
    uint64_t seed = std::random_device{}();
    SCOPED_TRACE(seed);
    Random random(seed);
    Scratch scratch;
    for (int round = 0; round < 400; ++round) {
        Straw2Tables tables;
        std::vector<std::vector<Straw2Entry>> entries(draw_lanes);
        std::vector<Straw2View> views;
        bool shared = random.chance(0.5);
        auto first = random_entries(random);
        for (auto& mine : entries) {
            mine = shared ? first : random_entries(random);
            views.push_back(tables.add(mine));
        }
        DrawInput in = {tables.ids.data(), tables.inverses.data(), draw_logs(), draw_first_equals(),
                        scratch.words()};
        MixedDraws draws;
        draws.by_key = 1;
        for (size_t lane = 0; lane < draw_lanes; ++lane) {
            draws.x[lane] = static_cast<uint32_t>(random.next());
            draws.r[lane] = static_cast<uint32_t>(random.below(100));
            draws.first[lane] = views[lane].first;
            draws.count[lane] = views[lane].count;
            draws.by_key &= views[lane].by_key;
            draws.largest = std::max(draws.largest, views[lane].count);
        }
        for (const DrawKernels* kernels : kernels_of_this_cpu()) {
            SCOPED_TRACE(kernels->name);
            kernels->mixed(in, draws);
            alignas(64) uint32_t same[draw_lanes];
            kernels->same(in, views[0], draws.x, draws.r, same);
            for (size_t lane = 0; lane < draw_lanes; ++lane) {
                uint32_t x = draws.x[lane], r = draws.r[lane];
                uint32_t expected = winner_by_definition(entries[lane], x, r);
                ASSERT_EQ(draws.winner[lane] - views[lane].first, expected);
                ASSERT_EQ(kernels->one(in, views[lane], x, r) - views[lane].first, expected);
                ASSERT_EQ(same[lane] - views[0].first, winner_by_definition(entries[0], x, r));
            }
        }
    }
}

TEST(CrushDraw, finds_the_quotient_exactly_where_it_is_an_integer) {
    // For a multiple of the weight the product must not fall below the quotient, and one below a
    // multiple must not reach it.
    Random random(7);
    for (int round = 0; round < 200'000; ++round) {
        uint32_t weight = static_cast<uint32_t>(random.next() >> (32 + random.below(32))) | 1;
        Straw2Tables tables;
        tables.add({{0, weight}});
        uint64_t quotient = 1 + random.below((uint64_t{1} << 48) / weight);
        auto product = [&](uint64_t a) { return static_cast<double>(a) * tables.inverses[0]; };
        ASSERT_EQ(static_cast<uint64_t>(product(quotient * weight)), quotient) << weight;
        ASSERT_EQ(static_cast<uint64_t>(product(quotient * weight - 1)), quotient - (weight > 0))
            << weight;
    }
}

} // namespace
} // namespace cloudlet::rados
