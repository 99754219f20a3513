#include "crush_draw.h"

#include <array>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "cloudlet/rados/crush_hash.h"

namespace cloudlet::rados {

namespace {

constexpr uint32_t logs = 0x10000;

// The logarithm as computed grows with u but for one place, its very end, where 65534 beats 65535.
// A key is u with these two exchanged, and is ordered as the draws are. Neighbours may draw the
// same.
constexpr uint32_t u_of_key(uint32_t key) { return key < 65534 ? key : key ^ 1; }

struct LogTables {
    std::array<double, logs> magnitudes;
    std::array<uint16_t, logs> first_equals;
    uint32_t equal_weight_limit;

    LogTables() {
        std::array<uint64_t, logs> exact;
        for (uint32_t u = 0; u < logs; ++u) {
            exact[u] = (uint64_t{1} << 48) - crush_ln(u);
            magnitudes[u] = static_cast<double>(exact[u]);
        }
        uint64_t least = 0xffffffff;
        first_equals[0] = 0;
        for (uint32_t key = 1; key < logs; ++key) {
            uint64_t gap = exact[u_of_key(key - 1)] - exact[u_of_key(key)];
            bool equal = gap == 0;
            first_equals[key] = equal ? first_equals[key - 1] : static_cast<uint16_t>(key);
            if (!equal && gap < least) least = gap;
        }
        // Numbers that are a weight or more apart have different quotients.
        equal_weight_limit = static_cast<uint32_t>(least);
    }
};

const LogTables& log_tables() {
    static const std::unique_ptr<const LogTables> tables = std::make_unique<LogTables>();
    return *tables;
}

const DrawKernels& choose_kernels() {
    const char* wanted = std::getenv("CLOUDLET_CRUSH_ISA");
    std::string_view isa = wanted ? wanted : "avx512";
#ifdef __x86_64__
    if (isa == "avx512" && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl")) {
        return draw_kernels_avx512;
    }
    if (isa != "portable" && __builtin_cpu_supports("avx2")) return draw_kernels_avx2;
#endif
    return draw_kernels_portable;
}

} // namespace

const double* draw_logs() { return log_tables().magnitudes.data(); }
const uint16_t* draw_first_equals() { return log_tables().first_equals.data(); }

const DrawKernels& draw_kernels() {
    static const DrawKernels& kernels = choose_kernels();
    return kernels;
}

Straw2View Straw2Tables::add(const std::vector<Straw2Entry>& entries) {
    Straw2View view;
    view.first = static_cast<uint32_t>(ids.size());
    view.count = static_cast<uint32_t>(entries.size());
    if (entries.empty()) return view;
    view.by_key = entries[0].weight <= log_tables().equal_weight_limit;
    for (const Straw2Entry& entry : entries) {
        if (entry.weight != entries[0].weight) view.by_key = 0;
        ids.push_back(static_cast<uint32_t>(entry.id));
        inverses.push_back(1.0 / entry.weight * (1.0 + std::ldexp(1.0, -50)));
    }
    while (ids.size() % draw_lanes != 0) {
        ids.push_back(ids[view.first]);
        inverses.push_back(inverses[view.first]);
    }
    return view;
}

} // namespace cloudlet::rados
