#pragma once
// A world for the planner's tests and benchmark in one line.

#include <string>
#include <string_view>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/plan.h"
#include "test_map.h"

namespace cloudlet::rados {

inline std::vector<Change> changes_of(std::string_view text) {
    const std::string words[] = {std::string(text)};
    auto changes = parse_changes(words);
    check(changes.has_value(), "the words of a test are changes");
    return std::move(*changes);
}

inline Plan plan_of(const OsdMap& map, std::string_view changes, const PlanOptions& options = {}) {
    auto plan = make_plan(map, changes_of(changes), options);
    check(plan.has_value(), "the changes of a test can be planned");
    return std::move(*plan);
}

} // namespace cloudlet::rados
