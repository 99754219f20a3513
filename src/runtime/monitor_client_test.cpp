// The monitor: log, exit record, signals, exec, adoption by a later daemon.

#include "cloudlet/runtime/monitor_client.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>

#include "cloudlet/io/file.h"
#include "test_world.h"

namespace cloudlet::runtime::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr auto kLong = std::chrono::seconds(20);

std::string read_to_end(int fd) {
    std::string out;
    char buffer[4096];
    for (ssize_t n = read(fd, buffer, sizeof buffer); n > 0; n = read(fd, buffer, sizeof buffer))
        out.append(buffer, static_cast<size_t>(n));
    return out;
}

TEST(Monitor, RecordsTheExitCodeOnDiskAndTellsWatchers) {
    World world;
    const ExitRecord told = world.run("exit 7");
    EXPECT_EQ(told.exit_code, 7);
    EXPECT_EQ(told.signal, 0);
    EXPECT_FALSE(told.oom_killed);
    EXPECT_GT(told.finished_at, told.started_at);
    const auto stored = read_exit_record(world.options.directory);
    ASSERT_TRUE(stored);
    EXPECT_EQ(stored->exit_code, 7);
    EXPECT_EQ(stored->finished_at, told.finished_at);
    EXPECT_TRUE(eventually([&] { return !MonitorConnection::connect(world.options.directory); }));
}

TEST(Monitor, LogsInCriFormatWithPartsOfLongLines) {
    World world;
    world.run("echo one; echo two >&2; head -c 20000 /dev/zero | tr '\\0' x; echo; printf end");
    std::vector<std::string> lines;
    std::string text = world.log();
    for (size_t at = 0; at < text.size();) {
        const size_t end = text.find('\n', at);
        lines.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    ASSERT_EQ(lines.size(), 5u);
    const char* time = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9}Z";
    EXPECT_THAT(text, HasSubstr(" stdout F one\n"));
    EXPECT_THAT(text, HasSubstr(" stderr F two\n"));
    EXPECT_THAT(lines[0], MatchesRegex(fmt::format("{} std(out|err) F .*", time)));
    EXPECT_THAT(text, HasSubstr(" stdout P " + std::string(16384, 'x') + "\n"));
    EXPECT_THAT(text, HasSubstr(" stdout F " + std::string(20000 - 16384, 'x') + "\n"));
    EXPECT_THAT(lines.back(), HasSubstr(" stdout F end"));
}

TEST(Monitor, RotatesTheLogBySizeAndKeepsTheNewestFiles) {
    World world;
    world.options.log_max_bytes = 4096;
    world.options.log_max_files = 3;
    world.run("seq 1 1000");
    EXPECT_TRUE(io::exists(world.log_path() + ".1"));
    EXPECT_TRUE(io::exists(world.log_path() + ".2"));
    EXPECT_FALSE(io::exists(world.log_path() + ".3"));
    const std::string all = io::read_file(world.log_path() + ".2").value() +
                            io::read_file(world.log_path() + ".1").value() + world.log();
    EXPECT_THAT(all, HasSubstr(" stdout F 1000\n"));
    EXPECT_LT(io::read_file(world.log_path() + ".1")->size(), 4200u);
}

TEST(Monitor, AProgramThatDoesNotExistIsSaidByStartAndRecordedAs127) {
    World world;
    Spec spec = world.shell("");
    spec.process.args = {"foo"};
    auto spawned = world.spawn(spec);
    ASSERT_TRUE(spawned);
    const auto started = spawned->connection.start();
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, Code::not_found);
    EXPECT_EQ(started.error().message, "exec: \"foo\": executable file not found in $PATH");
    ASSERT_TRUE(eventually([&] { return read_exit_record(world.options.directory).has_value(); }));
    EXPECT_EQ(read_exit_record(world.options.directory)->exit_code, 127);
    EXPECT_THAT(read_exit_record(world.options.directory)->error, HasSubstr("not found in $PATH"));
}

