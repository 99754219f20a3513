#pragma once
// The life of a node as the control plane sees it: pure. The rules are kube-controller-manager's
// (pkg/controller/nodelifecycle, tainteviction).

#include <optional>
#include <vector>

#include "cloudlet/api/object.h"
#include "cloudlet/base/clock.h"

namespace cloudlet::kube::controllers {

struct NodePlan {
    codec::Json taints;     // what spec.taints shall be; null: as it is
    codec::Json conditions; // what status.conditions shall be; null: as it is
    bool lost = false;      // its pods are not known to be ready any more
};
/// `silent`: its heartbeat stands still for longer than the grace.
NodePlan plan_node(const api::Object& node, bool silent, WallTime now);

/// When a pod has to leave a node with these taints: after the shortest toleration of its NoExecute
/// taints. Absent: it may stay.
std::optional<WallTime> leave_at(const api::Object& pod, const codec::Json& taints, WallTime now);

bool evicts(const codec::Json& taints); // whether one is NoExecute

} // namespace cloudlet::kube::controllers
