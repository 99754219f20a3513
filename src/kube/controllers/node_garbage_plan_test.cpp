#include "garbage_plan.h"
#include "node_plan.h"
#include "test_objects.h"

namespace cloudlet::kube::controllers {
namespace {

api::Object node(std::string ready, std::string spec = "{}") {
    return api::Object(json("{'kind':'Node','metadata':{'name':'n1'},'spec':" + spec +
                            ",'status':{'conditions':[{'type':'Ready','status':'" + ready +
                            "','lastHeartbeatTime':'2023-11-14T22:00:00Z'}]}}"));
}

std::string taints_of(const NodePlan& plan) {
    std::string line;
    for (const Json& taint : plan.taints.items())
        line += std::string(taint["key"].as_string()) + ":" +
                std::string(taint["effect"].as_string()) + " ";
    return line;
}

TEST(PlanNode, TaintsByReadiness) {
    EXPECT_TRUE(plan_node(node("True"), false, test_start).taints.is_null());
    EXPECT_EQ(taints_of(plan_node(node("False"), false, test_start)),
              "node.kubernetes.io/not-ready:NoSchedule node.kubernetes.io/not-ready:NoExecute ");
    EXPECT_EQ(taints_of(plan_node(node("True", "{'unschedulable':true}"), false, test_start)),
              "node.kubernetes.io/unschedulable:NoSchedule ");
}

TEST(PlanNode, ASilentNodeIsNotKnownAndUnreachable) {
    const NodePlan plan = plan_node(node("True"), true, test_start);
    EXPECT_TRUE(plan.lost);
    EXPECT_EQ(plan.conditions.size(), 4u);
    EXPECT_EQ(plan.conditions[0]["status"].as_string(), "Unknown");
    EXPECT_EQ(plan.conditions[0]["lastHeartbeatTime"].as_string(), "2023-11-14T22:00:00Z");
    EXPECT_EQ(
        taints_of(plan),
        "node.kubernetes.io/unreachable:NoSchedule node.kubernetes.io/unreachable:NoExecute ");
}

TEST(PlanNode, TakesItsOwnTaintsAwayAndLeavesOthers) {
    const auto plan =
        plan_node(node("True", "{'taints':[{'key':'mine','effect':'NoExecute'},"
                               "{'key':'node.kubernetes.io/unreachable','effect':'NoExecute'}]}"),
                  false, test_start);
    EXPECT_EQ(taints_of(plan), "mine:NoExecute ");
}

TEST(LeaveAt, IsTheShortestToleration) {
    const Json taints =
        json("[{'key':'k','effect':'NoExecute','timeAdded':'" + format_time(test_start) +
             "'},"
             "{'key':'other','effect':'NoSchedule'}]");
    auto with = [](std::string tolerations) {
        Json object = pod().json();
        object.set_path({"spec", "tolerations"}, json(std::move(tolerations)));
        return api::Object(std::move(object));
    };
    EXPECT_EQ(leave_at(with("[]"), taints, test_start), test_start);
    EXPECT_EQ(leave_at(with("[{'operator':'Exists'}]"), taints, test_start), std::nullopt);
    EXPECT_EQ(leave_at(with("[{'key':'k','operator':'Exists','tolerationSeconds':300}]"), taints,
                       test_start),
              test_start + std::chrono::seconds{300});
    EXPECT_EQ(leave_at(with("[]"), json("[{'key':'other','effect':'NoSchedule'}]"), test_start),
              std::nullopt);
}

api::Object owned(std::string owners, std::string more = "") {
    return api::Object(
        json("{'metadata':{'name':'d','uid':'d','ownerReferences':[" + owners + "]" + more + "}}"));
}

TEST(PlanDependent, GoesWithItsLastOwner) {
    const auto one = owned("{'uid':'a'}");
    EXPECT_EQ(plan_dependent(one, {OwnerState::present}).action, DependentPlan::Action::keep);
    EXPECT_EQ(plan_dependent(one, {OwnerState::absent}).action, DependentPlan::Action::remove);
    EXPECT_EQ(plan_dependent(one, {OwnerState::absent}).propagation, "Background");
    EXPECT_EQ(plan_dependent(one, {OwnerState::deleting}).propagation, "Foreground");
    const auto two = owned("{'uid':'a'},{'uid':'b'}");
    const auto plan = plan_dependent(two, {OwnerState::absent, OwnerState::present});
    EXPECT_EQ(plan.action, DependentPlan::Action::drop_owners);
    EXPECT_EQ(plan.drop, std::vector<std::string>{"a"});
    EXPECT_EQ(plan_dependent(api::Object(json("{'metadata':{}}")), {}).action,
              DependentPlan::Action::keep);
}

TEST(PlanOwner, WaitsInTheForegroundForThoseThatBlock) {
    const auto owner = [](std::string finalizer) {
        return api::Object(json(
            "{'metadata':{'uid':'a','deletionTimestamp':'2023-01-01T00:00:00Z','finalizers':['" +
            finalizer + "']}}"));
    };
    const auto blocking = owned("{'uid':'a','blockOwnerDeletion':true}");
    const auto loose = owned("{'uid':'a'}");
    EXPECT_EQ(plan_owner(owner("foregroundDeletion"), {blocking}).finalizer, "");
    EXPECT_EQ(plan_owner(owner("foregroundDeletion"), {blocking}).remove.size(), 1u);
    EXPECT_EQ(plan_owner(owner("foregroundDeletion"), {loose}).finalizer, "foregroundDeletion");
    EXPECT_EQ(plan_owner(owner("orphan"), {blocking}).let_go.size(), 1u);
    EXPECT_EQ(plan_owner(owner("orphan"), {}).finalizer, "orphan");
    EXPECT_EQ(plan_owner(owner("mine"), {blocking}).finalizer, "");
}

} // namespace
} // namespace cloudlet::kube::controllers