TEST(Monitor, AFileThatIsNoProgramIs126) {
    World world;
    ASSERT_TRUE(io::write_file_atomic(world.root() + "/text", "hello", 0644));
    Spec spec = world.shell("");
    spec.process.args = {"/text"};
    auto spawned = world.spawn(spec);
    ASSERT_TRUE(spawned);
    const auto started = spawned->connection.start();
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().message, "exec: \"/text\": permission denied");
    ASSERT_TRUE(eventually([&] { return read_exit_record(world.options.directory).has_value(); }));
    EXPECT_EQ(read_exit_record(world.options.directory)->exit_code, 126);
}

TEST(Monitor, SendsSignalsAndRecordsTheOneThatEnded) {
    World world;
    auto spawned = world.spawn(
        world.shell("trap 'echo got; exit 3' TERM; echo ready; while true; do sleep 0.05; done"));
    ASSERT_TRUE(spawned);
    auto watch = spawned->connection.watch_exit();
    ASSERT_TRUE(spawned->connection.start());
    ASSERT_TRUE(eventually([&] { return world.output() == "ready\n"; }));
    ASSERT_TRUE(spawned->connection.kill(SIGTERM));
    EXPECT_EQ(watch->record(kLong)->exit_code, 3);

    World other;
    spawned = other.spawn(other.shell("sleep 100"));
    watch = spawned->connection.watch_exit();
    ASSERT_TRUE(spawned->connection.start());
    ASSERT_TRUE(spawned->connection.kill(SIGKILL));
    const auto record = watch->record(kLong);
    EXPECT_EQ(record->exit_code, 137);
    EXPECT_EQ(record->signal, SIGKILL);
    EXPECT_FALSE(record->oom_killed);
}

TEST(Monitor, StartsOnceAndRefusesWhatTheStateForbids) {
    World world;
    auto spawned = world.spawn(world.shell("sleep 100"));
    ASSERT_TRUE(spawned);
    const MonitorConnection& monitor = spawned->connection;
    EXPECT_EQ(monitor.state()->phase, MonitorPhase::created);
    EXPECT_EQ(monitor.exec(Plan{std::string("not a plan"), {}}, {}).error().code, Code::conflict);
    ASSERT_TRUE(monitor.start());
    EXPECT_EQ(monitor.state()->phase, MonitorPhase::running);
    EXPECT_EQ(monitor.start().error().code, Code::conflict);
    EXPECT_EQ(monitor.resize(10, 10).error().code, Code::conflict);
    EXPECT_EQ(monitor.take_stdin().error().code, Code::conflict);
    EXPECT_FALSE(monitor.exec(Plan{std::string(200, 'x'), {}}, {}));
    ASSERT_TRUE(monitor.shutdown());
    ASSERT_TRUE(eventually([&] { return read_exit_record(world.options.directory).has_value(); }));
    EXPECT_EQ(monitor.kill(SIGTERM).error().code, Code::conflict);
    EXPECT_EQ(monitor.start().error().code, Code::conflict);
}

TEST(Monitor, AnOutOfMemoryKillIsReportedAsOne) {
    World world;
    Spec spec = world.shell("dd if=/dev/zero of=/dev/null bs=64M count=1; exit $?");
    spec.process.args = {"dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"};
    spec.resources.memory_bytes = 16 << 20;
    spec.resources.memory_swap_bytes = 16 << 20;
    const ExitRecord record = world.run(spec);
    EXPECT_EQ(record.exit_code, 137);
    EXPECT_TRUE(record.oom_killed);
}

TEST(Monitor, KeepsStdinOpenUntilItsTakerClosesIt) {
    World world;
    world.options.stdin_open = true;
    auto spawned = world.spawn(world.shell("cat; echo end"));
    auto watch = spawned->connection.watch_exit();
    ASSERT_TRUE(spawned->connection.start());
    auto input = spawned->connection.take_stdin();
    ASSERT_TRUE(input);
    ASSERT_TRUE(io::write_all(input->get(), "hello\n"));
    input->reset();
    EXPECT_EQ(watch->record(kLong)->exit_code, 0);
    EXPECT_EQ(world.output(), "hello\nend\n");
}

