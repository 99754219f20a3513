#include "crush_straw.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace cloudlet::rados {

namespace {

// What x86 makes of a double that becomes 32 bits wide: through 64 bits, and 0 out of their range.
// Straws of the first formula do get that long.
uint32_t to_word(double value) {
    constexpr double limit = 9223372036854775808.0;
    if (!(value > -limit && value < limit)) return 0;
    return static_cast<uint32_t>(static_cast<int64_t>(value));
}

} // namespace

std::vector<uint32_t> compute_straws(std::span<const uint32_t> weights, uint8_t version) {
    std::vector<size_t> order(weights.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return weights[a] < weights[b]; });
    std::vector<uint32_t> straws(weights.size(), 0);
    double left = static_cast<double>(weights.size());
    double straw = 1.0, below = 0, last = 0;
    for (size_t i = 0; i < order.size(); ++i) {
        uint32_t weight = weights[order[i]];
        if (weight == 0) { // never drawn
            if (version != 0) left -= 1;
            continue;
        }
        straws[order[i]] = to_word(straw * 0x10000);
        if (i + 1 == order.size()) break;
        uint32_t next = weights[order[i + 1]];
        if (version == 0 && next == weight) continue;
        below += (static_cast<double>(weight) - last) * left;
        if (version == 0) {
            for (size_t j = i + 1; j < order.size() && weights[order[j]] == next; ++j) left -= 1;
        } else {
            left -= 1;
        }
        double above = left * static_cast<double>(next - weight);
        straw *= std::pow(1.0 / (below / (below + above)), 1.0 / left);
        last = static_cast<double>(weight);
    }
    return straws;
}

} // namespace cloudlet::rados
