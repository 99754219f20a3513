#include "decision.h"

#include "cloudlet/base/random.h"

namespace cloudlet::kube::scheduler {
namespace {

using codec::Json;

api::Object object(std::string_view json) { return api::Object(*codec::parse_json(json)); }

api::Object node(const std::string& name, const std::string& cpu, const std::string& memory,
                 std::string_view spec = "{}", std::string_view labels = "{}") {
    return object(fmt::format(R"({{"metadata":{{"name":"{}","labels":{}}},"spec":{},
        "status":{{"allocatable":{{"cpu":"{}","memory":"{}","pods":"3"}}}}}})",
                              name, labels, spec, cpu, memory));
}

PodNeeds needs(std::string_view spec) {
    auto parsed = needs_of(object(fmt::format(R"({{"spec":{}}})", spec)));
    EXPECT_TRUE(parsed);
    return *parsed;
}

PodNeeds asking(const std::string& cpu, const std::string& memory) {
    return needs(fmt::format(
        R"({{"containers":[{{"resources":{{"requests":{{"cpu":"{}","memory":"{}"}}}}}}]}})", cpu,
        memory));
}

NodeCache cache_of(std::initializer_list<api::Object> nodes) {
    NodeCache cache;
    for (const auto& each : nodes) cache.set_node(each);
    return cache;
}

TEST(PodNeeds, CountContainersTogetherAndInitContainersOneByOne) {
    auto sum = needs(R"({"initContainers":[{"resources":{"requests":{"cpu":"2"}}},
        {"restartPolicy":"Always","resources":{"requests":{"cpu":"100m"}}},
        {"resources":{"requests":{"memory":"1Gi"}}}],
        "containers":[{"resources":{"requests":{"cpu":"300m","memory":"64Mi"}}},
        {"resources":{"requests":{"cpu":"0.2"}}}]})");
    EXPECT_EQ(sum.amounts.milli_cpu, 2000); // the first init container outweighs 100m + 500m
    EXPECT_EQ(sum.amounts.memory, int64_t{1} << 30);
}

TEST(Decision, TakesTheNodeWithMostLeftFreeAndTellsEqualOnesApartByPodsThenName) {
    auto cache = cache_of({node("small", "1", "1Gi"), node("big", "8", "8Gi")});
    EXPECT_EQ(decide(asking("500m", "256Mi"), cache).node, "big");
    auto twins = cache_of({node("b", "1", "1Gi"), node("a", "1", "1Gi")});
    EXPECT_EQ(decide(needs("{}"), twins).node, "a");
    twins.add_pod("uid", "a", needs("{}"));
    EXPECT_EQ(decide(needs("{}"), twins).node, "b");
}

TEST(Decision, SaysWhyNothingFitsInTheStockSchedulersWords) {
    auto cache = cache_of(
        {node("a", "1", "1Gi"), node("b", "2", "512Mi"),
         node("c", "9", "9Gi", R"({"unschedulable":true})"),
         node("d", "9", "9Gi", R"({"taints":[{"key":"k","value":"v","effect":"NoSchedule"}]})")});
    auto decision = decide(asking("1500m", "600Mi"), cache);
    EXPECT_FALSE(decision.node);
    EXPECT_EQ(decision.message(),
              "0/4 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, "
              "1 node(s) had untolerated taint {k: v}, 1 node(s) were unschedulable.");
    EXPECT_EQ(decide(needs("{}"), NodeCache()).message(), "0/0 nodes are available.");
}

TEST(Decision, CountsPodsPortsAndExtendedResources) {
    auto cache = cache_of({node("a", "9", "9Gi")});
    auto web = needs(R"({"containers":[{"ports":[{"hostPort":80}]}]})");
    cache.add_pod("1", "a", web);
    EXPECT_EQ(decide(web, cache).reasons.begin()->first,
              "node(s) didn't have free ports for the requested pod ports");
    EXPECT_TRUE(
        decide(needs(R"({"containers":[{"ports":[{"hostPort":80,"protocol":"UDP"}]}]})"), cache)
            .node);
    cache.remove_pod("1");
    EXPECT_TRUE(decide(web, cache).node);
    auto gpu = needs(R"({"containers":[{"resources":{"requests":{"example.com/gpu":"1"}}}]})");
    EXPECT_EQ(decide(gpu, cache).reasons.begin()->first, "Insufficient example.com/gpu");
    for (auto uid : {"1", "2", "3"}) cache.add_pod(uid, "a", needs("{}"));
    EXPECT_EQ(decide(needs("{}"), cache).reasons.begin()->first, "Too many pods");
}

TEST(Decision, FollowsSelectorsAffinityAndTolerations) {
    auto cache =
        cache_of({node("a", "1", "1Gi", "{}", R"({"zone":"east"})"),
                  node("b", "1", "1Gi", R"({"taints":[{"key":"gpu","effect":"NoExecute"}]})",
                       R"({"zone":"west"})")});
    EXPECT_EQ(decide(needs(R"({"nodeSelector":{"zone":"east"}})"), cache).node, "a");
    EXPECT_FALSE(decide(needs(R"({"nodeSelector":{"zone":"west"}})"), cache).node);
    EXPECT_EQ(
        decide(
            needs(
                R"({"nodeSelector":{"zone":"west"},"tolerations":[{"key":"gpu","operator":"Exists"}]})"),
            cache)
            .node,
        "b");
    auto not_a = R"({"tolerations":[{"operator":"Exists"}],"affinity":{"nodeAffinity":
        {"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":
        [{"key":"metadata.name","operator":"NotIn","values":["a"]}]}]}}}})";
    EXPECT_EQ(decide(needs(not_a), cache).node, "b");
    auto empty_term =
        R"({"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":
        {"nodeSelectorTerms":[{}]}}}})";
    EXPECT_FALSE(decide(needs(empty_term), cache).node);
}

TEST(NodeCache, GivesBackExactlyWhatWasTakenInAnyOrder) {
    for (uint64_t seed = 0; seed < 50; ++seed) {
        Random random(seed);
        auto cache = cache_of({node("a", "9", "9Gi"), node("b", "9", "9Gi")});
        std::vector<std::string> placed;
        for (int step = 0; step < 200; ++step) {
            if (random.chance(0.5)) {
                placed.push_back(std::to_string(step));
                cache.add_pod(
                    placed.back(), random.chance(0.5) ? "a" : "b",
                    needs(
                        R"({"containers":[{"ports":[{"hostPort":1}],"resources":{"requests":{"cpu":"1","x/y":"2"}}}]})"));
            } else if (!placed.empty()) {
                std::swap(placed[random.below(placed.size())], placed.back());
                cache.remove_pod(placed.back());
                placed.pop_back();
            }
        }
        for (const auto& uid : placed) cache.remove_pod(uid);
        for (const auto& [name, state] : cache.nodes()) {
            EXPECT_EQ(state.requested.milli_cpu, 0) << seed;
            EXPECT_EQ(state.requested.others.at("x/y"), 0) << seed;
            EXPECT_EQ(state.pods, 0);
            EXPECT_TRUE(state.ports.empty());
        }
    }
}

} // namespace
} // namespace cloudlet::kube::scheduler