// The daemon that spawned it is killed without warning; the test is the later daemon.
TEST(Monitor, OutlivesAKilledDaemonAndIsAdoptedByALaterOne) {
    World world;
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t daemon = fork();
    if (daemon == 0) {
        auto spawned = world.spawn(world.shell("while ! test -e /go; do sleep 0.05; done; exit 5"));
        const char ok = spawned && spawned->connection.start() ? 'y' : 'n';
        static_cast<void>(!write(ready[1], &ok, 1));
        sleep(60);
        _exit(1); // the kill comes first
    }
    char ok = 0;
    ASSERT_EQ(read(ready[0], &ok, 1), 1);
    ASSERT_EQ(ok, 'y');
    kill(daemon, SIGKILL);
    waitpid(daemon, nullptr, 0);
    close(ready[0]);
    close(ready[1]);

    auto adopted = MonitorConnection::connect(world.options.directory);
    ASSERT_TRUE(adopted);
    const auto state = adopted->state();
    EXPECT_EQ(state->phase, MonitorPhase::running);
    kill(state->monitor_pid, SIGTERM); // which it ignores
    kill(state->monitor_pid, SIGHUP);
    auto watch = adopted->watch_exit();
    ASSERT_TRUE(watch);
    ASSERT_TRUE(io::write_file_atomic(world.root() + "/go", ""));
    EXPECT_EQ(watch->record(kLong)->exit_code, 5);
    EXPECT_EQ(read_exit_record(world.options.directory)->exit_code, 5);
    EXPECT_EQ(MonitorConnection::connect(world.options.directory).error().code, Code::not_found);
}

TEST(Monitor, ACreationThatFailsHalfWayLeavesNothing) {
    World world;
    Spec spec = world.shell("true");
    spec.mounts.push_back({"/x", "bind", world.folder() + "/does-not-exist", {"rbind"}});
    const auto spawned = world.spawn(spec);
    ASSERT_FALSE(spawned);
    EXPECT_THAT(spawned.error().to_string(),
                HasSubstr("does-not-exist: No such file or directory"));
    EXPECT_TRUE(world.group->members()->empty());
    EXPECT_FALSE(io::exists(world.options.directory + "/monitor.sock"));
    EXPECT_FALSE(read_exit_record(world.options.directory));
    EXPECT_TRUE(world.group->remove());
}

class Exec : public ::testing::Test {
protected:
    void SetUp() override {
        spec_ = world_.shell("sleep 100");
        spec_.hostname = "inside";
        auto spawned = world_.spawn(spec_);
        ASSERT_TRUE(spawned) << spawned.error().to_string();
        ASSERT_TRUE(spawned->connection.start());
        spawned_.emplace(std::move(*spawned));
    }
    void TearDown() override {
        if (spawned_) {
            EXPECT_TRUE(spawned_->connection.shutdown());
        }
    }

    World world_;
    Spec spec_;
    std::optional<SpawnedMonitor> spawned_;
};

TEST_F(Exec, RunsInTheContainersNamespacesCgroupAndCredentials) {
    auto pipe = io::make_pipe();
    const Plan plan = world_.exec_plan(spec_, spawned_->pid,
                                       {"sh", "-c",
                                        "hostname; cat /proc/1/cmdline | tr '\\0' ' '; echo; grep "
                                        "-E 'CapEff|^Seccomp:' /proc/self/status; exit 9"});
    auto session = spawned_->connection.exec(plan, {-1, pipe->write_end.get(), -1});
    ASSERT_TRUE(session) << session.error().to_string();
    pipe->write_end.reset();
    EXPECT_EQ(read_to_end(pipe->read_end.get()),
              "inside\nsleep 100 \nCapEff:\t00000000a80425fb\nSeccomp:\t2\n");
    EXPECT_EQ(session->status(kLong).value(), 9);
}

TEST_F(Exec, IsAMemberOfTheContainersCgroup) {
    auto session =
        spawned_->connection.exec(world_.exec_plan(spec_, spawned_->pid, {"sleep", "100"}), {});
    ASSERT_TRUE(session);
    const auto members = world_.group->members().value();
    EXPECT_THAT(members, ::testing::Contains(session->pid()));
    kill(session->pid(), SIGKILL);
    EXPECT_EQ(session->status(kLong).value(), 137);
}

