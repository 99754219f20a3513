#include "pod_core.h"

#include <gtest/gtest.h>

#include "cloudlet/api/kind.h"
#include "cloudlet/api/patch.h"
#include "cloudlet/base/random.h"

namespace cloudlet::kube::node {
namespace {

using namespace std::chrono_literals;

/// A pod's core and an obedient machine around it: actions are carried out when the test says so.
struct World {
    explicit World(CorePod pod, const codec::Json& status = {})
        : core("default_web(u1)", std::move(pod), status, now()) {}

    Now now() const { return {clock.monotonic(), clock.wall()}; }

    std::vector<Action> step() { return core.step(now()); }

    /// The only action there is; fails the test otherwise.
    Action only(ActionKind kind) {
        auto actions = step();
        EXPECT_EQ(actions.size(), 1u);
        if (actions.empty()) return {};
        EXPECT_EQ(int(actions[0].kind), int(kind));
        return actions[0];
    }

    void make_sandbox() {
        only(ActionKind::make_sandbox);
        core.sandbox_made("10.1.2.3");
        core.finished({.kind = ActionKind::make_sandbox}, now());
    }

    /// Starts what the action asks for; the new attempt's id.
    std::string started(const Action& action) {
        Attempt attempt{.id = action.container + "-" + std::to_string(action.number),
                        .number = action.number,
                        .state = Attempt::State::running,
                        .started_at = clock.wall(),
                        .error = {},
                        .message = {},
                        .image_id = {}};
        core.observed(action.container, attempt, now());
        core.finished(
            {.kind = ActionKind::start, .container = action.container, .attempt = attempt.id},
            now());
        return attempt.id;
    }

    void exits(const std::string& container, int code) {
        Attempt attempt = *core.current(container);
        attempt.state = Attempt::State::exited;
        attempt.finished_at = clock.wall();
        attempt.exit_code = code;
        core.observed(container, attempt, now());
    }

    void probe_result(const Action& action, bool ok) {
        core.finished({.kind = ActionKind::probe,
                       .container = action.container,
                       .attempt = action.attempt,
                       .probe = action.probe,
                       .ok = ok,
                       .message = "refused"},
                      now());
    }

    std::string phase() { return std::string(core.status(now())["phase"].as_string()); }
    std::string condition(const char* type) {
        const codec::Json status = core.status(now());
        for (const auto& condition : status["conditions"].items())
            if (condition["type"].as_string() == type)
                return std::string(condition["status"].as_string());
        return "absent";
    }
    codec::Json container(size_t index) { return core.status(now())["containerStatuses"][index]; }

