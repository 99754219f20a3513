#include "cloudlet/engine/engine.h"

#include <gtest/gtest.h>

#include <csignal>
#include <future>
#include <thread>

#include "test_world.h"

namespace cloudlet::engine {
namespace {

using namespace std::chrono_literals;

TEST(Engine, RunsACommandAndKeepsItsOutputAndExitCode) {
    TestWorld world;
    world.sandbox();
    const auto info = world.run(world.shell("echo hello; echo oops >&2; exit 7"));
    const auto end = world.ended(info.id);
    EXPECT_EQ(end.exit_code, 7);
    EXPECT_EQ(end.signal, 0);
    EXPECT_NE(end.finished_at, WallTime{});
    const std::string log = io::read_file(end.log_path).value();
    EXPECT_NE(log.find("stdout F hello"), std::string::npos) << log;
    EXPECT_NE(log.find("stderr F oops"), std::string::npos) << log;
}

TEST(Engine, TellsOfAnExitOnce) {
    TestWorld world;
    std::promise<ContainerInfo> told;
    world.engine->on_exit([&](const ContainerInfo& info) { told.set_value(info); });
    world.sandbox();
    const auto info = world.run(world.shell("exit 3"));
    auto future = told.get_future();
    ASSERT_EQ(future.wait_for(20s), std::future_status::ready);
    EXPECT_EQ(future.get().exit_code, 3);
    world.engine->on_exit(nullptr);
}

/// Returns once the script has said "ready": a signal before its trap is set would be lost on
/// pid 1.
ContainerInfo run_until_ready(TestWorld& world, const std::string& script,
                              const std::string& name) {
    const auto info = world.run(world.shell(script, name));
    const auto limit = system_clock().monotonic() + 20s;
    while (world.output(info) != "ready\n" && system_clock().monotonic() < limit) ::usleep(2000);
    EXPECT_EQ(world.output(info), "ready\n");
    return info;
}

TEST(Engine, StopsPolitelyAndThenByForce) {
    TestWorld world;
    world.sandbox();
    const std::string wait = "echo ready; while true; do sleep 0.05; done";
    const auto polite = run_until_ready(world, "trap 'exit 5' TERM; " + wait, "polite");
    ASSERT_TRUE(world.engine->stop(polite.id, 10s));
    EXPECT_EQ(world.engine->inspect(polite.id)->exit_code, 5);
    const auto deaf = run_until_ready(world, "trap '' TERM; " + wait, "deaf");
    ASSERT_TRUE(world.engine->stop(deaf.id, 100ms));
    EXPECT_EQ(world.engine->inspect(deaf.id)->exit_code, 137);
    EXPECT_EQ(world.engine->kill(deaf.id, SIGTERM).error().code, Code::conflict);
}

TEST(Engine, GivesTheContainerWhatItsConfigSays) {
    TestWorld world;
    world.sandbox();
    auto config =
        world.shell("id -u; id -g; pwd; echo $GREETING; cat /data/file; cat /etc/hostname");
    config.user = "web";
    config.working_dir = "/tmp";
    config.env = {"GREETING=hello there"};
    ASSERT_TRUE(io::make_directories(world.root + "/data"));
    ASSERT_TRUE(io::write_file_atomic(world.root + "/data/file", "mounted\n"));
    config.mounts = {{.source = world.root + "/data",
                      .destination = "/data",
                      .read_only = true,
                      .propagation = {}}};
    EXPECT_EQ(world.print(config), "1000\n1000\n/tmp\nhello there\nmounted\npod-1\n");
}

TEST(Engine, ReadOnlyMountsAndRootCannotBeWritten) {
    TestWorld world;
    world.sandbox();
    ASSERT_TRUE(io::make_directories(world.root + "/data"));
    auto config = world.shell(
        "touch /data/x 2>/dev/null && echo wrote; touch /x 2>/dev/null && echo wrote; echo done");
    config.mounts = {{.source = world.root + "/data",
                      .destination = "/data",
                      .read_only = true,
                      .propagation = {}}};
    config.read_only_rootfs = true;
    EXPECT_EQ(world.print(config), "done\n");
}

TEST(Engine, CapabilitiesAreDockersUnlessAskedOtherwise) {
    TestWorld world;
    world.sandbox();
    const std::string show = "grep CapEff /proc/self/status | cat";
    EXPECT_NE(world.print(show).find("00000000a80425fb"), std::string::npos);
    auto none = world.shell(show);
    none.capabilities_drop = {"ALL"};
    EXPECT_NE(world.print(none).find("0000000000000000"), std::string::npos);
    auto one = world.shell(show);
    one.capabilities_drop = {"ALL"};
    one.capabilities_add = {"NET_BIND_SERVICE"};
    EXPECT_NE(world.print(one).find("0000000000000400"), std::string::npos);
}

TEST(Engine, AMissingProgramIsNamedAndTheContainerHasEnded) {
    TestWorld world;
    world.sandbox();
    auto config = world.shell("");
    config.command = {"/no/such/program"};
    const auto created = world.engine->create(config).value();
    const auto started = world.engine->start(created.id);
    ASSERT_FALSE(started);
    EXPECT_NE(started.error().to_string().find("/no/such/program"), std::string::npos)
        << started.error().to_string();
    const auto info = world.engine->inspect(created.id).value();
    EXPECT_EQ(info.state, ContainerState::exited);
    EXPECT_NE(info.exit_code, 0);
    EXPECT_FALSE(info.error.empty());
}

TEST(Engine, BadConfigsAreRefusedWithTheirReason) {
    TestWorld world;
    world.sandbox();
    auto unknown_image = world.shell("true");
    unknown_image.image = "nosuch";
    EXPECT_EQ(world.engine->create(unknown_image).error().code, Code::not_found);
    auto unknown_sandbox = world.shell("true");
    unknown_sandbox.sandbox = "pod-9";
    EXPECT_EQ(world.engine->create(unknown_sandbox).error().code, Code::not_found);
    ASSERT_TRUE(world.engine->create(world.shell("true", "twice")));
    EXPECT_EQ(world.engine->create(world.shell("true", "twice")).error().code,
              Code::already_exists);
    EXPECT_EQ(world.engine->create_sandbox({.id = "../x"}).error().code, Code::invalid);
    EXPECT_EQ(world.engine->start("nosuch").error().code, Code::not_found);
    auto unknown_user = world.shell("true", "user");
    unknown_user.user = "nobody-here";
    const auto created = world.engine->create(unknown_user).value();
    EXPECT_FALSE(world.engine->start(created.id));
}

TEST(Engine, MemoryLimitKillsAndSaysSo) {
    TestWorld world;
    world.sandbox();
    auto config = world.shell("a=x; while true; do a=$a$a; done");
    config.limits.memory_bytes = 32 << 20;
    const auto info = world.run(config);
    const auto end = world.ended(info.id);
    EXPECT_TRUE(end.oom_killed);
    EXPECT_EQ(end.exit_code, 137);
}

TEST(Engine, StatsCountWhatTheContainerUses) {
    TestWorld world;
    world.sandbox();
    const auto info = world.run(world.shell("while true; do :; done"));
    const auto limit = system_clock().monotonic() + 20s;
    int64_t used = 0;
    while (used < 20'000'000 && system_clock().monotonic() < limit)
        used = world.engine->stats(info.id).value().cpu_ns;
    EXPECT_GE(used, 20'000'000);
    EXPECT_GE(world.engine->stats(info.id)->pids, 1);
}

TEST(Engine, ContainersOfASandboxShareMemoryAndIpc) {
    TestWorld world;
    world.sandbox();
    world.run(world.shell("echo shared > /dev/shm/note; sleep 100", "one"));
    EXPECT_EQ(world.print(
                  world.shell("while ! cat /dev/shm/note 2>/dev/null; do sleep 0.01; done", "two")),
              "shared\n");
}

struct Finished {
    int code = -1;
    std::string out, err;
};

Finished finish(Exec& exec) {
    std::promise<int> done;
    exec.on_exit([&](int code) { done.set_value(code); });
    Finished finished;
    finished.out = io::read_all(exec.stdout_reader.get(), 1 << 20).value();
    finished.err = io::read_all(exec.stderr_reader.get(), 1 << 20).value();
    finished.code = done.get_future().get();
    return finished;
}

TEST(Engine, ExecHasStreamsAndAnExitCode) {
    TestWorld world;
    world.sandbox();
    auto config = world.shell("sleep 100");
    config.env = {"COLOR=blue"};
    const auto info = world.run(config);
    auto exec = world.engine->exec(
        info.id, {.command = {"/bin/sh", "-c", "cat; echo $COLOR; echo bad >&2; exit 4"},
                  .env = {},
                  .working_dir = {},
                  .user = {},
                  .with_stdin = true});
    ASSERT_TRUE(exec) << exec.error().to_string();
    ASSERT_TRUE(io::write_all((*exec)->stdin_writer.get(), "typed\n"));
    (*exec)->stdin_writer.reset();
    const Finished finished = finish(**exec);
    EXPECT_EQ(finished.out, "typed\nblue\n");
    EXPECT_EQ(finished.err, "bad\n");
    EXPECT_EQ(finished.code, 4);
}

TEST(Engine, ExecWithATerminalHasASize) {
    TestWorld world;
    world.sandbox();
    const auto info = world.run(world.shell("sleep 100"));
    auto exec = world.engine->exec(
        info.id, {.command = {"/bin/sh", "-c", "read x; stty size; test -t 0 && echo tty"},
                  .env = {},
                  .working_dir = {},
                  .user = {},
                  .terminal = true});
    ASSERT_TRUE(exec) << exec.error().to_string();
    ASSERT_TRUE((*exec)->resize(33, 99));
    ASSERT_TRUE(io::write_all((*exec)->terminal.get(), "go\n"));
    std::string text;
    char buffer[256];
    while (text.find("tty\r\n") == std::string::npos) {
        ASSERT_TRUE(io::wait_readable((*exec)->terminal.get(), system_clock().monotonic() + 20s))
            << text;
        const ssize_t count = ::read((*exec)->terminal.get(), buffer, sizeof buffer);
        if (count <= 0) break;
        text.append(buffer, static_cast<size_t>(count));
    }
    EXPECT_NE(text.find("33 99"), std::string::npos) << text;
    EXPECT_NE(text.find("tty"), std::string::npos) << text;
}

TEST(Engine, ExecOfAnEndedContainerIsRefused) {
    TestWorld world;
    world.sandbox();
    const auto info = world.run(world.shell("true"));
    world.ended(info.id);
    EXPECT_EQ(world.engine->exec(info.id, {.command = {"/bin/true"}}).error().code, Code::conflict);
}

TEST(Engine, RemovingASandboxTakesRunningContainersAlong) {
    TestWorld world;
    world.sandbox();
    const auto info = world.run(world.shell("sleep 1000"));
    ASSERT_TRUE(world.engine->remove_sandbox("pod-1"));
    EXPECT_EQ(world.engine->inspect(info.id).error().code, Code::not_found);
    EXPECT_TRUE(world.engine->find_leaks().empty());
    EXPECT_NE(::kill(info.pid, 0), 0);
    EXPECT_TRUE(world.engine->remove_sandbox("pod-1")) << "once more is fine";
}

TEST(Engine, ManySandboxesSideBySide) {
    TestWorld world;
    std::vector<std::thread> threads;
    std::atomic<int> good{0};
    for (int t = 0; t < 8; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 3; ++i) {
                const std::string id = "pod-" + std::to_string(t) + "-" + std::to_string(i);
                world.sandbox(id);
                auto config = world.shell("exit 0");
                config.sandbox = id;
                const auto info = world.run(config);
                good += world.ended(info.id).exit_code == 0;
                EXPECT_TRUE(world.engine->remove_sandbox(id));
            }
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(good, 24);
}

} // namespace
} // namespace cloudlet::engine
