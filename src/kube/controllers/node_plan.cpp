#include "node_plan.h"

#include <algorithm>
#include <array>

#include "pods.h"

namespace cloudlet::kube::controllers {

using api::Object;
using codec::Json;

namespace {

struct KnownTaint {
    std::string_view key, effect;
    bool operator==(const KnownTaint&) const = default;
};
constexpr std::string_view not_ready = "node.kubernetes.io/not-ready";
constexpr std::string_view unreachable = "node.kubernetes.io/unreachable";
constexpr std::array pressures{
    std::pair{"MemoryPressure", "node.kubernetes.io/memory-pressure"},
    std::pair{"DiskPressure", "node.kubernetes.io/disk-pressure"},
    std::pair{"PIDPressure", "node.kubernetes.io/pid-pressure"},
    std::pair{"NetworkUnavailable", "node.kubernetes.io/network-unavailable"}};

/// The taints that are ours to set and to clear.
bool is_ours(const Json& taint) {
    const auto key = taint["key"].as_string();
    auto same = [&](const auto& pressure) { return key == pressure.second; };
    return key == not_ready || key == unreachable || key == "node.kubernetes.io/unschedulable" ||
           std::any_of(pressures.begin(), pressures.end(), same);
}

std::vector<KnownTaint> wanted_taints(const Object& node, const Json& conditions) {
    std::vector<KnownTaint> wanted;
    const auto ready = find_condition(conditions, "Ready")["status"].as_string();
    if (ready == "False") wanted = {{not_ready, "NoSchedule"}, {not_ready, "NoExecute"}};
    if (ready == "Unknown") wanted = {{unreachable, "NoSchedule"}, {unreachable, "NoExecute"}};
    for (const auto& [type, key] : pressures)
        if (find_condition(conditions, type)["status"].as_string() == "True")
            wanted.push_back({key, "NoSchedule"});
    if (node.spec()["unschedulable"].as_bool())
        wanted.push_back({"node.kubernetes.io/unschedulable", "NoSchedule"});
    return wanted;
}

/// spec.taints with ours brought up to date; null when they are.
Json plan_taints(const Object& node, std::vector<KnownTaint> wanted, WallTime now) {
    Json taints = Json::array();
    bool changed = false;
    for (const Json& taint : node.spec()["taints"].items()) {
        const KnownTaint known{taint["key"].as_string(), taint["effect"].as_string()};
        const bool keep = !is_ours(taint) || std::erase(wanted, known) > 0;
        changed |= !keep;
        if (keep) taints.push_back(taint);
    }
    for (const KnownTaint& one : wanted) {
        auto taint = Json::object({{"key", one.key}, {"effect", one.effect}});
        if (one.effect == "NoExecute") taint.set("timeAdded", format_time(now));
        taints.push_back(std::move(taint));
        changed = true;
    }
    return changed ? taints : Json();
}

/// What nobody reports any more is not known.
Json plan_conditions(const Object& node, WallTime now) {
    Json conditions = node.status()["conditions"];
    bool changed = false;
    for (std::string_view type : {"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"}) {
        const Json& current = find_condition(conditions, type);
        if (current["status"].as_string() == "Unknown") continue;
        Json unknown = make_condition(
            type, "Unknown", current.is_null() ? "NodeStatusNeverUpdated" : "NodeStatusUnknown",
            current.is_null() ? "Kubelet never posted node status."
                              : "Kubelet stopped posting node status.",
            now);
        unknown.erase("lastUpdateTime");
        unknown.set("lastHeartbeatTime",
                    current.is_null() ? Json(format_time(now)) : current["lastHeartbeatTime"]);
        conditions = with_condition(conditions, std::move(unknown));
        changed = true;
    }
    return changed ? conditions : Json();
}

bool tolerates(const Json& toleration, const Json& taint) {
    const auto key = toleration["key"].as_string();
    const auto effect = toleration["effect"].as_string();
    if (!effect.empty() && effect != taint["effect"].as_string()) return false;
    if (!key.empty() && key != taint["key"].as_string()) return false;
    if (toleration["operator"].as_string("Equal") == "Exists") return true;
    return !key.empty() && toleration["value"].as_string() == taint["value"].as_string();
}

} // namespace

NodePlan plan_node(const Object& node, bool silent, WallTime now) {
    NodePlan plan;
    if (silent) plan.conditions = plan_conditions(node, now);
    const Json& conditions =
        plan.conditions.is_null() ? node.status()["conditions"] : plan.conditions;
    plan.taints = plan_taints(node, wanted_taints(node, conditions), now);
    plan.lost = silent;
    return plan;
}

bool evicts(const Json& taints) {
    const auto& items = taints.items();
    return std::any_of(items.begin(), items.end(), [](const Json& taint) {
        return taint["effect"].as_string() == "NoExecute";
    });
}

std::optional<WallTime> leave_at(const Object& pod, const Json& taints, WallTime now) {
    std::optional<WallTime> leave;
    for (const Json& taint : taints.items()) {
        if (taint["effect"].as_string() != "NoExecute") continue;
        std::optional<int64_t> seconds; // the shortest that is bounded
        bool tolerated = false;
        for (const Json& toleration : pod.spec()["tolerations"].items()) {
            if (!tolerates(toleration, taint)) continue;
            tolerated = true;
            if (!toleration["tolerationSeconds"].is_int()) continue;
            const int64_t bound = std::max<int64_t>(toleration["tolerationSeconds"].as_int(), 0);
            seconds = seconds ? std::min(*seconds, bound) : bound;
        }
        if (tolerated && !seconds) continue;
        const auto added = parse_time(taint["timeAdded"].as_string());
        const WallTime time = (added ? *added : now) + std::chrono::seconds(seconds.value_or(0));
        leave = leave ? std::min(*leave, time) : time;
    }
    return leave;
}

} // namespace cloudlet::kube::controllers
