#include "replica_set_plan.h"

#include "expectations.h"
#include "test_objects.h"

namespace cloudlet::kube::controllers {
namespace {

api::Object replica_set(int replicas, std::string more = "") {
    return api::Object(json(
        "{'apiVersion':'apps/v1','kind':'ReplicaSet','metadata':{'name':'rs','namespace':'default',"
        "'uid':'set','generation':3},'spec':{'replicas':" +
        std::to_string(replicas) +
        ",'selector':{'matchLabels':{'app':'web'}},'template':{'metadata':{'labels':{'app':'web'},"
        "'annotations':{'a':'b'}},'spec':{'containers':[{'name':'c','image':'i'}]}}" +
        more + "}}"));
}

std::string names(const std::vector<api::Object>& pods) {
    std::string line;
    for (const auto& pod : pods) line += (line.empty() ? "" : " ") + std::string(pod.name());
    return line;
}

TEST(Claim, TakesItsOwnAdoptsActiveOrphansAndReleasesStrangers) {
    const std::vector<api::Object> pods{
        pod({.name = "own", .owner = "set"}),
        pod({.name = "relabelled", .owner = "set", .labels = "{'app':'other'}"}),
        pod({.name = "orphan"}),
        pod({.name = "ended", .phase = "Succeeded"}),
        pod({.name = "leaving", .deleting = true}),
        pod({.name = "stranger", .labels = "{'app':'other'}"}),
        pod({.name = "anothers", .owner = "other"})};
    const Claims claims = claim(replica_set(1), pods);
    EXPECT_EQ(names(claims.owned), "own");
    EXPECT_EQ(names(claims.adopt), "orphan");
    EXPECT_EQ(names(claims.release), "relabelled");
}

TEST(PlanReplicas, CountsOnlyActivePods) {
    const std::vector<api::Object> pods{pod({.name = "a"}), pod({.name = "b", .phase = "Failed"}),
                                        pod({.name = "c", .deleting = true})};
    EXPECT_EQ(plan_replicas(replica_set(3), pods).create, 2u);
    EXPECT_EQ(plan_replicas(replica_set(1), pods).create, 0u);
    EXPECT_EQ(names(plan_replicas(replica_set(0), pods).remove), "a");
    EXPECT_EQ(plan_replicas(replica_set(9000), {}).create, 500u);
}

TEST(PlanReplicas, RemovesTheLeastValuableFirst) {
    const std::vector<api::Object> pods{
        pod({.name = "7-old"}),
        pod({.name = "6-young", .age = 60}),
        pod({.name = "5-restarted", .restarts = 4}),
        pod({.name = "4-just-ready", .ready_for = 2}),
        pod({.name = "3-cheap",
             .annotations = "{'controller.kubernetes.io/pod-deletion-cost':'-5'}"}),
        pod({.name = "2-unready", .ready = false}),
        pod({.name = "1-pending", .phase = "Pending", .ready = false}),
        pod({.name = "0-unplaced", .phase = "Pending", .ready = false, .node = ""})};
    EXPECT_EQ(names(plan_replicas(replica_set(0), pods).remove),
              "0-unplaced 1-pending 2-unready 3-cheap 4-just-ready 5-restarted 6-young 7-old");
}

TEST(PlanReplicas, ThinsOutCrowdedNodesFirst) {
    const std::vector<api::Object> pods{pod({.name = "alone", .node = "n2"}), pod({.name = "a"}),
                                        pod({.name = "b"})};
    EXPECT_NE(names(plan_replicas(replica_set(2), pods).remove), "alone");
}

TEST(PodFromTemplate, CarriesTheTemplateAndItsController) {
    const Json made = pod_from_template(replica_set(1));
    EXPECT_EQ(made.at({"metadata", "generateName"}).as_string(), "rs-");
    EXPECT_EQ(made.at({"metadata", "annotations", "a"}).as_string(), "b");
    EXPECT_EQ(made.at({"metadata", "ownerReferences"})[0]["uid"].as_string(), "set");
    EXPECT_TRUE(made.at({"metadata", "ownerReferences"})[0]["controller"].as_bool());
    EXPECT_EQ(made.at({"spec", "containers"})[0]["image"].as_string(), "i");
}

TEST(ReplicaStatus, CountsAndSaysWhenToLookAgain) {
    const std::vector<api::Object> pods{pod({.name = "a"}), pod({.name = "b", .ready_for = 4}),
                                        pod({.name = "c", .ready = false}),
                                        pod({.name = "d", .deleting = true})};
    const auto result =
        replica_status(replica_set(3, ",'minReadySeconds':10"), pods, {}, true, test_start);
    EXPECT_EQ(result.status.dump(),
              R"({"replicas":3,"fullyLabeledReplicas":3,"readyReplicas":2,"availableReplicas":1,)"
              R"("observedGeneration":3,"conditions":[]})");
    EXPECT_EQ(result.look_again, Duration{std::chrono::seconds{6}});
    const auto failed =
        replica_status(replica_set(3), pods, {"FailedCreate", "no"}, true, test_start);
    EXPECT_EQ(failed.status["conditions"][0]["reason"].as_string(), "FailedCreate");
}

TEST(ReplicaStatus, OfAFailureThatGoesOnIsNotWrittenAgainForItsWords) {
    const auto first =
        replica_status(replica_set(3), {}, {"FailedCreate", "pods rs-1"}, true, test_start);
    Json object = replica_set(3).json();
    object.set("status", first.status);
    const auto second = replica_status(api::Object(object), {}, {"FailedCreate", "pods rs-2"}, true,
                                       test_start + std::chrono::seconds{9});
    EXPECT_EQ(second.status, first.status);
    EXPECT_EQ(without_generated_names("pods \"rs-abcde\" no, \"rs-a\" no", replica_set(1)),
              "pods \"rs-\" no, \"rs-a\" no");
}

TEST(SlowStart, DoublesUntilAllAreTried) {
    EXPECT_EQ(slow_start(10), (std::vector<size_t>{1, 2, 4, 3}));
    EXPECT_EQ(slow_start(0), std::vector<size_t>{});
}

TEST(Expectations, HoldUntilSeenOrForgotten) {
    Expectations expectations;
    const MonotonicTime now{};
    EXPECT_TRUE(expectations.satisfied("set", now));
    expectations.expect("set", 2, {"x"}, now);
    expectations.creation_seen("set");
    expectations.creation_seen("set");
    EXPECT_FALSE(expectations.satisfied("set", now));
    expectations.removal_seen("set", "x");
    EXPECT_TRUE(expectations.satisfied("set", now));
    expectations.expect("set", 1, {}, now);
    EXPECT_FALSE(expectations.satisfied("set", now + std::chrono::minutes{4}));
    EXPECT_TRUE(expectations.satisfied("set", now + std::chrono::minutes{6}));
}

} // namespace
} // namespace cloudlet::kube::controllers
