#pragma once
// What becomes of an object by its owners, and of an owner by its dependents: pure. The rules are
// Kubernetes' garbage collection (kubernetes.io/docs/concepts/architecture/garbage-collection).

#include <string>
#include <vector>

#include "cloudlet/api/object.h"

namespace cloudlet::kube::controllers {

enum class OwnerState {
    present,  // exists, with the uid of the reference
    deleting, // exists, and waits for its dependents (foreground deletion)
    absent,   // does not exist; or another object has its name
};

struct DependentPlan {
    enum class Action { keep, remove, drop_owners };
    Action action = Action::keep;
    std::string propagation;       // for remove: "Background", "Foreground"
    std::vector<std::string> drop; // for drop_owners: uids
};
/// `states` in the order of the object's owner references.
DependentPlan plan_dependent(const api::Object& object, const std::vector<OwnerState>& states);

struct OwnerPlan {
    std::string finalizer;           // to be taken off, if any
    std::vector<api::Object> let_go; // dependents whose reference to it is dropped (orphaning)
    std::vector<api::Object> remove; // dependents to be deleted first (foreground)
};
/// For an owner that is being deleted with one of garbage collection's finalizers.
OwnerPlan plan_owner(const api::Object& owner, const std::vector<api::Object>& dependents);

bool has_finalizer(const api::Object& object, std::string_view finalizer);

inline constexpr std::string_view orphan_finalizer = "orphan";
inline constexpr std::string_view foreground_finalizer = "foregroundDeletion";

} // namespace cloudlet::kube::controllers
