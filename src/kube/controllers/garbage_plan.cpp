#include "garbage_plan.h"

#include <algorithm>

namespace cloudlet::kube::controllers {

using api::Object;

namespace {

bool blocks(const Object& dependent, std::string_view owner_uid) {
    for (const auto& owner : dependent.owner_references())
        if (owner.uid == owner_uid) return owner.block_owner_deletion;
    return false;
}

} // namespace

bool has_finalizer(const Object& object, std::string_view finalizer) {
    const auto& items = object.metadata()["finalizers"].items();
    return std::any_of(items.begin(), items.end(),
                       [&](const codec::Json& one) { return one.as_string() == finalizer; });
}

DependentPlan plan_dependent(const Object& object, const std::vector<OwnerState>& states) {
    const auto owners = object.owner_references();
    DependentPlan plan;
    if (owners.empty() || object.is_being_deleted()) return plan;
    auto count = [&](OwnerState state) { return std::count(states.begin(), states.end(), state); };
    if (count(OwnerState::present) > 0) {
        // Somebody keeps it; those who no longer do are struck off.
        for (size_t i = 0; i < owners.size(); ++i)
            if (states[i] != OwnerState::present) plan.drop.push_back(owners[i].uid);
        if (!plan.drop.empty()) plan.action = DependentPlan::Action::drop_owners;
        return plan;
    }
    plan.action = DependentPlan::Action::remove;
    plan.propagation = count(OwnerState::deleting) > 0 ? "Foreground" : "Background";
    if (has_finalizer(object, orphan_finalizer)) plan.propagation = "Orphan";
    return plan;
}

OwnerPlan plan_owner(const Object& owner, const std::vector<Object>& dependents) {
    OwnerPlan plan;
    if (!owner.is_being_deleted()) return plan;
    if (has_finalizer(owner, orphan_finalizer)) {
        plan.let_go = dependents;
        if (dependents.empty()) plan.finalizer = orphan_finalizer;
        return plan;
    }
    if (!has_finalizer(owner, foreground_finalizer)) return plan;
    bool blocked = false;
    for (const Object& dependent : dependents) {
        blocked |= blocks(dependent, owner.uid());
        if (!dependent.is_being_deleted()) plan.remove.push_back(dependent);
    }
    if (!blocked) plan.finalizer = foreground_finalizer;
    return plan;
}

} // namespace cloudlet::kube::controllers
