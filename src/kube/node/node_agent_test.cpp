#include "cloudlet/kube/node/node_agent.h"

#include <gtest/gtest.h>

#include <csignal>

#include "agent_world.h"
#include "cloudlet/kube/node_connector.h"

namespace cloudlet::kube::node {
namespace {

using codec::Json;
using namespace std::chrono_literals;

Json parse(const std::string& text) {
    auto json = codec::parse_json(text);
    EXPECT_TRUE(json) << text;
    return json ? std::move(*json) : Json();
}

TEST(NodeAgent, RegistersItsNodeAndLease) {
    AgentWorld world;
    const auto node = world.api.get(api::resources::nodes, {"", "n1"});
    ASSERT_TRUE(node);
    EXPECT_TRUE(node->condition_is("Ready", "True"));
    EXPECT_EQ(node->status()["addresses"][0]["address"].as_string(), "127.0.0.1");
    EXPECT_GT(node->status()["capacity"]["cpu"].as_string(), "");
    EXPECT_EQ(node->status()["images"].size(), 1u);
    EXPECT_TRUE(world.api.get(api::resources::leases, {"kube-node-lease", "n1"}));
}

TEST(NodeAgent, ANodeThatIsDeletedRegistersAnew) {
    AgentWorld world;
    const api::ObjectKey key{"", "n1"};
    const std::string uid(world.api.get(api::resources::nodes, key)->uid());
    ASSERT_TRUE(world.api.remove(api::resources::nodes, key, {}));
    EXPECT_TRUE(world.wait([&] {
        auto node = world.api.get(api::resources::nodes, key);
        return node && node->uid() != uid && node->condition_is("Ready", "True");
    }));
}

TEST(NodeAgent, RunsAPodAndCleansUpAfterIt) {
    AgentWorld world;
    const auto pod = world.pod("web", "echo up; while true; do sleep 0.1; done");
    ASSERT_TRUE(world.wait_phase("web", "Running"));
    EXPECT_TRUE(world.latest["web"].condition_is("Ready", "True"));
    EXPECT_EQ(world.latest["web"].status()["podIP"].as_string(), "127.0.0.1");
    EXPECT_EQ(world.latest["web"].status()["qosClass"].as_string(), "BestEffort");
    EXPECT_TRUE(
        world.wait([&] { return world.log(pod).find("stdout F up") != std::string::npos; }));
    ASSERT_TRUE(world.api.remove(api::resources::pods, pod.key(), {}));
    EXPECT_TRUE(world.wait([&] { return !world.api.get(api::resources::pods, pod.key()); }));
    EXPECT_TRUE(world.engine->sandboxes().empty());
    EXPECT_FALSE(io::exists(world.root + "/pods/" + std::string(pod.uid())));
    EXPECT_TRUE(io::list_directory(world.root + "/log/pods")->empty());
}

TEST(NodeAgent, GivesEnvironmentAndVolumesAndUpdatesThem) {
    AgentWorld world;
    ASSERT_TRUE(world.api.create(
        api::resources::config_maps, "default",
        parse(R"({"metadata":{"name":"conf"},"data":{"greeting":"hello","file":"v1"}})")));
    const auto pod = world.pod(
        "web",
        "echo $WORD $ME; while ! test `cat /conf/file` = v2; do sleep 0.02; done; echo updated; "
        "sleep 100",
        parse(
            R"({"env":[{"name":"WORD","valueFrom":{"configMapKeyRef":{"name":"conf",
            "key":"greeting"}}},
                                   {"name":"ME",
            "valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}],
                                   "volumeMounts":[{"name":"c","mountPath":"/conf"}]})"),
        parse(R"({"volumes":[{"name":"c","configMap":{"name":"conf"}}]})"));
    ASSERT_TRUE(world.wait_phase("web", "Running"));
    EXPECT_TRUE(world.wait([&] {
        return world.log(pod).find("stdout F hello web") != std::string::npos;
    })) << world.log(pod);
    ASSERT_TRUE(world.api.patch(api::resources::config_maps, {"default", "conf"},
                                api::PatchType::merge, parse(R"({"data":{"file":"v2"}})"), {}));
    EXPECT_TRUE(world.wait([&] {
        return world.log(pod).find("stdout F updated") != std::string::npos;
    })) << world.log(pod);
}

