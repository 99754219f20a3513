#include <algorithm>

#include <fmt/format.h>

#include "deployment_plan.h"
#include "pods.h"

namespace cloudlet::kube::controllers {

using api::Object;
using codec::Json;

namespace {

int64_t sum(const std::vector<Object>& sets, std::string_view field) {
    int64_t total = 0;
    for (const Object& set : sets) total += set.status()[field].as_int();
    return total;
}

Json counts(const DeploymentView& view, const Object& new_set) {
    int64_t asked = 0;
    for (const Object& set : view.sets) asked += replicas_of(set);
    const int64_t available = sum(view.sets, "availableReplicas");
    return Json::object({{"observedGeneration", view.deployment.generation()},
                         {"replicas", sum(view.sets, "replicas")},
                         {"updatedReplicas", new_set.status()["replicas"].as_int()},
                         {"readyReplicas", sum(view.sets, "readyReplicas")},
                         {"availableReplicas", available},
                         {"unavailableReplicas", std::max<int64_t>(asked - available, 0)}});
}

Json availability(const DeploymentView& view, const Json& status) {
    const int64_t least =
        replicas_of(view.deployment) - rollout_limits(view.deployment).unavailable;
    if (status["availableReplicas"].as_int() >= least)
        return make_condition("Available", "True", "MinimumReplicasAvailable",
                              "Deployment has minimum availability.", view.now);
    return make_condition("Available", "False", "MinimumReplicasUnavailable",
                          "Deployment does not have minimum availability.", view.now);
}

bool has_progressed(const Json& before, const Json& after) {
    const int64_t updated = before["updatedReplicas"].as_int();
    const int64_t now_updated = after["updatedReplicas"].as_int();
    return now_updated > updated ||
           after["replicas"].as_int() - now_updated < before["replicas"].as_int() - updated ||
           after["readyReplicas"].as_int() > before["readyReplicas"].as_int() ||
           after["availableReplicas"].as_int() > before["availableReplicas"].as_int();
}

bool has_deadline(const Object& deployment) {
    const Json& deadline = deployment.spec()["progressDeadlineSeconds"];
    return deadline.is_int() && deadline.as_int() != 2147483647; // MaxInt32 means never
}

std::string noun(std::string_view name) {
    return name.empty() ? "Deployment" : fmt::format("ReplicaSet \"{}\"", name);
}

/// The Progressing condition of a rollout that is not paused; null: as it is.
Json progress(const DeploymentView& view, const Json& status, SetEvent event,
              std::string_view set_name) {
    const Json& before = view.deployment.status();
    const Json& current = find_condition(before["conditions"], "Progressing");
    auto made = [&](std::string_view value, std::string_view reason, std::string message) {
        return make_condition("Progressing", value, reason, message, view.now);
    };
    if (event == SetEvent::created)
        return made("True", "NewReplicaSetCreated",
                    fmt::format("Created new replica set \"{}\"", set_name));
    const bool was_complete = status["replicas"] == status["updatedReplicas"] &&
                              current["reason"].as_string() == "NewReplicaSetAvailable";
    if (was_complete) return {};
    const std::string what = noun(set_name);
    if (is_complete(view.deployment, status))
        return made("True", "NewReplicaSetAvailable", what + " has successfully progressed.");
    if (has_progressed(before, status)) {
        Json condition = made("True", "ReplicaSetUpdated", what + " is progressing.");
        if (current["status"].as_string() == "True" &&
            current["reason"].as_string() == "ReplicaSetUpdated")
            condition.set("refresh", true);
        return condition;
    }
    if (event == SetEvent::found && current.is_null())
        return made("True", "FoundNewReplicaSet",
                    fmt::format("Found new replica set \"{}\"", set_name));
    if (!current.is_null() && current["reason"].as_string() != "ProgressDeadlineExceeded" &&
        current["reason"].as_string() != "DeploymentPaused" &&
        current["reason"].as_string() != "NewReplicaSetAvailable" &&
        until_deadline(view.deployment, before, view.now) == Duration::zero())
        return made("False", "ProgressDeadlineExceeded", what + " has timed out progressing.");
    return {};
}

/// A rollout that is held back makes no progress, and its deadline does not run.
Json pause_condition(const DeploymentView& view) {
    const Json& current = find_condition(view.deployment.status()["conditions"], "Progressing");
    const bool paused = view.deployment.spec()["paused"].as_bool();
    const bool shown = current["reason"].as_string() == "DeploymentPaused";
    if (paused && !shown)
        return make_condition("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused",
                              view.now);
    if (!paused && shown)
        return make_condition("Progressing", "Unknown", "DeploymentResumed",
                              "Deployment is resumed", view.now);
    return {};
}

Json place_progress(Json conditions, Json condition) {
    // Each step of progress restarts the deadline, though the condition reads the same.
    const bool refresh = condition.erase("refresh");
    if (!refresh) return with_condition(conditions, std::move(condition));
    const Json& current = find_condition(conditions, "Progressing");
    condition.set("lastTransitionTime", current["lastTransitionTime"]);
    return with_condition(without_condition(conditions, "Progressing"), std::move(condition));
}

} // namespace

bool is_complete(const Object& deployment, const Json& status) {
    const Json wanted(replicas_of(deployment));
    return status["updatedReplicas"] == wanted && status["replicas"] == wanted &&
           status["availableReplicas"] == wanted &&
           status["observedGeneration"].as_int() >= deployment.generation();
}

Duration until_deadline(const Object& deployment, const Json& status, WallTime now) {
    const Json& current = find_condition(status["conditions"], "Progressing");
    const auto updated = parse_time(current["lastUpdateTime"].as_string());
    const Duration span =
        std::chrono::seconds(deployment.spec()["progressDeadlineSeconds"].as_int(600));
    if (!updated) return span;
    return std::max<Duration>(*updated + span - now, Duration::zero());
}

Json deployment_status(const DeploymentView& view, const Object& new_set, SetEvent event,
                       std::string_view set_name) {
    Json status = counts(view, new_set);
    Json conditions = view.deployment.status()["conditions"];
    if (!conditions.is_array()) conditions = Json::array();
    conditions = with_condition(conditions, availability(view, status));
    const bool paused = view.deployment.spec()["paused"].as_bool();
    if (!has_deadline(view.deployment)) {
        conditions = without_condition(conditions, "Progressing");
    } else if (Json pause = pause_condition(view); !pause.is_null()) {
        conditions = with_condition(conditions, std::move(pause));
    } else if (!paused) {
        if (Json made = progress(view, status, event, set_name); !made.is_null())
            conditions = place_progress(std::move(conditions), std::move(made));
    }
    Json failure;
    for (const Object& set : view.sets) {
        const Json& of_set = find_condition(set.status()["conditions"], "ReplicaFailure");
        if (of_set.is_null() || (!failure.is_null() && set.uid() != new_set.uid())) continue;
        failure =
            make_condition("ReplicaFailure", of_set["status"].as_string(),
                           of_set["reason"].as_string(), of_set["message"].as_string(), view.now);
    }
    conditions = failure.is_null() ? without_condition(conditions, "ReplicaFailure")
                                   : with_condition(conditions, std::move(failure));
    status.set("conditions", std::move(conditions));
    return status;
}

} // namespace cloudlet::kube::controllers
