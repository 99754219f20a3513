// A plan as tables: what was asked for, step by step; the ways to do it; what each device holds.

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "plan_format.h"

namespace cloudlet::rados {
namespace {

constexpr size_t device_limit = 64; // more devices than this: only those that change

/// Aligned columns, two spaces apart; the first row is the head. Columns after the first
/// `left` ones hold numbers, which stand right.
std::string aligned(const std::vector<std::vector<std::string>>& rows, size_t left) {
    std::vector<size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string text;
    for (const auto& row : rows) {
        std::string line;
        for (size_t i = 0; i < row.size(); ++i) {
            if (i) line += "  ";
            line += i < left ? fmt::format("{:<{}}", row[i], widths[i])
                             : fmt::format("{:>{}}", row[i], widths[i]);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    }
    return text;
}

std::string plural(uint64_t count, std::string_view noun) {
    return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::vector<std::string> movement_cells(const Plan& plan, const Movement& moves) {
    std::vector<std::string> cells = {std::to_string(moves.remapped),
                                      std::to_string(moves.refilled), std::to_string(moves.copies)};
    if (plan.in_bytes) cells.push_back(data_text(plan, moves.bytes));
    cells.push_back(std::to_string(moves.degraded));
    return cells;
}

std::vector<std::string> movement_row(const Plan& plan, std::string first, const Movement& moves,
                                      std::string remark) {
    std::vector<std::string> row = {std::move(first)};
    for (auto& cell : movement_cells(plan, moves)) row.push_back(std::move(cell));
    row.push_back(std::move(remark));
    return row;
}

std::vector<std::string> movement_head(const Plan& plan, std::string first) {
    std::vector<std::string> row = {std::move(first), "PGS MOVED", "REFILLED", "COPIES"};
    if (plan.in_bytes) row.emplace_back("DATA");
    row.emplace_back("DEGRADED");
    row.emplace_back("");
    return row;
}

std::string steps_text(const Plan& plan) {
    const Way& asked = plan.ways.front();
    std::vector<std::vector<std::string>> rows = {movement_head(plan, "STEP")};
    for (const PlanStep& step : asked.steps) {
        std::string remark;
        if (step.moves.waiting)
            remark = fmt::format("{} held back", plural(step.moves.waiting, "PG"));
        rows.push_back(movement_row(plan, step.change.to_string(), step.moves, remark));
    }
    rows.push_back(movement_row(plan, "total", asked.total, ""));
    return aligned(rows, 1);
}

/// The ways, the one that moves least first.
std::string ways_text(const Plan& plan) {
    std::vector<std::vector<std::string>> rows = {movement_head(plan, "ORDER OF DOING IT")};
    std::vector<const Way*> order;
    for (const Way& way : plan.ways) order.push_back(&way);
    auto cost = [](const Way* way) { return std::pair(way->total.bytes, way->total.degraded); };
    std::ranges::stable_sort(order, {}, cost);
    const Way* best = &plan.ways[plan.best];
    std::erase(order, best);
    order.insert(order.begin(), best);
    std::string text;
    for (const Way* way : order)
        rows.push_back(
            movement_row(plan, (way == best ? "* " : "  ") + way->name, way->total, way->remark));
    // The remark is a sentence: it stands left, behind the numbers.
    size_t widest = 0;
    for (const auto& row : rows) widest = std::max(widest, row.back().size());
    for (auto& row : rows) row.back() = fmt::format("{:<{}}", row.back(), widest);
    return aligned(rows, 1);
}

std::string commands_text(const Plan& plan) {
    const Way& best = plan.ways[plan.best];
    std::string text =
        plan.ways.size() > 1 ? fmt::format("Moves least: {}\n", best.name) : "Commands:\n";
    for (const PlanStep& step : best.steps) {
        for (const std::string& command : step.change.commands()) text += "    " + command + "\n";
        if (!step.held && step.moves.copies && &step != &best.steps.back())
            text += "    # wait until 'ceph -s' shows all PGs active+clean\n";
    }
    return text;
}

bool is_shown(const PlanNode& node, size_t devices) {
    if (!node.is_device() || devices <= device_limit) return true;
    if (node.fate != PlanNode::Fate::stays) return true;
    double most = std::max(node.before.bytes, node.after.bytes);
    constexpr double worth_showing = 0.1;
    return std::abs(node.after.bytes - node.before.bytes) > most * worth_showing;
}

std::string nodes_text(const Plan& plan) {
    auto devices =
        static_cast<size_t>(std::count_if(plan.nodes.begin(), plan.nodes.end(),
                                          [](const PlanNode& node) { return node.is_device(); }));
    std::vector<std::vector<std::string>> rows = {{"PLACE", "", "WEIGHT", "PGS", "AFTER"}};
    auto& head = rows.front();
    if (plan.in_bytes) head.insert(head.end(), {"DATA", "AFTER"});
    head.insert(head.end(), {"RECEIVES", "OFF SHARE", "AFTER"});
    size_t hidden = 0;
    for (const PlanNode& node : plan.nodes) {
        if (!is_shown(node, devices)) {
            ++hidden;
            continue;
        }
        std::string indent(node.depth * 2, ' ');
        std::string kind = node.is_device() || node.name == node.type ? "" : node.type + " ";
        bool same_weight = node.weight_before == node.weight_after;
        std::vector<std::string> row = {
            indent + kind + node.name, std::string(fate_text(node.fate)),
            same_weight ? weight_text(node.weight_after)
                        : fmt::format("{} -> {}", weight_text(node.weight_before),
                                      weight_text(node.weight_after)),
            std::to_string(node.before.copies), std::to_string(node.after.copies)};
        if (plan.in_bytes) {
            row.push_back(data_text(plan, node.before.bytes));
            row.push_back(data_text(plan, node.after.bytes));
        }
        row.push_back(data_text(plan, node.received));
        row.push_back(deviation_text(node.before));
        row.push_back(deviation_text(node.after));
        rows.push_back(std::move(row));
    }
    std::string text = aligned(rows, 2);
    if (hidden)
        text += fmt::format("({} more, whose load changes by a tenth at most; -o json shows all)\n",
                            plural(hidden, "device"));
    return text;
}

std::string findings_text(const std::vector<Finding>& findings, std::string_view when) {
    std::string text;
    for (const Finding& finding : findings)
        text += fmt::format("Warning{}: {}\n  remedy: {}\n", when, finding.cause, finding.remedy);
    return text;
}

} // namespace

std::string data_text(const Plan& plan, double bytes) {
    if (!plan.in_bytes)
        return std::abs(bytes - std::round(bytes)) < 0.05 ? fmt::format("{:.0f}", std::abs(bytes))
                                                          : fmt::format("{:.1f}", bytes);
    const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    while (bytes >= 999.5 && unit + 1 < std::size(units)) {
        bytes /= 1024;
        ++unit;
    }
    int digits = unit == 0 || bytes >= 99.95 ? 0 : bytes >= 9.995 ? 1 : 2;
    return fmt::format("{:.{}f} {}", bytes, digits, units[unit]);
}

std::string deviation_text(const Load& load) {
    if (load.share <= 0) return "";
    double percent = load.deviation() * 100;
    if (std::abs(percent) < 0.05) return "0 %";
    return fmt::format("{:+.{}f} %", percent, std::abs(percent) < 9.995 ? 1 : 0);
}

std::string weight_text(double weight) { return fmt::format("{:.2f}", weight); }

std::string_view fate_text(PlanNode::Fate fate) {
    switch (fate) {
    case PlanNode::Fate::added: return "new";
    case PlanNode::Fate::removed: return "gone";
    case PlanNode::Fate::replaced: return "new disk";
    case PlanNode::Fate::stays: break;
    }
    return "";
}

std::string plan_text(const Plan& plan) {
    std::string text = fmt::format("OSD map epoch {}: {} on {}, {} with {}\n", plan.epoch,
                                   plural(plan.devices, "OSD"), plural(plan.hosts, "host"),
                                   plural(plan.pools, "pool"), plural(plan.pgs, "PG"));
    text += findings_text(plan.findings, "");
    text += "\n" + steps_text(plan);
    if (plan.ways.size() > 1) text += "\n" + ways_text(plan);
    text += "\n" + commands_text(plan);
    text += "\n" + nodes_text(plan);
    text += findings_text(plan.findings_after, " about the map after it");
    for (const std::string& note : plan.notes) text += fmt::format("Note: {}\n", note);
    return text;
}

} // namespace cloudlet::rados
