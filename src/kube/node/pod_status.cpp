// The status half of PodCore: what the core knows, in the words of core/v1 PodStatus.

#include <algorithm>

#include <fmt/format.h>

#include "pod_core.h"

namespace cloudlet::kube::node {

using codec::Json;

namespace {

/// state.terminated of one run (core/v1 ContainerStateTerminated).
Json terminated(const Attempt& run) {
    std::string reason = run.exit_code == 0 ? "Completed" : "Error";
    if (run.oom_killed) reason = "OOMKilled";
    if (!run.error.empty()) reason = "StartError";
    if (run.lost) reason = "ContainerStatusUnknown";
    Json json = Json::object({{"exitCode", run.exit_code}, {"reason", reason}});
    if (run.signal != 0) json.set("signal", run.signal);
    const std::string& message = run.message.empty() ? run.error : run.message;
    if (!message.empty()) json.set("message", message);
    const WallTime began = run.started_at == WallTime{} ? run.finished_at : run.started_at;
    json.set("startedAt", format_time(began)).set("finishedAt", format_time(run.finished_at));
    json.set("containerID", "cloudlet://" + run.id);
    return Json::object({{"terminated", std::move(json)}});
}

Json waiting(const std::string& reason, const std::string& message) {
    Json json = Json::object({{"reason", reason}});
    if (!message.empty()) json.set("message", message);
    return Json::object({{"waiting", std::move(json)}});
}

} // namespace

Json PodCore::container_state(const Track& track) const {
    if (track.running())
        return Json::object(
            {{"running", Json::object({{"startedAt", format_time(track.current->started_at)}})}});
    const bool over = terminal_ || pod_.deleted;
    if (track.exited() && (over || track.waiting_reason.empty())) return terminated(*track.current);
    if (!track.waiting_reason.empty()) return waiting(track.waiting_reason, track.waiting_message);
    const bool before_apps =
        track.spec.kind == ContainerKind::app && !inits_done() && tracks_.size() > 1;
    const bool first = &track == &tracks_.front();
    if (before_apps || (track.spec.kind != ContainerKind::app && !first))
        return waiting("PodInitializing", "");
    if (!sandbox_error_.empty()) return waiting("ContainerCreating", sandbox_error_);
    return waiting(tracks_.front().spec.kind == ContainerKind::app ? "ContainerCreating"
                                                                   : "PodInitializing",
                   "");
}

Json own_status(const Json& status) {
    Json own = Json::object();
    for (auto key :
         {"phase", "conditions", "qosClass", "hostIP", "hostIPs", "podIP", "podIPs", "startTime",
          "reason", "message", "containerStatuses", "initContainerStatuses"})
        if (const Json* value = status.find(key)) own.set(key, *value);
    if (!own.contains("conditions")) return own;
    Json conditions = Json::array();
    for (auto type : {"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"})
        for (const auto& condition : status["conditions"].items())
            if (condition["type"].as_string() == type) conditions.push_back(condition);
    own.set("conditions", std::move(conditions));
    return own;
}

Json status_patch(const Json& status, const Json& before) {
    Json patch = status;
    for (const auto& [key, value] : before.members())
        if (!status.contains(key)) patch.set(key, nullptr);
    if (Json* conditions = patch.find_mutable("conditions"); conditions && conditions->is_array())
        for (Json& condition : conditions->mutable_items())
            for (auto key : {"reason", "message"})
                if (!condition.contains(key)) condition.set(key, nullptr);
    for (auto list : {"podIPs", "hostIPs"}) { // merged by address otherwise: an old one would stay
        if (!status.contains(list)) continue;
        Json whole = Json::array({Json::object({{"$patch", "replace"}})});
        for (const Json& address : status[list].items()) whole.push_back(address);
        patch.set(list, std::move(whole));
    }
    return patch;
}

std::string PodCore::waiting_reason(const std::string& container) const {
    const Track* track = find(container);
    return track ? std::string(container_state(*track)["waiting"]["reason"].as_string()) : "";
}

Json PodCore::container_status(const Track& track) const {
    Json state = container_state(track);
    Json last = Json::object();
    if (track.exited() && !state.contains("terminated")) {
        last = terminated(*track.current);
    } else if (track.previous) {
        last = terminated(*track.previous);
    } else if (track.restored_last.is_object()) {
        last = track.restored_last;
    }
    const int count =
        std::max({track.current ? track.current->number : 0, track.restored_count, 0});
    const bool told = track.current && !track.current->image.empty();
    Json json = Json::object(
        {{"name", track.spec.name}, {"image", told ? track.current->image : track.spec.image}});
    json.set("imageID", track.current ? track.current->image_id : "");
    if (track.current) json.set("containerID", "cloudlet://" + track.current->id);
    const bool init_over =
        track.spec.kind == ContainerKind::init && track.exited() && track.current->exit_code == 0;
    json.set("ready", init_over || (track.running() && track.ready));
    json.set("restartCount", count).set("started", track.running() && track.started);
    json.set("state", std::move(state)).set("lastState", std::move(last));
    return json;
}

/// kubelet's getPhase (pkg/kubelet/kubelet_pods.go): what the containers together amount to.
std::string PodCore::phase() const {
    if (failed_) return "Failed";
    int waiting_count = 0, running = 0, stopped = 0, succeeded = 0, apps = 0;
    for (const auto& track : tracks_) {
        if (track.spec.kind == ContainerKind::init) {
            if (terminal_ && track.exited() && track.current->exit_code != 0) return "Failed";
            continue;
        }
        if (track.spec.kind != ContainerKind::app) continue;
        ++apps;
        const bool ran_before = track.previous || track.restored_count > 0;
        if (track.running()) {
            ++running;
        } else if (track.exited()) {
            ++stopped;
            succeeded += track.current->exit_code == 0;
        } else if (ran_before) {
            ++stopped;
        } else {
            ++waiting_count;
        }
    }
    if (!inits_done() && !stopping_ && running + stopped == 0) return "Pending";
    if (waiting_count > 0 && !stopping_) return "Pending";
    if (running > 0) return "Running";
    if (terminal_ || stopping_) {
        if (stopped == 0) return "Failed";
        return succeeded == apps ? "Succeeded" : "Failed";
    }
    return "Running"; // everything stopped and something restarts
}

bool PodCore::all_ready(std::string* unready) const {
    bool ready = true;
    for (const auto& track : tracks_) {
        if (track.spec.kind == ContainerKind::init || (track.running() && track.ready)) continue;
        ready = false;
        *unready += (unready->empty() ? "" : " ") + track.spec.name;
    }
    return ready;
}

Json PodCore::conditions(Now now) {
    Json list = Json::array();
    auto add = [&](std::string type, bool holds, std::string reason, std::string message) {
        const std::string status = holds ? "True" : "False";
        auto& [known, since] = transitions_[type];
        if (known != status || since.empty()) {
            known = status;
            since = format_time(now.wall);
        }
        Json json = Json::object({{"type", type}, {"status", status}});
        json.set("lastTransitionTime", since);
        if (!holds && !reason.empty()) json.set("reason", reason);
        if (!holds && !message.empty()) json.set("message", message);
        list.push_back(std::move(json));
    };
    const std::string current_phase = phase();
    const bool completed = current_phase == "Succeeded";
    add("PodReadyToStartContainers", sandbox_ && !sandbox_broken_, "", sandbox_error_);
    std::string uninitialized;
    for (const auto& track : tracks_) {
        const bool done = track.spec.kind == ContainerKind::init
                              ? track.exited() && track.current->exit_code == 0
                              : track.running() && track.started;
        if (track.spec.kind != ContainerKind::app && !done)
            uninitialized += (uninitialized.empty() ? "" : " ") + track.spec.name;
    }
    if (completed) {
        add("Initialized", true, "", "");
    } else {
        add("Initialized", inits_done(), "ContainersNotInitialized",
            "containers with incomplete status: [" + uninitialized + "]");
    }
    std::string unready;
    const bool ready = all_ready(&unready) && !completed && current_phase != "Failed";
    std::string reason = completed ? "PodCompleted" : "PodFailed", message;
    if (!completed && current_phase != "Failed") {
        reason = "ContainersNotReady";
        message = "containers with unready status: [" + unready + "]";
    }
    std::string closed_gates;
    for (const auto& gate : pod_.readiness_gates)
        if (!pod_.open_gates.contains(gate))
            closed_gates += (closed_gates.empty() ? "" : ", ") + gate;
    if (ready && !closed_gates.empty()) {
        add("Ready", false, "ReadinessGatesNotReady",
            "corresponding condition of pod readiness gate not True: " + closed_gates);
    } else {
        add("Ready", ready, reason, message);
    }
    add("ContainersReady", ready, reason, message);
    return list;
}

Json PodCore::status(Now now) {
    if (restored_terminal_) return own_status(restored_status_);
    Json json = Json::object(
        {{"phase", phase()}, {"conditions", conditions(now)}, {"qosClass", pod_.qos_class}});
    json.set("hostIP", pod_.host_ip)
        .set("hostIPs", Json::array({Json::object({{"ip", pod_.host_ip}})}));
    const std::string ip = pod_.host_network ? (sandbox_ ? pod_.host_ip : "") : ip_;
    if (!ip.empty()) json.set("podIP", ip).set("podIPs", Json::array({Json::object({{"ip", ip}})}));
    json.set("startTime", format_time(*start_time_));
    if (failed_) json.set("reason", failed_reason_).set("message", failed_message_);
    Json inits = Json::array(), apps = Json::array();
    for (const auto& track : tracks_)
        (track.spec.kind == ContainerKind::app ? apps : inits).push_back(container_status(track));
    json.set("containerStatuses", std::move(apps));
    if (!inits.empty()) json.set("initContainerStatuses", std::move(inits));
    return json;
}

} // namespace cloudlet::kube::node
