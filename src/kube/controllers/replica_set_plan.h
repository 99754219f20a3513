#pragma once
// What a ReplicaSet needs done: pure. The rules are kube-controller-manager's
// (pkg/controller/replicaset, controller_utils.go ActivePodsWithRanks).

#include <string>
#include <vector>

#include "cloudlet/api/object.h"
#include "cloudlet/base/clock.h"

namespace cloudlet::kube::controllers {

/// Which pods belong to the set, and which shall begin or cease to.
struct Claims {
    std::vector<api::Object> owned;   // stay
    std::vector<api::Object> adopt;   // match, active, and have no controller
    std::vector<api::Object> release; // owned, but the labels no longer match
};
/// `candidates`: pods that the set controls, and pods of its namespace without controller.
Claims claim(const api::Object& replica_set, const std::vector<api::Object>& candidates);

struct ReplicaPlan {
    size_t create = 0;
    std::vector<api::Object> remove; // the least valuable first
};
/// At most 500 changes at once.
ReplicaPlan plan_replicas(const api::Object& replica_set, const std::vector<api::Object>& pods);

/// A pod as the template says, to be created.
codec::Json pod_from_template(const api::Object& replica_set);

/// The status that the pods show; `failure` is why the last creations or removals failed, or empty.
struct ReplicaStatus {
    codec::Json status;
    Duration look_again{0}; // when the next pod becomes available just by waiting; 0: none does
};
struct ReplicaFailure {
    std::string reason; // "FailedCreate", "FailedDelete"
    std::string message;
};
/// `message` with the names that were generated for pods of this set cut back to what all share: of
/// two attempts that fail alike the messages are alike.
std::string without_generated_names(std::string message, const api::Object& replica_set);

ReplicaStatus replica_status(const api::Object& replica_set, const std::vector<api::Object>& pods,
                             const ReplicaFailure& failure, bool managed, WallTime now);

/// How many to create in each attempt: 1, 2, 4, ... so that a template that is always refused costs
/// one request. `total` in all.
std::vector<size_t> slow_start(size_t total);

} // namespace cloudlet::kube::controllers
