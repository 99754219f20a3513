#include "decision.h"

#include <algorithm>

#include <fmt/format.h>

namespace cloudlet::kube::scheduler {
namespace {

bool tolerates(const Toleration& toleration, const Taint& taint) {
    if (!toleration.effect.empty() && toleration.effect != taint.effect) return false;
    if (toleration.key.empty()) return toleration.op == "Exists";
    if (toleration.key != taint.key) return false;
    return toleration.op == "Exists" || toleration.value == taint.value;
}

bool tolerated(const std::vector<Toleration>& tolerations, const Taint& taint) {
    return std::any_of(tolerations.begin(), tolerations.end(),
                       [&](const auto& t) { return tolerates(t, taint); });
}

bool term_matches(const AffinityTerm& term, const NodeState& node) {
    if (term.labels.empty() && term.fields.empty()) return false; // an empty term matches nothing
    bool fields = std::all_of(term.fields.begin(), term.fields.end(), [&](const auto& field) {
        return (field.value == node.name) == field.equal;
    });
    return fields && term.labels.matches(node.labels);
}

bool wants(const PodNeeds& needs, const NodeState& node) {
    if (!needs.node_selector.matches(node.labels)) return false;
    return !needs.has_affinity ||
           std::any_of(needs.affinity.begin(), needs.affinity.end(),
                       [&](const auto& term) { return term_matches(term, node); });
}

bool ports_free(const PodNeeds& needs, const NodeState& node) {
    for (const auto& wanted : needs.ports)
        for (const auto& used : node.ports)
            if (wanted.conflicts_with(used)) return false;
    return true;
}

/// Why the node has no room, or "".
std::string lacks(const PodNeeds& needs, const NodeState& node) {
    const auto& amounts = needs.amounts;
    if (node.pods + 1 > node.max_pods) return "Too many pods";
    if (amounts.milli_cpu &&
        amounts.milli_cpu > node.allocatable.milli_cpu - node.requested.milli_cpu)
        return "Insufficient cpu";
    if (amounts.memory && amounts.memory > node.allocatable.memory - node.requested.memory)
        return "Insufficient memory";
    for (const auto& [name, amount] : amounts.others) {
        auto have = node.allocatable.others.find(name);
        auto used = node.requested.others.find(name);
        int64_t left = (have == node.allocatable.others.end() ? 0 : have->second) -
                       (used == node.requested.others.end() ? 0 : used->second);
        if (amount > left) return "Insufficient " + name;
    }
    return {};
}

/// Why the node is ruled out, or "". The order is that of the stock scheduler's filters.
std::string ruled_out(const PodNeeds& needs, const NodeState& node) {
    static const Taint unschedulable{"node.kubernetes.io/unschedulable", "", "NoSchedule"};
    if (node.unschedulable && !tolerated(needs.tolerations, unschedulable))
        return "node(s) were unschedulable";
    if (!wants(needs, node)) return "node(s) didn't match Pod's node affinity/selector";
    for (const auto& taint : node.taints)
        if (taint.effect != "PreferNoSchedule" && !tolerated(needs.tolerations, taint))
            return fmt::format("node(s) had untolerated taint {{{}: {}}}", taint.key, taint.value);
    if (!ports_free(needs, node))
        return "node(s) didn't have free ports for the requested pod ports";
    return lacks(needs, node);
}

double free_share(int64_t allocatable, int64_t requested) {
    return allocatable > 0 ? std::max(0.0, static_cast<double>(allocatable - requested) /
                                               static_cast<double>(allocatable))
                           : 0;
}

double score(const PodNeeds& needs, const NodeState& node) {
    double preference =
        (free_share(node.allocatable.milli_cpu,
                    node.requested.milli_cpu + needs.amounts.milli_cpu) +
         free_share(node.allocatable.memory, node.requested.memory + needs.amounts.memory)) /
        2;
    for (const auto& taint : node.taints)
        if (taint.effect == "PreferNoSchedule" && !tolerated(needs.tolerations, taint))
            preference -= 1;
    return preference;
}

} // namespace

std::string Decision::message() const {
    std::string text = fmt::format("0/{} nodes are available", nodes_seen);
    const char* separator = ": ";
    for (const auto& [reason, count] : reasons) {
        text += fmt::format("{}{} {}", separator, count, reason);
        separator = ", ";
    }
    return text + ".";
}

Decision decide(const PodNeeds& needs, const NodeCache& cache) {
    Decision decision;
    const NodeState* best = nullptr;
    double best_score = 0;
    for (const auto& [name, node] : cache.nodes()) {
        if (!node.known) continue;
        ++decision.nodes_seen;
        std::string reason = ruled_out(needs, node);
        if (!reason.empty()) {
            ++decision.reasons[reason];
            continue;
        }
        double own = score(needs, node);
        if (!best || own > best_score || (own == best_score && node.pods < best->pods)) {
            best = &node;
            best_score = own;
        }
    }
    if (best) decision.node = best->name;
    return decision;
}

} // namespace cloudlet::kube::scheduler
