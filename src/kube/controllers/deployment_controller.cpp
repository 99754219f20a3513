#include "deployment_controller.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/api/selector.h"
#include "pods.h"

namespace cloudlet::kube::controllers {

using api::Object;
namespace resources = api::resources;

DeploymentController::DeploymentController(Parts& parts)
    : parts_(parts), deployments_(parts.of(resources::deployments)),
      sets_(parts.of(resources::replica_sets)), pods_(parts.of(resources::pods)),
      queue_({.name = "deployments", .workers = 2},
             [this](const api::ObjectKey& key) { return reconcile(key); }) {
    sets_.add_index(by_controller, controller_index);
}

void DeploymentController::start() {
    sets_.add_handler([this](const Object& before, const Object& after) { on_set(before, after); });
    pods_.add_handler([this](const Object& before, const Object& after) { on_pod(before, after); });
    deployments_.add_handler([this](const Object& before, const Object& after) {
        queue_.add(after ? after.key() : before.key());
    });
    queue_.start();
}

void DeploymentController::on_set(const Object& before, const Object& after) {
    const Object& set = after ? after : before;
    if (const auto owner = set.controller()) {
        if (owner->kind == "Deployment") queue_.add({std::string(set.ns()), owner->name});
        return;
    }
    for (const Object& deployment : deployments_.list(std::string(set.ns()))) {
        auto selector = api::LabelSelector::from_json(deployment.spec()["selector"]);
        if (selector && !selector->empty() && selector->matches(set.metadata()["labels"]))
            queue_.add(deployment.key());
    }
}

/// Recreate waits for the end of pods, which no ReplicaSet's status shows.
void DeploymentController::on_pod(const Object& before, const Object& after) {
    if (after && !has_ended(after)) return;
    const Object& pod = after ? after : before;
    const auto owner = pod.controller();
    if (!owner || owner->kind != "ReplicaSet") return;
    const auto deployment = sets_.get({std::string(pod.ns()), owner->name}).controller();
    if (deployment && deployment->kind == "Deployment")
        queue_.add({std::string(pod.ns()), deployment->name});
}

Result<Outcome> DeploymentController::reconcile(const api::ObjectKey& key) {
    const Object deployment = deployments_.get(key);
    if (!deployment) return Outcome{};
    auto sets = TRY(settle_claims(deployment));
    const DeploymentPlan plan = plan_deployment(look(deployment, std::move(sets)));
    TRY(carry_out(deployment, plan));
    return Outcome{plan.look_again};
}

Result<std::vector<Object>> DeploymentController::settle_claims(const Object& deployment) {
    auto owned = sets_.by_index(by_controller, std::string(deployment.uid()));
    if (deployment.is_being_deleted()) return owned;
    auto selector = api::LabelSelector::from_json(deployment.spec()["selector"]);
    if (!selector || selector->empty()) return owned;
    for (const Object& orphan : sets_.by_index(by_controller, "/" + std::string(deployment.ns()))) {
        if (orphan.is_being_deleted() || !selector->matches(orphan.metadata()["labels"])) continue;
        auto live = TRY(parts_.client.get(resources::deployments, deployment.key()));
        if (live.uid() != deployment.uid() || live.is_being_deleted()) return owned;
        owned.push_back(
            TRY(parts_.client.patch(resources::replica_sets, orphan.key(), api::PatchType::merge,
                                    adoption_patch(orphan, deployment))));
    }
    return owned;
}

DeploymentView DeploymentController::look(const Object& deployment,
                                          std::vector<Object> sets) const {
    DeploymentView view{deployment, std::move(sets), false, parts_.now()};
    if (is_rolling(deployment)) return view;
    const Object new_set = find_new_set(deployment, view.sets);
    for (const Object& set : view.sets) {
        if (new_set && set.uid() == new_set.uid()) continue;
        const auto pods = pods_.by_index(by_controller, std::string(set.uid()));
        view.old_pods_running |= std::any_of(pods.begin(), pods.end(),
                                             [](const Object& pod) { return !has_ended(pod); });
    }
    return view;
}

Result<> DeploymentController::carry_out(const Object& deployment, const DeploymentPlan& plan) {
    bool collided = false;
    if (!plan.create.is_null()) collided = !TRY(create_set(deployment, plan.create));
    for (const SetChange& change : plan.changes) TRY(change_set(deployment, change));
    for (const Object& set : plan.remove) {
        api::DeleteOptions options;
        options.uid = set.uid();
        auto removed = parts_.client.remove(resources::replica_sets, set.key(), options);
        if (!removed && removed.error().code != Code::not_found) return removed;
    }
    if (!plan.revision.empty() && deployment.annotation(revision_annotation) != plan.revision) {
        auto annotations = Json::object({{revision_annotation, plan.revision}});
        auto patch = Json::object(
            {{"metadata",
              Json::object({{"uid", deployment.uid()}, {"annotations", std::move(annotations)}})}});
        TRY(parts_.client.patch(resources::deployments, deployment.key(), api::PatchType::merge,
                                patch));
    }
    Json status = plan.status;
    if (collided) status.set("collisionCount", deployment.status()["collisionCount"].as_int() + 1);
    return write_status(deployment, status);
}

/// False when another object has the name: the hash must change.
Result<bool> DeploymentController::create_set(const Object& deployment, const Json& set) {
    auto made = parts_.client.create(resources::replica_sets, std::string(deployment.ns()), set);
    const std::string name(set.at({"metadata", "name"}).as_string());
    if (made) {
        parts_.events.record(deployment, api::EventRecorder::Type::normal, "ScalingReplicaSet",
                             fmt::format("Scaled up replica set {} from 0 to {}", name,
                                         set.at({"spec", "replicas"}).as_int()));
        return true;
    }
    if (made.error().code != Code::already_exists) return tl::unexpected(made.error());
    auto other =
        TRY(parts_.client.get(resources::replica_sets, {std::string(deployment.ns()), name}));
    const auto owner = other.controller();
    // Ours, and only the informer had not shown it yet: its event brings the next look.
    return owner && owner->uid == deployment.uid() && find_new_set(deployment, {other});
}

Result<> DeploymentController::change_set(const Object& deployment, const SetChange& change) {
    auto metadata = Json::object(
        {{"resourceVersion", change.set.resource_version()}, {"uid", change.set.uid()}});
    if (!change.annotations.is_null()) metadata.set("annotations", change.annotations);
    auto patch = Json::object({{"metadata", std::move(metadata)}});
    if (change.replicas) patch.set_path({"spec", "replicas"}, *change.replicas);
    if (change.min_ready_seconds)
        patch.set_path({"spec", "minReadySeconds"}, *change.min_ready_seconds);
    TRY(parts_.client.patch(resources::replica_sets, change.set.key(), api::PatchType::merge,
                            patch));
    if (!change.replicas) return {};
    const int64_t before = replicas_of(change.set);
    parts_.events.record(deployment, api::EventRecorder::Type::normal, "ScalingReplicaSet",
                         fmt::format("Scaled {} replica set {} from {} to {}",
                                     *change.replicas > before ? "up" : "down", change.set.name(),
                                     before, *change.replicas));
    return {};
}

Result<> DeploymentController::write_status(const Object& deployment, const Json& status) {
    Json wanted = deployment.status();
    for (const auto& [field, value] : status.members()) wanted.set(field, value);
    if (wanted == deployment.status()) return {};
    auto patch =
        Json::object({{"metadata", Json::object({{"uid", deployment.uid()}})}, {"status", status}});
    auto written = parts_.client.patch(resources::deployments, deployment.key(),
                                       api::PatchType::merge, patch, "status");
    if (!written && written.error().code != Code::not_found) return tl::unexpected(written.error());
    return {};
}

} // namespace cloudlet::kube::controllers
