#pragma once
// How a plan's figures are spelled, the same in tables and pictures.

#include <string>
#include <string_view>

#include "cloudlet/rados/plan.h"

namespace cloudlet::rados {

/// "1.46 TiB", three digits; without units, copies: "98" ("97.5" where PGs are of unequal size).
std::string data_text(const Plan& plan, double bytes);
/// "+3.1 %", "-100 %", "" when there is no share to compare with.
std::string deviation_text(const Load& load);
/// "1.00"
std::string weight_text(double weight);
/// "new", "gone", "new disk" or "".
std::string_view fate_text(PlanNode::Fate fate);

} // namespace cloudlet::rados