TEST(NodeAgent, WhatIsMissingIsShownAndTheStartFollowsItsArrival) {
    AgentWorld world;
    world.pod("web", "sleep 100", parse(R"({"envFrom":[{"configMapRef":{"name":"late"}}]})"));
    ASSERT_TRUE(world.wait_pod("web", [](const api::Object& pod) {
        return pod.status()["containerStatuses"][0]["state"]["waiting"]["reason"].as_string() ==
               "CreateContainerConfigError";
    }));
    EXPECT_NE(world.container("web").dump().find("configmaps \\\"late\\\" not found"),
              std::string::npos);
    ASSERT_TRUE(world.api.create(api::resources::config_maps, "default",
                                 parse(R"({"metadata":{"name":"late"},"data":{}})")));
    EXPECT_TRUE(world.wait_phase("web", "Running"));
}

TEST(NodeAgent, ImageProblemsAreTold) {
    AgentWorld world;
    world.pod("never", "true", parse(R"({"image":"nosuch:1","imagePullPolicy":"Never"})"));
    world.pod("pull", "true", parse(R"({"image":"nosuch:1"})"));
    auto reason = [&](const char* name, const char* wanted) {
        return world.wait_pod(name, [&](const api::Object& pod) {
            return pod.status()["containerStatuses"][0]["state"]["waiting"]["reason"].as_string() ==
                   wanted;
        });
    };
    EXPECT_TRUE(reason("never", "ErrImageNeverPull"));
    EXPECT_TRUE(reason("pull", "ErrImagePull"));
    EXPECT_TRUE(reason("pull", "ImagePullBackOff"));
}

TEST(NodeAgent, InitContainersRunFirstAndShareVolumes) {
    AgentWorld world;
    const auto pod = world.pod(
        "web", "cat /d/made; sleep 100",
        parse(R"({"volumeMounts":[{"name":"d","mountPath":"/d"}]})"),
        parse(
            R"({"volumes":[{"name":"d","emptyDir":{}}],"initContainers":[{"name":"prepare",
            "image":"busybox:1",
                                   "command":["/bin/sh","-c","echo by init > /d/made"],
            "volumeMounts":[{"name":"d","mountPath":"/d"}]}]})"));
    ASSERT_TRUE(world.wait_phase("web", "Running"));
    EXPECT_TRUE(world.wait([&] { return world.log(pod).find("by init") != std::string::npos; }))
        << world.log(pod);
    EXPECT_EQ(world.latest["web"]
                  .status()["initContainerStatuses"][0]["state"]["terminated"]["exitCode"]
                  .as_int(-1),
              0);
    EXPECT_TRUE(world.wait([&] { return world.latest["web"].condition_is("Ready", "True"); }));
    for (const auto& condition : world.latest["web"].status()["conditions"].items())
        EXPECT_FALSE(condition.contains("reason") || condition.contains("message"))
            << "of the time when it did not hold yet: " << condition.dump();
}

TEST(NodeAgent, RestartsByPolicyAndReportsTheEnd) {
    AgentWorld world;
    world.pod("job", "echo bad; printf why > /dev/termination-log; exit 3", Json::object(),
              parse(R"({"restartPolicy":"Never"})"));
    ASSERT_TRUE(world.wait_phase("job", "Failed"));
    const auto end = world.container("job")["state"]["terminated"];
    EXPECT_EQ(end["exitCode"].as_int(), 3);
    EXPECT_EQ(end["message"].as_string(), "why");
    world.pod("good", "exit 0", Json::object(), parse(R"({"restartPolicy":"OnFailure"})"));
    ASSERT_TRUE(world.wait_phase("good", "Succeeded"));
    world.pod("always", "exit 1");
    ASSERT_TRUE(world.wait_pod("always", [](const api::Object& pod) {
        const Json& status = pod.status()["containerStatuses"][0];
        return status["restartCount"].as_int() >= 1 &&
               status["state"]["waiting"]["reason"].as_string() == "CrashLoopBackOff";
    }));
}

TEST(NodeAgent, ExecProbesDecideReadinessAndLife) {
    AgentWorld world;
    const auto pod =
        world.pod("web", "touch /tmp/live; sleep 1000",
                  parse(
                      R"({"readinessProbe":{"exec":{"command":["/bin/test","-e","/tmp/ready"]},
            "periodSeconds":1},
                                         "livenessProbe":{"exec":{"command":["/bin/test","-e",
            "/tmp/live"]},"periodSeconds":1,"failureThreshold":1,"initialDelaySeconds":1}})"));
    ASSERT_TRUE(world.wait_phase("web", "Running"));
    EXPECT_TRUE(world.latest["web"].condition_is("Ready", "False"));
    const auto running = world.engine->list(std::string(pod.uid())).at(0);
    const std::string root = world.engine->rootfs(running.id).value();
    ASSERT_TRUE(io::write_file_atomic(root + "/tmp/ready", ""));
    EXPECT_TRUE(world.wait_pod(
        "web", [](const api::Object& p) { return p.condition_is("Ready", "True"); }));
    // Ready may come before the container's first command has run.
    ASSERT_TRUE(world.wait([&] { return io::exists(root + "/tmp/live"); }));
    ASSERT_TRUE(io::remove_file(root + "/tmp/live"));
    EXPECT_TRUE(world.wait_pod("web", [](const api::Object& p) {
        return p.status()["containerStatuses"][0]["restartCount"].as_int() == 1;
    }));
}