    ManualClock clock;
    PodCore core;
};

CoreContainer app(const std::string& name) {
    return {.name = name, .image = "web", .kind = ContainerKind::app, .probes = {}};
}
CoreContainer init(const std::string& name) {
    return {.name = name, .image = "web", .kind = ContainerKind::init, .probes = {}};
}

CorePod pod_of(std::vector<CoreContainer> containers,
               RestartPolicy policy = RestartPolicy::always) {
    CorePod pod;
    pod.containers = std::move(containers);
    pod.restart_policy = policy;
    pod.host_ip = "192.0.2.1";
    pod.qos_class = "BestEffort";
    return pod;
}

void delete_pod(World& world, CorePod pod, Duration grace) {
    pod.deleted = true;
    pod.deletion_grace = grace;
    world.core.desired(pod, world.now());
}

TEST(PodCore, StartsAllContainersAtOnceWhenTheSandboxIsThere) {
    World world(pod_of({app("a"), app("b")}));
    EXPECT_EQ(world.phase(), "Pending");
    world.make_sandbox();
    auto actions = world.step();
    ASSERT_EQ(actions.size(), 2u);
    EXPECT_TRUE(world.core.starting());
    world.started(actions[0]);
    EXPECT_EQ(world.phase(), "Pending");
    world.started(actions[1]);
    EXPECT_EQ(world.phase(), "Running");
    EXPECT_EQ(world.condition("Ready"), "True");
    EXPECT_EQ(world.core.status(world.now())["podIP"].as_string(), "10.1.2.3");
    EXPECT_TRUE(world.step().empty());
}

TEST(PodCore, InitContainersRunOneAfterTheOtherAndFailuresAreRetried) {
    World world(pod_of({init("first"), init("second"), app("main")}));
    world.make_sandbox();
    world.started(world.only(ActionKind::start));
    EXPECT_TRUE(world.step().empty()) << "the second must wait";
    EXPECT_EQ(world.condition("Initialized"), "False");
    EXPECT_EQ(world.container(0)["state"]["waiting"]["reason"].as_string(), "PodInitializing");
    world.exits("first", 1);
    auto again = world.only(ActionKind::start);
    EXPECT_EQ(again.container, "first");
    EXPECT_EQ(again.number, 1);
    world.started(again);
    auto cleanup = world.only(ActionKind::remove_attempt);
    EXPECT_EQ(cleanup.attempt, "first-0");
    world.exits("first", 0);
    world.started(world.only(ActionKind::start));
    world.exits("second", 0);
    EXPECT_EQ(world.condition("Initialized"), "True");
    EXPECT_EQ(world.only(ActionKind::start).container, "main");
}

TEST(PodCore, AFailedInitContainerFailsAPodThatNeverRestarts) {
    World world(pod_of({init("first"), app("main")}, RestartPolicy::never));
    world.make_sandbox();
    world.started(world.only(ActionKind::start));
    world.exits("first", 3);
    world.only(ActionKind::finish);
    EXPECT_EQ(world.phase(), "Failed");
}

TEST(PodCore, CrashesBackOffTenSecondsDoublingToFiveMinutes) {
    World world(pod_of({app("a")}));
    world.make_sandbox();
    std::vector<int64_t> pauses;
    for (int i = 0; i < 9; ++i) {
        auto actions = world.step();
        int64_t waited = 0;
        while (std::none_of(actions.begin(), actions.end(),
                            [](auto& a) { return a.kind == ActionKind::start; })) {
            world.clock.advance(1s);
            ++waited;
            ASSERT_LT(waited, 1000);
            actions = world.step();
        }
        pauses.push_back(waited);
        for (const auto& action : actions)
            if (action.kind == ActionKind::start) world.started(action);
        world.exits("a", 1);
    }
    EXPECT_EQ(pauses, (std::vector<int64_t>{0, 0, 10, 20, 40, 80, 160, 300, 300}));
    world.step();
    const auto status = world.container(0);
    EXPECT_EQ(status["state"]["waiting"]["reason"].as_string(), "CrashLoopBackOff");
    EXPECT_EQ(status["lastState"]["terminated"]["exitCode"].as_int(), 1);
    EXPECT_EQ(status["restartCount"].as_int(), 8);
}

TEST(PodCore, ALongGoodRunForgivesEarlierCrashes) {
    World world(pod_of({app("a")}));
    world.make_sandbox();
    for (int i = 0; i < 3; ++i) {
        auto actions = world.step();
        while (actions.empty() || actions.back().kind != ActionKind::start) {
            world.clock.advance(1s);
            actions = world.step();
        }
        world.started(actions.back());
        if (i == 2) world.clock.advance(601s);
        world.exits("a", 1);
    }
    EXPECT_EQ(world.only(ActionKind::start).number, 3);
}

TEST(PodCore, PhaseFollowsTheRestartPolicy) {
    World once(pod_of({app("a"), app("b")}, RestartPolicy::never));
    once.make_sandbox();
    for (const auto& action : once.step()) once.started(action);
    once.exits("a", 0);
    EXPECT_EQ(once.phase(), "Running");
    once.exits("b", 2);
    once.only(ActionKind::finish);
    EXPECT_EQ(once.phase(), "Failed");

    World good(pod_of({app("a")}, RestartPolicy::on_failure));
    good.make_sandbox();
    good.started(good.only(ActionKind::start));
    good.exits("a", 0);
    good.only(ActionKind::finish);
    EXPECT_EQ(good.phase(), "Succeeded");
    EXPECT_EQ(good.condition("Ready"), "False");
    good.core.finished({.kind = ActionKind::finish}, good.now());
    EXPECT_TRUE(good.step().empty()) << "a finished pod does nothing more";
    EXPECT_EQ(good.container(0)["state"]["terminated"]["reason"].as_string(), "Completed");
}

TEST(PodCore, ADeletedPodIsToldToEndAndKilledAfterItsGrace) {
    const CorePod pod = pod_of({app("a")});
    World world(pod);
    world.make_sandbox();
    world.started(world.only(ActionKind::start));
    delete_pod(world, pod, 30s);
    world.only(ActionKind::terminate);
    world.clock.advance(29s);
    EXPECT_TRUE(world.step().empty());
    world.clock.advance(1s);
    world.only(ActionKind::kill);
    world.exits("a", 137);
    world.only(ActionKind::finish);
    world.core.finished({.kind = ActionKind::finish}, world.now());
    EXPECT_TRUE(world.core.is_done());
}

TEST(PodCore, ADeletionThatComesWhileAnEndedPodIsFinishedIsCarriedOutAfterIt) {
    const CorePod pod = pod_of({app("a")}, RestartPolicy::never);
    World world(pod);
    world.make_sandbox();
    world.started(world.only(ActionKind::start));
    world.exits("a", 0);
    world.only(ActionKind::finish);
    delete_pod(world, pod, 1s);
    world.core.finished({.kind = ActionKind::finish}, world.now());
    EXPECT_FALSE(world.core.is_done()) << "nobody has deleted the object";
    world.only(ActionKind::finish);
    world.core.finished({.kind = ActionKind::finish}, world.now());
    EXPECT_TRUE(world.core.is_done());
}

TEST(PodCore, ContainersAreNotToldToEndWhileServiceRulesLeadToThem) {
    const CorePod pod = pod_of({app("a")});
    World world(pod);
    world.make_sandbox();
    world.started(world.only(ActionKind::start));
    world.core.set_routed(true, world.now());
    delete_pod(world, pod, 30s);
    EXPECT_TRUE(world.step().empty()) << "still in the rules";
    world.clock.advance(2s);
    EXPECT_TRUE(world.step().empty());
    world.core.set_routed(false, world.now());
    EXPECT_TRUE(world.step().empty()) << "connections that just got through settle first";
    world.clock.advance(100ms);
    world.only(ActionKind::terminate);
}

TEST(PodCore, TheWaitForServiceRulesIsBounded) {
    const CorePod pod = pod_of({app("a")});
    World world(pod);
    world.make_sandbox();
    world.started(world.only(ActionKind::start));
    world.core.set_routed(true, world.now());
    delete_pod(world, pod, 8s);
    EXPECT_TRUE(world.step().empty());
    world.clock.advance(4s); // half the grace
    world.only(ActionKind::terminate);
}

TEST(PodCore, PreStopRunsBeforeTheSignalAndInsideTheGrace) {
    CorePod pod = pod_of({app("a")});
    pod.containers[0].pre_stop = true;
    World world(pod);
    world.make_sandbox();
    const auto id = world.started(world.only(ActionKind::start));
    delete_pod(world, pod, 10s);
    const auto hook = world.only(ActionKind::pre_stop);
    EXPECT_EQ(hook.budget, Duration(10s));
    world.clock.advance(3s);
    EXPECT_TRUE(world.step().empty());
    world.core.finished({.kind = ActionKind::pre_stop, .container = "a", .attempt = id},
                        world.now());
    world.only(ActionKind::terminate);
    world.clock.advance(7s);
    world.only(ActionKind::kill);
}

TEST(PodCore, ReadinessFollowsItsProbe) {
    CorePod pod = pod_of({app("a")});
    pod.containers[0].probes[size_t(ProbeKind::readiness)] =
        ProbeSpec{.period = 5s, .failure_threshold = 2, .cheap = true};
    World world(pod);
    world.make_sandbox();
    world.started(world.only(ActionKind::start));
    EXPECT_EQ(world.condition("Ready"), "False");
    world.probe_result(world.only(ActionKind::probe), false);
    world.clock.advance(50ms); // not up yet: looked at again soon
    world.probe_result(world.only(ActionKind::probe), true);
    EXPECT_EQ(world.condition("Ready"), "True");
    world.clock.advance(5s);
    world.probe_result(world.only(ActionKind::probe), false);
    EXPECT_EQ(world.condition("Ready"), "True") << "one failure is below the threshold";
    world.clock.advance(5s);
    world.probe_result(world.only(ActionKind::probe), false);
    EXPECT_EQ(world.condition("Ready"), "False");
}

TEST(PodCore, StartupProbeHoldsTheOthersBackAndLivenessRestarts) {
    CorePod pod = pod_of({app("a")});
    auto& probes = pod.containers[0].probes;
    probes[size_t(ProbeKind::startup)] = ProbeSpec{.period = 1s, .failure_threshold = 10};
    probes[size_t(ProbeKind::liveness)] = ProbeSpec{.period = 2s, .failure_threshold = 2};
    World world(pod);
    world.make_sandbox();
    world.started(world.only(ActionKind::start));
    EXPECT_FALSE(world.container(0)["started"].as_bool());
    auto first = world.only(ActionKind::probe);
    EXPECT_EQ(int(first.probe), int(ProbeKind::startup));
    world.probe_result(first, true);
    EXPECT_TRUE(world.container(0)["started"].as_bool());
    for (int i = 0; i < 2; ++i) {
        auto alive = world.only(ActionKind::probe);
        EXPECT_EQ(int(alive.probe), int(ProbeKind::liveness));
        world.probe_result(alive, false);
        world.clock.advance(2s);
    }
    world.only(ActionKind::terminate);
    world.exits("a", 143);
    EXPECT_EQ(world.only(ActionKind::start).number, 1);
}

TEST(PodCore, APullThatFailsIsShownAndBacksOff) {
    World world(pod_of({app("a")}));
    world.make_sandbox();
    world.only(ActionKind::start);
    world.core.finished({.kind = ActionKind::start,
                         .container = "a",
                         .ok = false,
                         .backs_off = true,
                         .reason = "ErrImagePull",
                         .message = "no such registry"},
                        world.now());
    EXPECT_TRUE(world.step().empty());
    EXPECT_EQ(world.container(0)["state"]["waiting"]["reason"].as_string(), "ErrImagePull");
    world.clock.advance(2s);
    EXPECT_TRUE(world.step().empty());
    EXPECT_EQ(world.container(0)["state"]["waiting"]["reason"].as_string(), "ImagePullBackOff");
    world.clock.advance(8s);
    EXPECT_EQ(world.only(ActionKind::start).number, 0);
}

TEST(PodCore, ARestartedAgentKeepsCountsReadinessAndRunningContainers) {
    CorePod pod = pod_of({app("a")});
    pod.containers[0].probes[size_t(ProbeKind::readiness)] = ProbeSpec{};
    auto status = codec::parse_json(
        R"({"phase":"Running","startTime":"2023-11-14T22:00:00Z","containerStatuses":
        [{"name":"a","restartCount":4,"started":true,"ready":true,"containerID":"cloudlet://a-4",
            "lastState":{"terminated":{"exitCode":9}}}]})");
    World world(pod, *status);
    world.core.adopt_sandbox(true, "10.1.2.3");
    world.core.observed("a",
                        {.id = "a-4",
                         .number = 4,
                         .state = Attempt::State::running,
                         .error = {},
                         .message = {},
                         .image_id = {}},
                        world.now());
    EXPECT_EQ(world.condition("Ready"), "True");
    EXPECT_EQ(world.container(0)["restartCount"].as_int(), 4);
    EXPECT_EQ(world.container(0)["lastState"]["terminated"]["exitCode"].as_int(), 9);
    EXPECT_EQ(world.core.status(world.now())["startTime"].as_string(), "2023-11-14T22:00:00Z");
    for (const auto& action : world.step()) EXPECT_EQ(int(action.kind), int(ActionKind::probe));
}

TEST(PodCore, AfterAMachineRestartTheSandboxIsMadeAnewAndContainersCountOn) {
    auto status =
        codec::parse_json(R"({"phase":"Running","containerStatuses":[{"name":"a","restartCount":1,
        "containerID":"cloudlet://a-1"}]})");
    World world(pod_of({app("a")}), *status);
    world.core.adopt_sandbox(false, "");
    Attempt lost{.id = "a-1",
                 .number = 1,
                 .state = Attempt::State::exited,
                 .finished_at = world.clock.wall(),
                 .exit_code = 137,
                 .lost = true,
                 .error = {},
                 .message = {},
                 .image_id = {}};
    world.core.observed("a", lost, world.now());
    world.only(ActionKind::drop_sandbox);
    world.core.finished({.kind = ActionKind::drop_sandbox}, world.now());
    world.make_sandbox();
    EXPECT_EQ(world.only(ActionKind::start).number, 2);
}

