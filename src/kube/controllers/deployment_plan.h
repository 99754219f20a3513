#pragma once
// What a Deployment needs done next: pure. The rules are kube-controller-manager's
// (pkg/controller/deployment: sync.go, rolling.go, recreate.go, progress.go,
// util/deployment_util.go).
//
// One look yields one step: perhaps a new ReplicaSet, or some sets scaled, or old ones removed, and
// the status. The next step follows when the informers show the effect of this one.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cloudlet/api/object.h"
#include "cloudlet/base/clock.h"

namespace cloudlet::kube::controllers {

/// What a look at a Deployment sees.
struct DeploymentView {
    api::Object deployment;
    std::vector<api::Object> sets; // ReplicaSets that it controls
    bool old_pods_running =
        false; // some pod of a set that is not the new one has not ended (Recreate)
    WallTime now;
};

/// A change of one ReplicaSet.
struct SetChange {
    api::Object set;
    std::optional<int64_t> replicas; // scale to
    codec::Json annotations;         // to be set, or null
    std::optional<int64_t> min_ready_seconds;
};

struct DeploymentPlan {
    codec::Json create;             // a ReplicaSet to make, or null
    std::vector<SetChange> changes; // of sets that exist
    std::vector<api::Object> remove;
    std::string revision;   // what the Deployment's revision annotation shall say; empty: as it is
    codec::Json status;     // without collisionCount
    Duration look_again{0}; // for the progress deadline; 0: not by time
};
DeploymentPlan plan_deployment(const DeploymentView& view);

/// The ReplicaSet of the current template: of several, the oldest. Empty when there is none.
api::Object find_new_set(const api::Object& deployment, const std::vector<api::Object>& sets);

struct RolloutLimits {
    int64_t surge = 0;
    int64_t unavailable = 0;
};
/// Resolves numbers and percentages: surge rounds up, unavailable down; both zero becomes one
/// unavailable.
RolloutLimits rollout_limits(const api::Object& deployment);

// ---- deployment_scaling.cpp: how many pods each set shall have

using Scales = std::map<std::string, int64_t>; // by name of the set; only those that change
/// One step of a rolling update: the new set grows within the surge, else old ones shrink as far as
/// enough pods stay available.
Scales roll(const api::Object& deployment, const api::Object& new_set,
            const std::vector<api::Object>& old_sets);
/// What a new set starts with.
int64_t first_replicas(const api::Object& deployment, const std::vector<api::Object>& old_sets);
/// Follows a change of spec.replicas during a rollout: each set changes in proportion to its size.
/// Holds unchanged ones too: the size noted on them is to follow.
Scales scale_in_proportion(const api::Object& deployment, const api::Object& new_set,
                           const std::vector<api::Object>& sets);

// ---- deployment_status.cpp

/// The counts and conditions that the sets show; `event` is what this step did to the new set.
enum class SetEvent { none, created, found };
codec::Json deployment_status(const DeploymentView& view, const api::Object& new_set,
                              SetEvent event, std::string_view new_set_name);
/// Whether the rollout that `status` shows is done.
bool is_complete(const api::Object& deployment, const codec::Json& status);
/// Until the progress deadline passes; 0 when none is running.
Duration until_deadline(const api::Object& deployment, const codec::Json& status, WallTime now);

// ---- names of annotations and labels

inline constexpr std::string_view revision_annotation = "deployment.kubernetes.io/revision";
inline constexpr std::string_view history_annotation = "deployment.kubernetes.io/revision-history";
inline constexpr std::string_view desired_annotation = "deployment.kubernetes.io/desired-replicas";
inline constexpr std::string_view most_annotation = "deployment.kubernetes.io/max-replicas";
inline constexpr std::string_view hash_label = "pod-template-hash";

int64_t replicas_of(const api::Object& object); // spec.replicas
int64_t revision_of(const api::Object& object); // of its annotation; 0 when there is none
bool is_rolling(const api::Object& deployment);

} // namespace cloudlet::kube::controllers
