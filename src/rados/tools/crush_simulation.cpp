#include "crush_simulation.h"

#include <set>

namespace cloudlet::rados {

CrushSimulation::CrushSimulation(const CrushMap& map)
    : homes_(static_cast<size_t>(map.max_devices)) {
    for (int32_t device = 0; device < map.max_devices; ++device) {
        auto& home = homes_[static_cast<size_t>(device)];
        std::optional<int32_t> above = map.parent_of(device);
        for (int level = 0; above && level < 256; ++level) {
            home.emplace(map.bucket(*above)->type, *above);
            above = map.parent_of(*above);
        }
    }
}

// The generator of POSIX drand48(): X' = 0x5deece66d X + 11 modulo 2^48, of which the upper 31 bits
// are the number.
uint32_t CrushSimulation::draw() {
    state_ = (state_ * 0x5deece66dULL + 0xb) & ((uint64_t{1} << 48) - 1);
    return static_cast<uint32_t>(state_ >> 17);
}

std::vector<int32_t> CrushSimulation::place(const CrushRule& rule, int32_t count,
                                            std::span<const uint32_t> weights) {
    std::vector<int32_t> types;
    for (const auto& step : rule.steps)
        if (step.op != RuleOp::noop && step.op != RuleOp::take && step.op != RuleOp::emit)
            types.push_back(step.arg2);
    std::vector<int32_t> devices(static_cast<size_t>(std::max(count, 0)));
    if (homes_.empty()) return {};
    for (int attempt = 0; attempt < 100; ++attempt) {
        for (auto& device : devices) device = static_cast<int32_t>(draw() % homes_.size());
        bool all_in = true;
        for (int32_t device : devices) all_in &= weights[static_cast<size_t>(device)] != 0;
        if (all_in && is_valid(devices, types)) return devices;
    }
    return {};
}

// As crushtool judges, which takes a set_ step for a choice of devices: no device twice, and no
// bucket of a chosen type twice, be it for two devices or for two choices of its type. Where a
// device has no bucket of the type above it (devices have none of their own type) it counts as in a
// nameless one, of which there is one for all types.
bool CrushSimulation::is_valid(const std::vector<int32_t>& devices,
                               const std::vector<int32_t>& types) const {
    std::set<int32_t> distinct(devices.begin(), devices.end());
    if (distinct.size() < devices.size()) return false;
    if (types == std::vector<int32_t>{0}) return true;
    std::set<int32_t> seen;
    for (int32_t device : devices) {
        const auto& home = homes_[static_cast<size_t>(device)];
        for (int32_t type : types) {
            auto bucket = home.find(type);
            if (!seen.insert(bucket == home.end() ? 0 : bucket->second).second) return false;
        }
    }
    return true;
}

} // namespace cloudlet::rados
