#include "replica_set_controller.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include <fmt/format.h>

#include "cloudlet/api/selector.h"
#include "pods.h"

namespace cloudlet::kube::controllers {

using api::Object;
namespace resources = api::resources;

namespace {

/// The set goes with its namespace: that no pod can be made any more is no failure.
bool is_namespace_ending(const Error& error) {
    return error.code == Code::not_found ||
           (error.code == Code::forbidden &&
            error.message.find("is being terminated") != std::string::npos);
}

} // namespace

ReplicaSetController::ReplicaSetController(Parts& parts)
    : parts_(parts), sets_(parts.of(resources::replica_sets)), pods_(parts.of(resources::pods)),
      queue_({.name = "replicasets", .workers = 4},
             [this](const api::ObjectKey& key) { return reconcile(key); }) {
    pods_.add_index(by_controller, controller_index);
}

void ReplicaSetController::start() {
    pods_.add_handler([this](const Object& before, const Object& after) { on_pod(before, after); });
    sets_.add_handler([this](const Object& before, const Object& after) {
        if (!after) expectations_.forget(std::string(before.uid()));
        queue_.add(after ? after.key() : before.key());
    });
    queue_.start();
}

void ReplicaSetController::on_pod(const Object& before, const Object& after) {
    const Object& pod = after ? after : before;
    const auto owner = pod.controller();
    const auto former = before ? before.controller() : std::nullopt;
    if (owner) {
        if (!before) expectations_.creation_seen(owner->uid);
        if (!after || after.is_being_deleted())
            expectations_.removal_seen(owner->uid, std::string(pod.uid()));
        enqueue_owner(pod);
    } else if (after && !after.is_being_deleted()) {
        enqueue_adopters(after);
    }
    if (former && (!owner || owner->uid != former->uid)) enqueue_owner(before);
}

void ReplicaSetController::enqueue_owner(const Object& pod) {
    const auto owner = pod.controller();
    if (owner && owner->kind == "ReplicaSet") queue_.add({std::string(pod.ns()), owner->name});
}

void ReplicaSetController::enqueue_adopters(const Object& orphan) {
    for (const Object& set : sets_.list(std::string(orphan.ns()))) {
        auto selector = api::LabelSelector::from_json(set.spec()["selector"]);
        if (selector && !selector->empty() && selector->matches(orphan.metadata()["labels"]))
            queue_.add(set.key());
    }
}

Result<Outcome> ReplicaSetController::reconcile(const api::ObjectKey& key) {
    const Object set = sets_.get(key);
    if (!set) return Outcome{};
    const std::string uid(set.uid());
    // Asked before the pods are read: what is seen from here on is in what is read.
    const bool current = expectations_.satisfied(uid, parts_.options.clock->monotonic());
    const auto pods = TRY(settle_claims(set));
    ReplicaFailure failure;
    if (current && !set.is_being_deleted()) failure = manage(set, pods);

    const ReplicaStatus wanted = replica_status(set, pods, failure, current, parts_.now());
    Json status = set.status();
    for (const auto& [field, value] : wanted.status.members()) status.set(field, value);
    if (status["conditions"].empty()) status.erase("conditions");
    if (!(status == set.status())) {
        auto patch =
            Json::object({{"metadata", Json::object({{"uid", uid}})}, {"status", wanted.status}});
        auto written = parts_.client.patch(resources::replica_sets, key, api::PatchType::merge,
                                           patch, "status");
        if (!written && written.error().code != Code::not_found)
            return tl::unexpected(written.error());
    }
    if (!failure.reason.empty()) return fail(Code::unavailable, failure.message);
    return Outcome{wanted.look_again};
}

/// Adopts and releases; the pods that are the set's then.
Result<std::vector<Object>> ReplicaSetController::settle_claims(const Object& set) {
    auto candidates = pods_.by_index(by_controller, std::string(set.uid()));
    for (Object& orphan : pods_.by_index(by_controller, "/" + std::string(set.ns())))
        candidates.push_back(std::move(orphan));
    Claims claims = claim(set, candidates);
    auto write = [&](const Object& pod, const Json& patch) -> Result<> {
        auto written =
            parts_.client.patch(resources::pods, pod.key(), api::PatchType::merge, patch);
        if (!written && written.error().code != Code::not_found)
            return tl::unexpected(written.error());
        return {};
    };
    for (const Object& pod : claims.release) TRY(write(pod, release_patch(pod, set.uid())));
    if (claims.adopt.empty()) return std::move(claims.owned);
    // The informer may be behind: a set that was replaced by another of its name adopts nothing.
    auto live = TRY(parts_.client.get(resources::replica_sets, set.key()));
    if (live.uid() != set.uid() || live.is_being_deleted()) return std::move(claims.owned);
    for (Object& pod : claims.adopt) {
        TRY(write(pod, adoption_patch(pod, set)));
        claims.owned.push_back(std::move(pod));
    }
    return std::move(claims.owned);
}

ReplicaFailure ReplicaSetController::manage(const Object& set, const std::vector<Object>& pods) {
    const ReplicaPlan plan = plan_replicas(set, pods);
    if (plan.create > 0) return create_pods(set, plan.create);
    if (!plan.remove.empty()) return remove_pods(set, plan.remove);
    return {};
}

ReplicaFailure ReplicaSetController::create_pods(const Object& set, size_t count) {
    const std::string uid(set.uid());
    expectations_.expect(uid, count, {}, parts_.options.clock->monotonic());
    const Json pod = pod_from_template(set);
    std::mutex mutex;
    ReplicaFailure failure;
    std::atomic<bool> given_up{false};
    size_t left = count;
    auto create_one = [&] {
        auto made = parts_.client.create(resources::pods, std::string(set.ns()), pod);
        if (made) {
            parts_.events.record(set, api::EventRecorder::Type::normal, "SuccessfulCreate",
                                 fmt::format("Created pod: {}", made->name()));
            return;
        }
        expectations_.creation_seen(uid); // it will not come
        if (is_namespace_ending(made.error())) {
            given_up = true;
            return;
        }
        std::lock_guard lock(mutex);
        failure = {"FailedCreate", without_generated_names(made.error().message, set)};
    };
    for (size_t batch : slow_start(count)) {
        run_parallel(std::vector<std::function<void()>>(batch, create_one));
        left -= batch;
        if (failure.reason.empty() && !given_up) continue;
        for (; left > 0; --left) expectations_.creation_seen(uid); // nor will those not tried
        if (given_up) return {};
        parts_.events.record(set, api::EventRecorder::Type::warning, "FailedCreate",
                             "Error creating: " + failure.message);
        break;
    }
    return failure;
}

ReplicaFailure ReplicaSetController::remove_pods(const Object& set,
                                                 const std::vector<Object>& pods) {
    const std::string uid(set.uid());
    std::set<std::string> uids;
    for (const Object& pod : pods) uids.emplace(pod.uid());
    expectations_.expect(uid, 0, uids, parts_.options.clock->monotonic());
    std::mutex mutex;
    ReplicaFailure failure;
    std::vector<std::function<void()>> calls;
    for (const Object& pod : pods)
        calls.emplace_back([&, pod] {
            api::DeleteOptions options;
            options.uid = pod.uid();
            auto removed = parts_.client.remove(resources::pods, pod.key(), options);
            if (removed) {
                parts_.events.record(set, api::EventRecorder::Type::normal, "SuccessfulDelete",
                                     fmt::format("Deleted pod: {}", pod.name()));
                return;
            }
            expectations_.removal_seen(uid, std::string(pod.uid()));
            if (removed.error().code == Code::not_found || removed.error().code == Code::conflict)
                return; // gone
            std::lock_guard lock(mutex);
            failure = {"FailedDelete", removed.error().message};
        });
    run_parallel(calls);
    return failure;
}

} // namespace cloudlet::kube::controllers