TEST(PodCore, ATerminalPodStaysTerminalAfterARestart) {
    auto status = codec::parse_json(R"({"phase":"Succeeded","reason":"kept"})");
    World world(pod_of({app("a")}, RestartPolicy::never), *status);
    world.only(ActionKind::finish);
    EXPECT_EQ(world.core.status(world.now())["reason"].as_string(), "kept");
}

TEST(PodCore, SidecarsStartBeforeAppsAndEndAfterThem) {
    CorePod pod = pod_of({app("proxy"), app("main")});
    pod.containers[0].kind = ContainerKind::sidecar;
    World world(pod);
    world.make_sandbox();
    world.started(world.only(ActionKind::start));
    world.started(world.only(ActionKind::start));
    EXPECT_EQ(world.phase(), "Running");
    delete_pod(world, pod, 30s);
    EXPECT_EQ(world.only(ActionKind::terminate).container, "main");
    world.exits("main", 0);
    EXPECT_EQ(world.only(ActionKind::terminate).container, "proxy");
    world.exits("proxy", 0);
    world.only(ActionKind::finish);
}

TEST(PodCore, AnotherImageRestartsARunningContainerWhateverThePolicy) {
    auto pod = pod_of({app("a"), app("b")}, RestartPolicy::never);
    World world(pod);
    world.make_sandbox();
    for (const auto& action : world.step()) world.started(action);
    for (const auto* name : {"a", "b"}) {
        Attempt run = *world.core.current(name);
        run.image = "web";
        world.core.observed(name, run, world.now());
    }
    pod.containers[0].image = "web:2";
    world.core.desired(pod, world.now());
    EXPECT_EQ(world.only(ActionKind::terminate).container, "a");
    EXPECT_EQ(world.container(0)["image"].as_string(), "web") << "what runs, not what is wanted";
    EXPECT_TRUE(world.step().empty());
    world.exits("a", 143);
    const auto again = world.only(ActionKind::start);
    EXPECT_EQ(again.container, "a") << "at once: it did not crash";
    EXPECT_EQ(again.number, 1);
    world.started(again);
    world.exits("a", 0);
    world.exits("b", 0);
    for (const auto& action : world.step()) EXPECT_NE(int(action.kind), int(ActionKind::start));
    EXPECT_EQ(world.phase(), "Succeeded");
}

