// Pods with addresses of their own, probes over the network, Service rules, logs and exec through
// the connector. The whole test program lives in a network namespace of its own.

#include <gtest/gtest.h>

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "agent_world.h"
#include "cloudlet/kube/node_connector.h"

namespace cloudlet::kube::node {
namespace {

using codec::Json;
using namespace std::chrono_literals;

/// Runs before any test, while the program has one thread.
class OwnNetwork : public testing::Environment {
public:
    void SetUp() override {
        ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "these tests need root";
        const io::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        ifreq request{};
        strcpy(request.ifr_name, "lo");
        request.ifr_flags = IFF_UP | IFF_RUNNING;
        ASSERT_EQ(::ioctl(socket.get(), SIOCSIFFLAGS, &request), 0);
    }
};
const auto* const own_network = testing::AddGlobalTestEnvironment(new OwnNetwork);

Json parse(const std::string& text) {
    auto json = codec::parse_json(text);
    EXPECT_TRUE(json) << text;
    return json ? std::move(*json) : Json();
}

TEST(NodeNetwork, APodHasAnAddressAndIsProbedThere) {
    ASSERT_NE(own_network, nullptr);
    AgentWorld world(Network::own);
    const auto pod = world.pod("web",
                               "hostname; cat /etc/hosts; echo hi > /tmp/index.html; sleep 0.3; "
                               "exec httpd -f -p 8080 -h /tmp",
                               parse(R"({"ports":[{"name":"http","containerPort":8080}],
                                   "readinessProbe":{"httpGet":{"path":"/","port":"http"},
            "periodSeconds":1},
                                   "livenessProbe":{"tcpSocket":{"port":8080},
            "initialDelaySeconds":1,"periodSeconds":1}})"));
    ASSERT_TRUE(world.wait_pod(
        "web", [](const api::Object& p) { return p.condition_is("Ready", "True"); }));
    const std::string ip(world.latest["web"].status()["podIP"].as_string());
    EXPECT_TRUE(ip.starts_with("10.244.0.")) << ip;
    EXPECT_NE(world.log(pod).find(ip + "\tweb"), std::string::npos) << world.log(pod);
    EXPECT_EQ(world.container("web")["restartCount"].as_int(), 0);
}

TEST(NodeNetwork, APodIsToldToEndOnlyAfterTheRulesLetGo) {
    AgentWorld world(Network::own);
    const auto pod = world.pod("web", "trap 'exit 0' TERM; while true; do sleep 0.02; done",
                               Json::object(), parse(R"({"terminationGracePeriodSeconds":20})"));
    ASSERT_TRUE(world.wait_phase("web", "Running"));
    const std::string ip(world.latest["web"].status()["podIP"].as_string());
    auto slice = [&](bool ready) {
        return parse(
            R"({"metadata":{"name":"web-1","labels":{"kubernetes.io/service-name":"web"}},
            "addressType":"IPv4",
            "ports":[{"name":"","port":8080}],"endpoints":[{"addresses":[")" +
            ip + R"("],"conditions":{"ready":)" + (ready ? "true" : "false") + "}}]}");
    };
    ASSERT_TRUE(world.api.create(api::resources::services, "default",
                                 parse(
                                     R"({"metadata":{"name":"web"},"spec":{"clusterIP":"10.96.0.77",
            "ports":[{"port":80}]}})")));
    ASSERT_TRUE(world.api.create(api::resources::endpoint_slices, "default", slice(true)));
    ASSERT_TRUE(world.wait([&] { return world.proxy->stats().services == 1; }));
    const auto id = world.engine->list(std::string(pod.uid())).at(0).id;
    ::usleep(300'000); // the agent notes the new route behind the kernel's back
    ASSERT_TRUE(world.api.remove(api::resources::pods, pod.key(), {}));
    const auto began = system_clock().monotonic();
    while (system_clock().monotonic() < began + 700ms) {
        const auto info = world.engine->inspect(id);
        ASSERT_TRUE(info && info->state == engine::ContainerState::running)
            << "it ended while clients came";
        ::usleep(20'000);
    }
    Json gone = slice(false);
    gone.set_path({"metadata", "namespace"}, "default");
    ASSERT_TRUE(world.api.update(api::resources::endpoint_slices, {"default", "web-1"},
                                 std::move(gone), {}));
    EXPECT_TRUE(world.wait([&] { return !world.api.get(api::resources::pods, pod.key()); }));
    EXPECT_LT(system_clock().monotonic() - began, 9s) << "the bound is not what let it end";
}

class Sink final : public LogSink {
public:
    bool write(std::string bytes) override {
        std::lock_guard lock(mutex);
        text += bytes;
        return true;
    }
    size_t queued_bytes() const override { return 0; }
    void finish() override { ended = true; }
    void fail(Error error) override {
        failure = error.message;
        ended = true;
    }
    void on_close(std::function<void()>) override {}
    std::string seen() {
        std::lock_guard lock(mutex);
        return text;
    }
    std::mutex mutex;
    std::string text, failure;
    std::atomic<bool> ended{false};
};

ContainerTarget target_of(const api::Object& pod) {
    return {.ns = "default",
            .pod = std::string(pod.name()),
            .uid = std::string(pod.uid()),
            .node = "n1",
            .container = "main"};
}

TEST(NodeConnector, LogsFollowTheContainerToItsEnd) {
    AgentWorld world;
    const auto pod = world.pod(
        "web", "echo one; while ! test -e /dev/shm/go; do sleep 0.02; done; echo two; exit 1",
        Json::object(), parse(R"({"restartPolicy":"Never"})"));
    ASSERT_TRUE(world.wait_phase("web", "Running"));
    auto sink = std::make_shared<Sink>();
    LogOptions options;
    options.follow = true;
    world.agent->connector().logs(target_of(pod), options, sink);
    ASSERT_TRUE(world.wait([&] { return sink->seen() == "one\n"; })) << sink->seen();
    EXPECT_FALSE(sink->ended);
    ASSERT_TRUE(io::write_file_atomic(
        world.root + "/engine/sandboxes/" + std::string(pod.uid()) + "/shm/go", ""));
    EXPECT_TRUE(world.wait([&] { return sink->ended.load(); }));
    EXPECT_EQ(sink->seen(), "one\ntwo\n");
    ASSERT_TRUE(world.wait_phase("web", "Failed"));
    auto after = std::make_shared<Sink>();
    world.agent->connector().logs(target_of(pod), {}, after);
    EXPECT_TRUE(world.wait([&] { return after->ended.load(); }));
    EXPECT_EQ(after->seen(), "one\ntwo\n") << "logs outlive the container";
    auto previous = std::make_shared<Sink>();
    auto unknown = target_of(pod);
    unknown.container = "nosuch";
    world.agent->connector().logs(unknown, {}, previous);
    EXPECT_NE(previous->failure.find("waiting to start"), std::string::npos) << previous->failure;
}

class Streams final : public ExecStreams {
public:
    void set_handlers(ExecHandlers given) override {
        std::lock_guard lock(mutex);
        handlers = std::move(given);
        ready = true;
    }
    bool write_stdout(std::string bytes) override { return add(out, bytes); }
    bool write_stderr(std::string bytes) override { return add(err, bytes); }
    size_t queued_bytes() const override { return 0; }
    void pause_stdin() override {}
    void resume_stdin() override {}
    void exit(int code) override { status = code; }
    void fail(Error error) override {
        add(err, error.to_string());
        status = -2;
    }
    bool add(std::string& where, const std::string& bytes) {
        std::lock_guard lock(mutex);
        where += bytes;
        return true;
    }
    std::string read(const std::string& where) {
        std::lock_guard lock(mutex);
        return where;
    }
    std::mutex mutex;
    ExecHandlers handlers;
    std::atomic<bool> ready{false};
    std::string out, err;
    std::atomic<int> status{-1};
};

TEST(NodeConnector, ExecMovesBytesBothWaysAndTellsTheStatus) {
    AgentWorld world;
    const auto pod = world.pod("web", "sleep 1000");
    ASSERT_TRUE(world.wait_phase("web", "Running"));
    auto streams = std::make_shared<Streams>();
    world.agent->connector().exec(target_of(pod),
                                  {.command = {"/bin/sh", "-c", "cat; echo done >&2; exit 6"},
                                   .stdin_open = true,
                                   .stdout_open = true,
                                   .stderr_open = true},
                                  streams);
    ASSERT_TRUE(world.wait([&] { return streams->ready.load(); }));
    const std::string large(300'000, 'x');
    streams->handlers.on_stdin(large);
    streams->handlers.on_stdin_end();
    EXPECT_TRUE(world.wait([&] { return streams->status == 6; })) << streams->status;
    EXPECT_EQ(streams->read(streams->out), large);
    EXPECT_EQ(streams->read(streams->err), "done\n");
}

TEST(NodeConnector, ExecWithATerminal) {
    AgentWorld world;
    const auto pod = world.pod("web", "sleep 1000");
    ASSERT_TRUE(world.wait_phase("web", "Running"));
    auto streams = std::make_shared<Streams>();
    world.agent->connector().exec(
        target_of(pod),
        {.command = {"/bin/sh"}, .stdin_open = true, .stdout_open = true, .tty = true}, streams);
    ASSERT_TRUE(world.wait([&] { return streams->ready.load(); }));
    streams->handlers.on_resize(99, 33);
    streams->handlers.on_stdin("test -t 0 && echo is-a-''tty; exit 3\n");
    EXPECT_TRUE(world.wait([&] { return streams->status == 3; })) << streams->read(streams->out);
    EXPECT_NE(streams->read(streams->out).find("is-a-tty"), std::string::npos)
        << streams->read(streams->out);
}

TEST(NodeConnector, AClientThatGoesAwayEndsTheTerminal) {
    AgentWorld world;
    const auto pod = world.pod("web", "sleep 1000");
    ASSERT_TRUE(world.wait_phase("web", "Running"));
    auto streams = std::make_shared<Streams>();
    world.agent->connector().exec(
        target_of(pod),
        {.command = {"/bin/sh"}, .stdin_open = true, .stdout_open = true, .tty = true}, streams);
    ASSERT_TRUE(world.wait([&] { return streams->ready.load(); }));
    streams->handlers.on_close();
    EXPECT_TRUE(world.wait([&] { return streams->status != -1; })) << "the shell gets a hangup";
}

} // namespace
} // namespace cloudlet::kube::node
