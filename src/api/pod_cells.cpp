// What `kubectl get pods` shows, derived from the status as the stock server derives it
// (facts: kubernetes/pkg/printers/internalversion, printPod).

#include <algorithm>

#include <fmt/format.h>

#include "table_cells.h"

namespace cloudlet::api {

namespace {

struct PodSummary {
    std::string status;
    int64_t ready = 0, total = 0, restarts = 0;
    std::string last_restart; // RFC 3339 in UTC, so that text order is time order
};

void note_restart(const Json& container, std::string& last) {
    std::string_view when = container["lastState"]["terminated"]["finishedAt"].as_string();
    if (when > last) last = when;
}

bool is_sidecar(const Json& pod, const Json& name) {
    for (const Json& container : pod["spec"]["initContainers"].items())
        if (container["name"] == name) return container["restartPolicy"].as_string() == "Always";
    return false;
}

bool condition_is_true(const Json& pod, std::string_view type) {
    return std::ranges::any_of(pod["status"]["conditions"].items(), [&](const Json& condition) {
        return condition["type"].as_string() == type && condition["status"].as_string() == "True";
    });
}

std::string exit_text(const Json& terminated) {
    if (!terminated["reason"].as_string().empty())
        return std::string(terminated["reason"].as_string());
    if (terminated["signal"].as_int() != 0)
        return fmt::format("Signal:{}", terminated["signal"].as_int());
    return fmt::format("ExitCode:{}", terminated["exitCode"].as_int());
}

/// True while an init container still holds the pod up; then the status tells which and why.
bool summarize_init(const Json& pod, PodSummary& summary, PodSummary& sidecars) {
    const auto& statuses = pod["status"]["initContainerStatuses"].items();
    for (size_t i = 0; i < statuses.size(); ++i) {
        const Json& container = statuses[i];
        bool sidecar = is_sidecar(pod, container["name"]);
        const Json& state = container["state"];
        const Json& terminated = state["terminated"];
        summary.restarts += container["restartCount"].as_int();
        note_restart(container, summary.last_restart);
        if (sidecar) {
            sidecars.restarts += container["restartCount"].as_int();
            note_restart(container, sidecars.last_restart);
        }
        if (terminated.is_object() && terminated["exitCode"].as_int() == 0) continue;
        if (sidecar && container["started"].as_bool()) {
            summary.ready += container["ready"].as_bool() ? 1 : 0;
            continue;
        }
        std::string_view waiting = state["waiting"]["reason"].as_string();
        if (terminated.is_object())
            summary.status = "Init:" + exit_text(terminated);
        else if (!waiting.empty() && waiting != "PodInitializing")
            summary.status = "Init:" + std::string(waiting);
        else
            summary.status = fmt::format("Init:{}/{}", i, pod["spec"]["initContainers"].size());
        return true;
    }
    return false;
}

void summarize_containers(const Json& pod, PodSummary& summary) {
    bool has_running = false;
    const auto& statuses = pod["status"]["containerStatuses"].items();
    for (size_t i = statuses.size(); i-- > 0;) { // the first container has the last word
        const Json& container = statuses[i];
        const Json& state = container["state"];
        summary.restarts += container["restartCount"].as_int();
        note_restart(container, summary.last_restart);
        if (!state["waiting"]["reason"].as_string().empty()) {
            summary.status = state["waiting"]["reason"].as_string();
        } else if (state["terminated"].is_object()) {
            summary.status = exit_text(state["terminated"]);
        } else if (container["ready"].as_bool() && state["running"].is_object()) {
            has_running = true;
            ++summary.ready;
        }
    }
    if (summary.status == "Completed" && has_running)
        summary.status = condition_is_true(pod, "Ready") ? "Running" : "NotReady";
}

PodSummary summarize(const Json& pod) {
    PodSummary summary, sidecars;
    const Json& status = pod["status"];
    std::string_view reason = status["reason"].as_string();
    summary.status = reason.empty() ? status["phase"].as_string() : reason;
    for (const Json& condition : status["conditions"].items())
        if (condition["type"].as_string() == "PodScheduled" &&
            condition["reason"].as_string() == "SchedulingGated")
            summary.status = "SchedulingGated";
    summary.total = static_cast<int64_t>(pod["spec"]["containers"].size());
    for (const Json& container : pod["spec"]["initContainers"].items())
        summary.total += container["restartPolicy"].as_string() == "Always" ? 1 : 0;
    bool initializing = summarize_init(pod, summary, sidecars);
    if (!initializing || condition_is_true(pod, "Initialized")) {
        summary.restarts = sidecars.restarts;
        summary.last_restart = sidecars.last_restart;
        summarize_containers(pod, summary);
    }
    if (pod["metadata"]["deletionTimestamp"].is_string()) {
        std::string_view phase = status["phase"].as_string();
        if (reason == "NodeLost")
            summary.status = "Unknown";
        else if (phase != "Succeeded" && phase != "Failed")
            summary.status = "Terminating";
    }
    return summary;
}

} // namespace

Json pod_ready_cell(const Json& pod, WallTime) {
    PodSummary summary = summarize(pod);
    return fmt::format("{}/{}", summary.ready, summary.total);
}

Json pod_status_cell(const Json& pod, WallTime) { return summarize(pod).status; }

Json pod_restarts_cell(const Json& pod, WallTime now) {
    PodSummary summary = summarize(pod);
    if (summary.restarts == 0 || summary.last_restart.empty())
        return std::to_string(summary.restarts);
    return fmt::format("{} ({} ago)", summary.restarts, age_of(Json(summary.last_restart), now));
}

Json pod_ip_cell(const Json& pod, WallTime) {
    std::string_view first = pod["status"]["podIPs"][size_t{0}]["ip"].as_string();
    if (first.empty()) first = pod["status"]["podIP"].as_string();
    return first.empty() ? "<none>" : first;
}

Json pod_readiness_gates_cell(const Json& pod, WallTime) {
    const auto& gates = pod["spec"]["readinessGates"].items();
    if (gates.empty()) return "<none>";
    auto passed = std::ranges::count_if(gates, [&](const Json& gate) {
        return condition_is_true(pod, gate["conditionType"].as_string());
    });
    return fmt::format("{}/{}", passed, gates.size());
}

} // namespace cloudlet::api
