#pragma once
// `crushtool --test --simulate`: placements drawn at random instead of by CRUSH, but such as the
// rule allows. They are what a perfectly even distribution looks like.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "cloudlet/rados/crush_map.h"

namespace cloudlet::rados {

class CrushSimulation {
public:
    explicit CrushSimulation(const CrushMap& map);

    /// `count` devices that no two share a bucket of a type the rule chooses; empty after 100 bad
    /// draws.
    std::vector<int32_t> place(const CrushRule& rule, int32_t count,
                               std::span<const uint32_t> weights);

private:
    bool is_valid(const std::vector<int32_t>& devices, const std::vector<int32_t>& types) const;
    uint32_t draw();

    std::vector<std::map<int32_t, int32_t>> homes_; // by device: type -> bucket above it
    uint64_t state_ = 0; // of lrand48(3) before any seed, as crushtool leaves it
};

} // namespace cloudlet::rados
