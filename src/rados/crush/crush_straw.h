#pragma once
// The lengths of straws: what makes an item of a straw bucket win in proportion to its weight,
// nearly.

#include <cstdint>
#include <span>
#include <vector>

namespace cloudlet::rados {

/// One length for each weight. Version 0 is the first formula, which miscounts equal and zero
/// weights and which old maps keep; 1 is its correction. Both in doubles, as Ceph computes them.
std::vector<uint32_t> compute_straws(std::span<const uint32_t> weights, uint8_t version);

} // namespace cloudlet::rados
