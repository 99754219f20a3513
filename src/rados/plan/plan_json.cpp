// A plan as one JSON document, for programs.

#include <cmath>

#include "cloudlet/codec/json.h"
#include "plan_format.h"

namespace cloudlet::rados {
namespace {

using codec::Json;

/// Whole numbers where a figure is one: bytes are, but for the grains of odd pg_nums.
Json number(double value) {
    double whole = std::round(value);
    if (std::abs(value - whole) < 1e-6 * std::max(1.0, std::abs(value)))
        return Json(static_cast<int64_t>(whole));
    return Json(value);
}

Json movement(const Movement& moves) {
    return Json::object({{"pgsMoved", moves.remapped},
                         {"pgsRefilled", moves.refilled},
                         {"copies", moves.copies},
                         {"bytes", number(moves.bytes)},
                         {"pgsHeldBack", moves.waiting},
                         {"pgsDegraded", moves.degraded}});
}

Json strings(const std::vector<std::string>& list) {
    Json json = Json::array();
    for (const auto& text : list) json.push_back(text);
    return json;
}

Json way(const Way& way) {
    Json steps = Json::array();
    for (const PlanStep& step : way.steps) {
        Json json = movement(step.moves);
        json.set("change", step.change.to_string());
        json.set("held", step.held);
        json.set("commands", strings(step.change.commands()));
        steps.push_back(std::move(json));
    }
    return Json::object({{"name", way.name},
                         {"remark", way.remark},
                         {"total", movement(way.total)},
                         {"steps", std::move(steps)}});
}

Json load(const Load& load) {
    Json json = Json::object(
        {{"pgs", load.copies}, {"bytes", number(load.bytes)}, {"shareBytes", number(load.share)}});
    if (load.share > 0) json.set("deviation", load.deviation());
    return json;
}

Json node(const PlanNode& node) {
    constexpr const char* fates[] = {"stays", "added", "removed", "replaced"};
    return Json::object({{"id", node.id},
                         {"name", node.name},
                         {"type", node.type},
                         {"depth", node.depth},
                         {"fate", fates[static_cast<size_t>(node.fate)]},
                         {"weightBefore", number(node.weight_before)},
                         {"weightAfter", number(node.weight_after)},
                         {"before", load(node.before)},
                         {"after", load(node.after)},
                         {"receivedBytes", number(node.received)}});
}

Json findings(const std::vector<Finding>& list) {
    Json json = Json::array();
    for (const Finding& finding : list)
        json.push_back(Json::object({{"cause", finding.cause}, {"remedy", finding.remedy}}));
    return json;
}

} // namespace

std::string plan_json(const Plan& plan) {
    Json ways = Json::array(), nodes = Json::array();
    for (const Way& one : plan.ways) ways.push_back(way(one));
    for (const PlanNode& one : plan.nodes) nodes.push_back(node(one));
    return Json::object({{"epoch", plan.epoch},
                         {"osds", plan.devices},
                         {"hosts", plan.hosts},
                         {"pools", plan.pools},
                         {"pgs", plan.pgs},
                         {"unit", plan.in_bytes ? "bytes" : "copies"},
                         {"ways", std::move(ways)},
                         {"best", plan.best},
                         {"nodes", std::move(nodes)},
                         {"findings", findings(plan.findings)},
                         {"findingsAfter", findings(plan.findings_after)},
                         {"notes", strings(plan.notes)}})
               .dump_pretty() +
           "\n";
}

} // namespace cloudlet::rados
