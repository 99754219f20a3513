// The engine dies at any moment, by itself or by SIGKILL, and a new one finds everything again.

#include <gtest/gtest.h>

#include <csignal>

#include <cstdlib>

#include "cloudlet/base/random.h"
#include "cloudlet/runtime/monitor_client.h"
#include "records.h"
#include "test_world.h"

namespace cloudlet::engine {
namespace {

using namespace std::chrono_literals;

TEST(Recovery, AdoptsWhatRuns) {
    TestWorld world;
    world.sandbox();
    const auto info = world.run(world.shell("sleep 1000"));
    world.reopen();
    const auto again = world.engine->inspect(info.id).value();
    EXPECT_EQ(again.state, ContainerState::running);
    EXPECT_EQ(again.pid, info.pid);
    EXPECT_EQ(again.config.command, info.config.command);
    EXPECT_EQ(::kill(info.pid, 0), 0);
    ASSERT_TRUE(world.engine->stop(info.id, 0s));
    EXPECT_EQ(world.engine->inspect(info.id)->exit_code, 137);
}

TEST(Recovery, LearnsAnExitThatNobodySaw) {
    TestWorld world;
    world.sandbox();
    const auto info =
        world.run(world.shell("while ! test -e /dev/shm/end; do sleep 0.01; done; exit 9"));
    const std::string shm = world.root + "/engine/sandboxes/pod-1/shm/end";
    world.engine.reset();
    ASSERT_TRUE(io::write_file_atomic(shm, ""));
    const std::string exit_file = world.root + "/engine/containers/" + info.id + "/exit";
    for (int i = 0; i < 5000 && !io::exists(exit_file); ++i) ::usleep(2000);
    world.open();
    const auto end = world.engine->inspect(info.id).value();
    EXPECT_EQ(end.state, ContainerState::exited);
    EXPECT_EQ(end.exit_code, 9);
    std::vector<std::string> told;
    world.engine->on_exit([&](const ContainerInfo& ended) { told.push_back(ended.id); });
    world.loop->loop().call([] {}); // after what was posted
    EXPECT_EQ(told, std::vector<std::string>{info.id});
}

TEST(Recovery, AKilledMonitorTakesItsContainerAlong) {
    TestWorld world;
    world.sandbox();
    const auto info = world.run(world.shell("sleep 1000"));
    const auto monitor =
        runtime::MonitorConnection::connect(world.root + "/engine/containers/" + info.id)
            ->state()
            .value();
    ASSERT_EQ(::kill(monitor.monitor_pid, SIGKILL), 0);
    const auto end = world.ended(info.id);
    EXPECT_TRUE(end.lost);
    EXPECT_EQ(end.exit_code, 137);
}

TEST(Recovery, ALostMonitorIsNoticedByTheNextEngine) {
    TestWorld world;
    world.sandbox();
    const auto info = world.run(world.shell("sleep 1000"));
    const auto monitor =
        runtime::MonitorConnection::connect(world.root + "/engine/containers/" + info.id)
            ->state()
            .value();
    world.engine.reset();
    ASSERT_EQ(::kill(monitor.monitor_pid, SIGKILL), 0);
    world.open();
    const auto end = world.engine->inspect(info.id).value();
    EXPECT_EQ(end.state, ContainerState::exited);
    EXPECT_TRUE(end.lost);
}

TEST(Recovery, ClearsWhatHasNoRecord) {
    TestWorld world;
    world.sandbox();
    ASSERT_TRUE(world.images->prepare_snapshot("orphan", world.image));
    ASSERT_TRUE(io::make_directories(world.root + "/engine/containers/half"));
    ASSERT_TRUE(io::make_directories(world.root + "/engine/sandboxes/half"));
    ASSERT_TRUE(
        io::write_file_atomic(world.root + "/engine/sandboxes/half/record", "0badc0de 12\n{torn"));
    EXPECT_EQ(world.engine->find_leaks().size(), 4u); // the snapshot's mount is a line of its own
    world.reopen();
    EXPECT_TRUE(world.engine->find_leaks().empty());
    EXPECT_EQ(world.engine->sandboxes().size(), 1u);
}

TEST(Recovery, ATornRecordCountsAsAbsent) {
    const std::string folder = io::make_temporary_directory("/tmp/cloudlet-record-").value();
    ContainerRecord record{.config = {.id = "a", .name = "n", .sandbox = "s", .image = "i"}};
    record.config.env = {"A=1", "B=2"};
    record.config.mounts = {
        {.source = "/a", .destination = "/b", .read_only = true, .propagation = "rslave"}};
    ASSERT_TRUE(write_record(folder, to_json(record)));
    const auto back = parse_container_record(*read_record(folder));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->config.env, record.config.env);
    EXPECT_EQ(back->config.mounts.at(0).propagation, "rslave");
    const std::string bytes = io::read_file(folder + "/record").value();
    for (size_t size = 0; size < bytes.size(); size += 7) {
        ASSERT_TRUE(io::write_file_atomic(folder + "/record", bytes.substr(0, size)));
        EXPECT_FALSE(read_record(folder)) << size;
    }
    EXPECT_TRUE(io::remove_tree(folder));
}

/// Not a test of its own: what the child of SurvivesKillNineAtAnyMoment does until it is killed.
TEST(Recovery, DISABLED_Churn) {
    const std::string root = ::getenv("CHURN_ROOT"), image = ::getenv("CHURN_IMAGE");
    const uint64_t seed = strtoull(::getenv("CHURN_SEED"), nullptr, 10);
    auto loop = io::LoopThread::start("churn").value();
    auto images = image::ImageStore::open(root).value();
    auto engine = Engine::open({.root = root, .instance_id = ::getenv("CHURN_INSTANCE")},
                               loop->loop(), *images, nullptr)
                      .value();
    Random random(seed);
    for (int i = 0;; ++i) {
        SandboxConfig sandbox;
        sandbox.id = "churn-" + std::to_string(seed) + "-" + std::to_string(i);
        sandbox.hostname = "churn";
        sandbox.host_network = true;
        ASSERT_TRUE(engine->create_sandbox(sandbox));
        ContainerConfig config;
        config.name = "main";
        config.sandbox = sandbox.id;
        config.image = image;
        config.command = {"/bin/sleep", "1000"};
        const auto created = engine->create(config);
        ASSERT_TRUE(created) << created.error().to_string();
        ASSERT_TRUE(engine->start(created->id));
        if (random.chance(0.5)) {
            ASSERT_TRUE(engine->remove_sandbox(sandbox.id));
        }
    }
}

io::ChildProcess start_churn(const TestWorld& world, int round) {
    io::SpawnOptions options;
    options.argv = {"/proc/self/exe", "--gtest_also_run_disabled_tests",
                    "--gtest_filter=Recovery.DISABLED_Churn"};
    options.executable = "/proc/self/exe";
    options.env = {"CHURN_ROOT=" + world.root, "CHURN_IMAGE=" + world.image,
                   "CHURN_INSTANCE=" + world.instance, "CHURN_SEED=" + std::to_string(round + 1)};
    options.fds = {{2, 1}, {2, 2}};
    return io::spawn(options).value();
}

TEST(Recovery, SurvivesKillNineAtAnyMoment) {
    TestWorld world;
    world.sandbox("stays");
    auto config = world.shell("sleep 1000");
    config.sandbox = "stays";
    const auto stays = world.run(config);
    Random random(7);
    for (int round = 0; round < 10; ++round) {
        world.engine.reset();
        world.images.reset();
        auto child = start_churn(world, round);
        ::usleep(static_cast<useconds_t>(20'000 + random.below(400'000)));
        ASSERT_TRUE(io::send_signal(child, SIGKILL));
        const auto status = io::wait(child, 20s);
        ASSERT_TRUE(status);
        ASSERT_EQ(status->signal, SIGKILL) << "the child failed by itself";
        world.images = image::ImageStore::open(world.root).value();
        world.open();
        const auto leaks = world.engine->find_leaks();
        EXPECT_TRUE(leaks.empty()) << leaks.front();
        EXPECT_EQ(world.engine->inspect(stays.id)->state, ContainerState::running);
        for (const auto& info : world.engine->list()) {
            if (info.id != stays.id) {
                EXPECT_TRUE(world.engine->remove(info.id));
            }
        }
        for (const auto& sandbox : world.engine->sandboxes()) {
            if (sandbox.config.id != "stays") {
                EXPECT_TRUE(world.engine->remove_sandbox(sandbox.config.id));
            }
        }
    }
    EXPECT_EQ(::kill(stays.pid, 0), 0) << "the container went on through it all";
}

} // namespace
} // namespace cloudlet::engine
