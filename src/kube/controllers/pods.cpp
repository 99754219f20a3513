#include "pods.h"

#include <algorithm>

namespace cloudlet::kube::controllers {

using codec::Json;

bool has_ended(const api::Object& pod) {
    const auto phase = pod.status()["phase"].as_string();
    return phase == "Succeeded" || phase == "Failed";
}

bool is_active(const api::Object& pod) { return !has_ended(pod) && !pod.is_being_deleted(); }

bool is_ready(const api::Object& pod) { return pod.condition_is("Ready", "True"); }

std::optional<WallTime> ready_since(const api::Object& pod) {
    const Json& condition = pod.condition("Ready");
    if (condition["status"].as_string() != "True") return std::nullopt;
    auto time = parse_time(condition["lastTransitionTime"].as_string());
    return time ? *time : WallTime{};
}

Availability availability_of(const api::Object& pod, Duration min_ready, WallTime now) {
    const auto since = ready_since(pod);
    if (!since) return {};
    if (min_ready <= Duration::zero() || *since + min_ready <= now) return {true, Duration::zero()};
    return {false, *since + min_ready - now};
}

Json make_condition(std::string_view type, std::string_view status, std::string_view reason,
                    std::string_view message, WallTime now) {
    return Json::object({{"type", type},
                         {"status", status},
                         {"lastUpdateTime", format_time(now)},
                         {"lastTransitionTime", format_time(now)},
                         {"reason", reason},
                         {"message", message}});
}

const Json& find_condition(const Json& conditions, std::string_view type) {
    static const Json none;
    for (const Json& one : conditions.items())
        if (one["type"].as_string() == type) return one;
    return none;
}

Json with_condition(const Json& conditions, Json condition) {
    Json result = Json::array();
    bool placed = false;
    for (const Json& one : conditions.items()) {
        if (one["type"] != condition["type"]) {
            result.push_back(one);
            continue;
        }
        placed = true;
        const bool same = one["status"] == condition["status"];
        if (same && one["reason"] == condition["reason"] &&
            one["message"] == condition["message"]) {
            result.push_back(one);
            continue;
        }
        if (same) condition.set("lastTransitionTime", one["lastTransitionTime"]);
        result.push_back(std::move(condition));
    }
    if (!placed) result.push_back(std::move(condition));
    return result;
}

Json without_condition(const Json& conditions, std::string_view type) {
    Json result = Json::array();
    for (const Json& one : conditions.items())
        if (one["type"].as_string() != type) result.push_back(one);
    return result;
}

} // namespace cloudlet::kube::controllers
