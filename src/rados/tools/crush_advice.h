#pragma once
// Why a rule places fewer devices than `crushtool --test` asked for, and what to do: the mistakes
// that everybody makes once. (diagnose.h does the same for the pools of an OSD map.) Pure.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cloudlet/rados/crush_map.h"

namespace cloudlet::rados {

/// A sentence each, without a full stop at the end.
struct CrushAdvice {
    std::string cause;
    std::string remedy; // crushtool's options, where there are some
};

/// Asked when `rule` gave some input fewer than `replicas` devices. `weights` are those of the
/// devices, 16.16, 0 is out. Tells of every tree that the rule takes and that cannot hold so many;
/// when all could, of the tunables that gave up.
std::vector<CrushAdvice> explain_shortfall(const CrushMap& map, int32_t rule, int32_t replicas,
                                           std::span<const uint32_t> weights);

/// The trees that a rule takes and where nothing can be placed rightly: no device, or all of weight
/// 0 or out. CRUSH may still place there: straw2 gives every input the first of equal weights.
std::vector<CrushAdvice> explain_lifeless_trees(const CrushMap& map, int32_t rule,
                                                std::span<const uint32_t> weights);

} // namespace cloudlet::rados