TEST(NodeAgent, HooksRunAfterTheStartAndBeforeTheSignal) {
    AgentWorld world;
    ASSERT_TRUE(io::make_directories(world.root + "/marks"));
    const auto pod = world.pod(
        "web", "trap 'echo term >> /m/marks; exit 0' TERM; while true; do sleep 0.02; done",
        parse(
            R"({"lifecycle":{"postStart":{"exec":{"command":["/bin/sh","-c",
            "echo start >> /m/marks"]}},
                                   "preStop":{"exec":{"command":["/bin/sh","-c",
            "sleep 0.2; echo stop >> /m/marks"]}}},
                                   "volumeMounts":[{"name":"m","mountPath":"/m"}]})"),
        parse(R"({"terminationGracePeriodSeconds":10,"volumes":[{"name":"m","hostPath":{"path":")" +
              world.root + R"(/marks"}}]})"));
    ASSERT_TRUE(world.wait_phase("web", "Running"));
    ASSERT_TRUE(world.wait([&] { return io::exists(world.root + "/marks/marks"); }));
    ASSERT_TRUE(world.api.remove(api::resources::pods, pod.key(), {}));
    EXPECT_TRUE(world.wait([&] { return !world.api.get(api::resources::pods, pod.key()); }));
    EXPECT_EQ(io::read_file(world.root + "/marks/marks").value(), "start\nstop\nterm\n");
}

TEST(NodeAgent, ARestartedAgentAdoptsItsPodsAndEndsOrphans) {
    AgentWorld world;
    const auto stays = world.pod("stays", "sleep 1000");
    const auto goes = world.pod("goes", "sleep 1000");
    ASSERT_TRUE(world.wait_phase("stays", "Running"));
    ASSERT_TRUE(world.wait_phase("goes", "Running"));
    const auto before = world.engine->list(std::string(stays.uid())).at(0);
    world.down();
    ASSERT_TRUE(world.api.remove(
        api::resources::pods, goes.key(),
        {.grace_period_seconds = 0, .propagation_policy = {}, .uid = {}, .resource_version = {}}));
    const int writes = world.api.status_writes;
    world.up();
    EXPECT_TRUE(world.wait([&] { return world.engine->list(std::string(goes.uid())).empty(); }));
    const auto after = world.engine->list(std::string(stays.uid())).at(0);
    EXPECT_EQ(after.id, before.id);
    EXPECT_EQ(after.pid, before.pid);
    EXPECT_EQ(world.container("stays")["restartCount"].as_int(), 0);
    EXPECT_EQ(world.api.status_writes, writes) << "nothing changed, nothing was written";
}

TEST(NodeAgent, ACrashWhileTheAgentWasAwayIsSeen) {
    AgentWorld world;
    const auto pod = world.pod("web", "sleep 1000");
    ASSERT_TRUE(world.wait_phase("web", "Running"));
    const auto info = world.engine->list(std::string(pod.uid())).at(0);
    world.down();
    ASSERT_EQ(::kill(info.pid, SIGKILL), 0);
    world.up();
    EXPECT_TRUE(world.wait_pod("web", [](const api::Object& p) {
        const Json& status = p.status()["containerStatuses"][0];
        return status["restartCount"].as_int() == 1 && status["state"].contains("running");
    }));
    EXPECT_EQ(world.container("web")["lastState"]["terminated"]["exitCode"].as_int(), 137);
}

TEST(NodeAgent, ManyPodsAtOnce) {
    AgentWorld world;
    std::vector<api::Object> pods;
    for (int i = 0; i < 20; ++i) pods.push_back(world.pod("p" + std::to_string(i), "sleep 1000"));
    for (const auto& pod : pods) ASSERT_TRUE(world.wait_phase(std::string(pod.name()), "Running"));
    EXPECT_EQ(world.engine->list().size(), 20u);
}

} // namespace
} // namespace cloudlet::kube::node
