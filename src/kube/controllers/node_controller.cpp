#include "node_controller.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/base/log.h"
#include "pods.h"

namespace cloudlet::kube::controllers {

using api::Object;
namespace resources = api::resources;

namespace {

const std::string by_node = "node-of-pod";
const std::string lease_namespace = "kube-node-lease";

std::string node_of(const Object& pod) { return std::string(pod.spec()["nodeName"].as_string()); }

Result<> ignore_absence(Result<> result) {
    if (!result &&
        (result.error().code == Code::not_found || result.error().code == Code::conflict))
        return {};
    return result;
}

} // namespace

NodeController::NodeController(Parts& parts)
    : parts_(parts), nodes_(parts.of(resources::nodes)), leases_(parts.of(resources::leases)),
      pods_(parts.of(resources::pods)),
      queue_({.name = "nodes", .workers = 1},
             [this](const api::ObjectKey& key) { return reconcile(key); }) {
    pods_.add_index(by_node,
                    [](const Object& pod) { return std::vector<std::string>{node_of(pod)}; });
}

void NodeController::start() {
    nodes_.add_handler([this](const Object& before, const Object& after) {
        queue_.add((after ? after : before).key());
    });
    leases_.add_handler([this](const Object&, const Object& after) {
        if (after && after.ns() == lease_namespace) queue_.add({"", std::string(after.name())});
    });
    pods_.add_handler([this](const Object& before, const Object& after) { on_pod(before, after); });
    queue_.start();
}

/// A pod on a node that is gone, or that tells pods to leave.
void NodeController::on_pod(const Object& before, const Object& after) {
    if (!after || node_of(after).empty() || (before && node_of(before) == node_of(after))) return;
    const Object node = nodes_.get({"", node_of(after)});
    if (!node || evicts(node.spec()["taints"])) queue_.add({"", node_of(after)});
}

Result<Outcome> NodeController::reconcile(const api::ObjectKey& key) {
    const Object node = nodes_.get(key);
    if (!node) return clear_lost_node(key.name);
    missing_since_.erase(key.name);
    const Duration silence = silence_of(node);
    const bool silent = silence >= parts_.options.node_grace;
    const NodePlan plan = plan_node(node, silent, parts_.now());
    TRY(carry_out(node, plan));
    if (plan.lost) TRY(mark_pods_unready(key.name));
    const auto next =
        TRY(evict(key.name, plan.taints.is_null() ? node.spec()["taints"] : plan.taints));
    Duration look_again = silent ? Duration::zero() : parts_.options.node_grace - silence;
    if (next && (look_again == Duration::zero() || *next < look_again)) look_again = *next;
    return Outcome{look_again};
}

Duration NodeController::silence_of(const Object& node) {
    const std::string name(node.name());
    const Object lease = leases_.get({lease_namespace, name});
    const std::string sign = fmt::format("{} {}", lease.spec()["renewTime"].as_string(),
                                         node.condition("Ready")["lastHeartbeatTime"].as_string());
    const MonotonicTime now = parts_.options.clock->monotonic();
    Heartbeat& heartbeat = heartbeats_.try_emplace(name, Heartbeat{sign, now}).first->second;
    // Our own word that it is silent is no sign of life; the Ready condition keeps its heartbeat
    // time then.
    if (heartbeat.sign != sign) heartbeat = {sign, now};
    return now - heartbeat.seen;
}

Result<> NodeController::carry_out(const Object& node, const NodePlan& plan) {
    if (!plan.conditions.is_null()) {
        log_warning("nodes", "node {} has sent no heartbeat for {} s: its state is not known",
                    node.name(), parts_.options.node_grace / std::chrono::seconds{1});
        parts_.events.record(node, api::EventRecorder::Type::normal, "NodeNotReady",
                             fmt::format("Node {} status is now: NodeNotReady", node.name()));
        auto patch = Json::object(
            {{"metadata", Json::object({{"resourceVersion", node.resource_version()}})},
             {"status", Json::object({{"conditions", plan.conditions}})}});
        TRY(parts_.client.patch(resources::nodes, node.key(), api::PatchType::merge, patch,
                                "status"));
    }
    if (plan.taints.is_null()) return {};
    auto patch = Json::object({{"metadata", Json::object({{"uid", node.uid()}})},
                               {"spec", Json::object({{"taints", plan.taints}})}});
    TRY(parts_.client.patch(resources::nodes, node.key(), api::PatchType::merge, patch));
    return {};
}

Result<> NodeController::mark_pods_unready(const std::string& node) {
    for (const Object& pod : pods_.by_index(by_node, node)) {
        if (!is_ready(pod)) continue;
        auto condition = Json::object({{"type", "Ready"},
                                       {"status", "False"},
                                       {"reason", "NodeNotReady"},
                                       {"lastTransitionTime", format_time(parts_.now())}});
        auto patch = Json::object(
            {{"metadata", Json::object({{"uid", pod.uid()}})},
             {"status", Json::object({{"conditions", Json::array({std::move(condition)})}})}});
        auto written = parts_.client.patch(resources::pods, pod.key(), api::PatchType::strategic,
                                           patch, "status");
        if (!written && written.error().code != Code::not_found &&
            written.error().code != Code::conflict)
            return tl::unexpected(written.error());
    }
    return {};
}

/// Deletes the pods whose time has come; how long until the next one's has.
Result<std::optional<Duration>> NodeController::evict(const std::string& node, const Json& taints) {
    std::optional<Duration> next;
    if (!evicts(taints)) return next;
    const WallTime now = parts_.now();
    for (const Object& pod : pods_.by_index(by_node, node)) {
        if (!is_active(pod)) continue;
        const auto leave = leave_at(pod, taints, now);
        if (!leave) continue;
        if (*leave > now) {
            next = next ? std::min<Duration>(*next, *leave - now) : Duration{*leave - now};
            continue;
        }
        parts_.events.record(pod, api::EventRecorder::Type::normal, "TaintManagerEviction",
                             fmt::format("Marking for deletion Pod {}/{}", pod.ns(), pod.name()));
        api::DeleteOptions options;
        options.uid = pod.uid();
        TRY(ignore_absence(parts_.client.remove(resources::pods, pod.key(), options)));
    }
    return next;
}

/// Nobody will report the end of these pods: they are removed without waiting for it.
Result<Outcome> NodeController::clear_lost_node(const std::string& node) {
    heartbeats_.erase(node);
    const auto pods = pods_.by_index(by_node, node);
    if (pods.empty() || node.empty()) {
        missing_since_.erase(node);
        return Outcome{};
    }
    const MonotonicTime now = parts_.options.clock->monotonic();
    const MonotonicTime since = missing_since_.try_emplace(node, now).first->second;
    const Duration left = parts_.options.lost_node_grace - (now - since);
    if (left > Duration::zero()) return Outcome{left};
    auto live = parts_.client.get(resources::nodes, {"", node});
    if (live) return Outcome{std::chrono::seconds{1}}; // it is back, and not yet seen
    if (live.error().code != Code::not_found) return tl::unexpected(live.error());
    for (const Object& pod : pods) {
        log_info("nodes", "pod {} is removed: its node {} is gone", pod.key().to_string(), node);
        api::DeleteOptions options;
        options.uid = pod.uid();
        options.grace_period_seconds = 0;
        TRY(ignore_absence(parts_.client.remove(resources::pods, pod.key(), options)));
    }
    return Outcome{};
}

} // namespace cloudlet::kube::controllers