TEST_F(Exec, OnlyTheThreeStandardDescriptorsReachTheProgram) {
    auto pipe = io::make_pipe();
    auto session = spawned_->connection.exec(
        world_.exec_plan(
            spec_, spawned_->pid,
            {"sh", "-c", "for f in /proc/self/fd/*; do [ -e $f ] && echo ${f##*/}; done; true"}),
        {-1, pipe->write_end.get(), -1});
    ASSERT_TRUE(session);
    pipe->write_end.reset();
    EXPECT_EQ(read_to_end(pipe->read_end.get()), "0\n1\n2\n");
    EXPECT_EQ(session->status(kLong).value(), 0);
}

TEST_F(Exec, AProgramThatDoesNotExistIsRefusedWithItsName) {
    auto session = spawned_->connection.exec(world_.exec_plan(spec_, spawned_->pid, {"nope"}), {});
    ASSERT_FALSE(session);
    EXPECT_EQ(session.error().code, Code::not_found);
    EXPECT_EQ(session.error().message, "exec: \"nope\": executable file not found in $PATH");
}

TEST_F(Exec, ATerminalIsOneOfTheContainersOwn) {
    auto session = spawned_->connection.exec(
        world_.exec_plan(spec_, spawned_->pid, {"sh", "-c", "tty; read x; stty size; echo got $x"},
                         true),
        {});
    ASSERT_TRUE(session) << session.error().to_string();
    ASSERT_TRUE(session->terminal);
    const winsize size{24, 80, 0, 0};
    ASSERT_EQ(ioctl(session->terminal.get(), TIOCSWINSZ, &size), 0);
    ASSERT_TRUE(io::write_all(session->terminal.get(), "word\n"));
    const std::string text = read_to_end(session->terminal.get()); // EIO at the end
    EXPECT_THAT(text, HasSubstr("/dev/pts/0"));
    EXPECT_THAT(text, HasSubstr("24 80"));
    EXPECT_THAT(text, HasSubstr("got word"));
    EXPECT_EQ(session->status(kLong).value(), 0);
}

TEST_F(Exec, EndsWithItsContainer) {
    auto session =
        spawned_->connection.exec(world_.exec_plan(spec_, spawned_->pid, {"sleep", "100"}), {});
    ASSERT_TRUE(session);
    ASSERT_TRUE(spawned_->connection.shutdown());
    const auto status = session->status(kLong);
    EXPECT_TRUE(!status || *status == 137);
    EXPECT_TRUE(eventually([&] { return world_.group->members()->empty(); }));
}

TEST(Monitor, AContainerWithATerminalLogsItAndCanBeResized) {
    World world;
    Spec spec = world.shell("test -t 0 && tty; ls -l /dev/console | head -c 1; while [ \"$(stty "
                            "size)\" != '33 99' ]; do sleep 0.05; done; echo sized");
    spec.process.terminal = true;
    spec.process.console_rows = 10;
    spec.process.console_columns = 20;
    auto spawned = world.spawn(spec);
    ASSERT_TRUE(spawned) << spawned.error().to_string();
    auto watch = spawned->connection.watch_exit();
    ASSERT_TRUE(spawned->connection.start());
    ASSERT_TRUE(spawned->connection.resize(33, 99));
    EXPECT_EQ(watch->record(kLong)->exit_code, 0);
    EXPECT_THAT(world.output(), HasSubstr("/dev/pts/0"));
    EXPECT_THAT(world.output(), HasSubstr("csized"));
}

TEST(Monitor, CostsLittleMemory) {
    World world;
    auto spawned = world.spawn(world.shell("sleep 100"));
    ASSERT_TRUE(spawned);
    ASSERT_TRUE(spawned->connection.start());
    const std::string text =
        io::read_file(fmt::format("/proc/{}/smaps_rollup", spawned->monitor_pid)).value();
    const size_t at = text.find("\nPss:");
    ASSERT_NE(at, std::string::npos);
    EXPECT_LE(std::stoi(text.substr(at + 5)), 200) << text; // KiB
    EXPECT_TRUE(spawned->connection.shutdown());
}

} // namespace
} // namespace cloudlet::runtime::testing
