#include "replica_set_plan.h"

#include <algorithm>
#include <map>

#include "cloudlet/api/selector.h"
#include "pods.h"

namespace cloudlet::kube::controllers {

using api::Object;
using codec::Json;

namespace {

constexpr size_t kBurst = 500;

int64_t wanted_replicas(const Object& set) { return set.spec()["replicas"].as_int(1); }

/// What makes a pod more worth keeping; the least goes first. Compared member by member.
struct Worth {
    bool placed;
    int phase; // Pending, Unknown, Running
    bool ready;
    int64_t deletion_cost;
    int64_t neighbours; // negative count of the set's pods on the same node: crowds thin out first
    int64_t ready_age;  // logarithmic, so that nearly equal ages do not decide
    int64_t restarts;   // negative
    int64_t age;
    std::string uid;
    auto operator<=>(const Worth&) const = default;
};

int64_t logarithm_of_age(std::optional<WallTime> since, WallTime newest) {
    if (!since) return 0;
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(newest - *since).count() + 1;
    int64_t result = 1;
    for (int64_t left = seconds; left > 1; left /= 2) result++;
    return result;
}

int phase_worth(std::string_view phase) {
    return phase == "Running" ? 2 : phase == "Unknown" ? 1 : 0;
}

int64_t cost_of(const Object& pod) {
    const std::string text(pod.annotation("controller.kubernetes.io/pod-deletion-cost"));
    return text.empty() ? 0 : std::strtoll(text.c_str(), nullptr, 10);
}

int64_t restarts_of(const Object& pod) {
    int64_t most = 0;
    for (const Json& status : pod.status()["containerStatuses"].items())
        most = std::max(most, status["restartCount"].as_int());
    return most;
}

std::vector<Object> least_valuable_first(std::vector<Object> pods) {
    std::map<std::string, int64_t> on_node;
    WallTime newest{};
    for (const Object& pod : pods) {
        on_node[std::string(pod.spec()["nodeName"].as_string())]++;
        newest = std::max({newest, ready_since(pod).value_or(WallTime{}),
                           pod.creation_time().value_or(WallTime{})});
    }
    std::vector<std::pair<Worth, Object>> ranked;
    for (const Object& pod : pods) {
        const std::string node(pod.spec()["nodeName"].as_string());
        const auto created = pod.creation_time().value_or(newest);
        ranked.push_back(
            {{!node.empty(), phase_worth(pod.status()["phase"].as_string()), is_ready(pod),
              cost_of(pod), -on_node[node], logarithm_of_age(ready_since(pod), newest),
              -restarts_of(pod), (newest - created).count(), std::string(pod.uid())},
             pod});
    }
    std::sort(ranked.begin(), ranked.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    for (size_t i = 0; i < pods.size(); ++i) pods[i] = ranked[i].second;
    return pods;
}

std::vector<Object> active_of(const std::vector<Object>& pods) {
    std::vector<Object> active;
    std::copy_if(pods.begin(), pods.end(), std::back_inserter(active), is_active);
    return active;
}

/// Whether the pod has all labels of the template.
bool fully_labelled(const Object& pod, const Json& labels) {
    for (const auto& [key, value] : labels.members())
        if (pod.metadata()["labels"][key] != value) return false;
    return true;
}

} // namespace

Claims claim(const Object& set, const std::vector<Object>& candidates) {
    Claims claims;
    auto selector = api::LabelSelector::from_json(set.spec()["selector"]);
    if (!selector || selector->empty()) return claims; // validation refuses both
    for (const Object& pod : candidates) {
        const bool matches = selector->matches(pod.metadata()["labels"]);
        const auto controller = pod.controller();
        if (controller && controller->uid == set.uid()) {
            if (matches)
                claims.owned.push_back(pod);
            else if (!set.is_being_deleted())
                claims.release.push_back(pod);
        } else if (!controller && matches && is_active(pod) && !set.is_being_deleted() &&
                   pod.ns() == set.ns()) {
            claims.adopt.push_back(pod);
        }
    }
    return claims;
}

ReplicaPlan plan_replicas(const Object& set, const std::vector<Object>& pods) {
    ReplicaPlan plan;
    if (set.is_being_deleted()) return plan;
    const auto active = active_of(pods);
    const auto wanted = static_cast<size_t>(std::max<int64_t>(wanted_replicas(set), 0));
    if (active.size() < wanted) {
        plan.create = std::min(wanted - active.size(), kBurst);
    } else if (active.size() > wanted) {
        plan.remove = least_valuable_first(active);
        plan.remove.resize(std::min(active.size() - wanted, kBurst));
    }
    return plan;
}

Json pod_from_template(const Object& set) {
    const Json& from = set.spec()["template"];
    auto metadata = Json::object({{"generateName", std::string(set.name()) + "-"}});
    for (std::string_view field : {"labels", "annotations", "finalizers"})
        if (!from["metadata"][field].empty()) metadata.set(field, from["metadata"][field]);
    metadata.set("ownerReferences", Json::array({Json::object({{"apiVersion", set.api_version()},
                                                               {"kind", set.kind()},
                                                               {"name", set.name()},
                                                               {"uid", set.uid()},
                                                               {"controller", true},
                                                               {"blockOwnerDeletion", true}})}));
    return Json::object({{"apiVersion", "v1"},
                         {"kind", "Pod"},
                         {"metadata", std::move(metadata)},
                         {"spec", from["spec"]}});
}

std::string without_generated_names(std::string message, const Object& set) {
    constexpr size_t suffix = 5;
    const std::string start = "\"" + std::string(set.name()) + "-";
    for (size_t at = message.find(start); at != std::string::npos;
         at = message.find(start, at + 1)) {
        const size_t end = at + start.size() + suffix;
        if (end < message.size() && message[end] == '"') message.erase(at + start.size(), suffix);
    }
    return message;
}

ReplicaStatus replica_status(const Object& set, const std::vector<Object>& pods,
                             const ReplicaFailure& failure, bool managed, WallTime now) {
    const auto min_ready = std::chrono::seconds(set.spec()["minReadySeconds"].as_int());
    const Json& labels = set.spec().at({"template", "metadata", "labels"});
    int64_t replicas = 0, labelled = 0, ready = 0, available = 0;
    ReplicaStatus result;
    for (const Object& pod : active_of(pods)) {
        replicas++;
        if (fully_labelled(pod, labels)) labelled++;
        if (!is_ready(pod)) continue;
        ready++;
        const Availability one = availability_of(pod, min_ready, now);
        if (one.available)
            available++;
        else if (result.look_again == Duration::zero() || one.remaining < result.look_again)
            result.look_again = one.remaining;
    }
    Json conditions = set.status()["conditions"];
    const Json& known = find_condition(conditions, "ReplicaFailure");
    if (!failure.reason.empty()) {
        // A message that varies from one attempt to the next must not make a write of each.
        if (known["status"].as_string() != "True" || known["reason"].as_string() != failure.reason)
            conditions =
                with_condition(conditions, make_condition("ReplicaFailure", "True", failure.reason,
                                                          failure.message, now));
    } else if (managed)
        conditions = without_condition(conditions, "ReplicaFailure");
    for (Json& condition : conditions.mutable_items()) condition.erase("lastUpdateTime");
    result.status = Json::object({{"replicas", replicas},
                                  {"fullyLabeledReplicas", labelled},
                                  {"readyReplicas", ready},
                                  {"availableReplicas", available},
                                  {"observedGeneration", set.generation()},
                                  {"conditions", std::move(conditions)}});
    return result;
}

std::vector<size_t> slow_start(size_t total) {
    std::vector<size_t> batches;
    for (size_t next = 1; total > 0; next *= 2) {
        batches.push_back(std::min(next, total));
        total -= batches.back();
    }
    return batches;
}

} // namespace cloudlet::kube::controllers