TEST(StatusPatch, NamesWhatIsGoneAndKeepsWhatIsNotOurs) {
    const auto* kind = api::builtin_kinds().find("", "v1", "pods");
    const auto before = *codec::parse_json(R"({"phase":"Pending","reason":"Old","message":"old",
        "podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"}],"conditions":[
        {"type":"Ready","status":"False","reason":"ContainersNotReady","message":"[c]"}]})");
    auto stored = before;
    stored.find_mutable("conditions")
        ->push_back(*codec::parse_json(R"({"type":"PodScheduled","status":"True"})"));
    const auto after = *codec::parse_json(R"({"phase":"Running","podIP":"10.0.0.2",
        "podIPs":[{"ip":"10.0.0.2"}],"conditions":[{"type":"Ready","status":"True"}]})");
    auto patch = codec::Json::object({{"status", status_patch(after, before)}});
    auto patched =
        api::apply_strategic_patch(codec::Json::object({{"status", stored}}), patch, *kind->schema);
    ASSERT_TRUE(patched) << patched.error().to_string();
    auto wanted = after;
    wanted.find_mutable("conditions")
        ->push_back(*codec::parse_json(R"({"type":"PodScheduled","status":"True"})"));
    EXPECT_EQ((*patched)["status"], wanted) << patched->dump();
}

} // namespace
} // namespace cloudlet::kube::node
