// cloudlet-runtime as its users run it: the program itself, on real bundles.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <gmock/gmock.h>

#include "cloudlet/codec/json.h"
#include "cloudlet/io/file.h"
#include "cloudlet/io/process.h"
#include "cloudlet/linux/mount.h"
#include "test_world.h"

namespace cloudlet::runtime::testing {
namespace {

using codec::Json;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kLong = std::chrono::seconds(20);

// The program lies in bin/ beside the folder of the tests.
std::string program() {
    char path[4096] = {};
    static_cast<void>(!readlink("/proc/self/exe", path, sizeof path - 1));
    const std::string self = path;
    return self.substr(0, self.rfind("/tests/")) + "/bin/cloudlet-runtime";
}

class Cli : public ::testing::Test {
protected:
    void SetUp() override { id_ = fmt::format("test-{}", world_.cgroup_path().substr(1)); }
    void TearDown() override {
        EXPECT_EQ(call({"delete", "--force", id_}).exit_status.code, 0);
        const auto host = linux::CgroupHost::probe();
        EXPECT_FALSE(host->open("/cloudlet-" + id_).exists());
        const auto table = linux::read_mount_table().value();
        for (const auto& mount : table)
            EXPECT_THAT(mount.mount_point, Not(HasSubstr(world_.folder())));
    }

    io::Output call(std::vector<std::string> words, const std::string& input = {}) {
        std::vector<std::string> argv = {program(), "--root", world_.folder() + "/state"};
        argv.insert(argv.end(), words.begin(), words.end());
        auto output = io::run(argv, kLong, input);
        EXPECT_TRUE(output) << output.error().to_string();
        return output.value_or(io::Output{});
    }

    // Runs the bundle in a mount namespace of its own in which a script changed the mounts first.
    io::Output call_where(const std::string& mounts) {
        const std::string script = mounts + "; exec \"$@\"";
        auto output = io::run({"unshare", "-m", "--propagation", "private", "sh", "-c", script,
                               "sh", program(), "--root", world_.folder() + "/state", "run", "-b",
                               world_.folder(), id_},
                              kLong);
        EXPECT_TRUE(output) << output.error().to_string();
        return output.value_or(io::Output{});
    }

    // Without pipes: the container keeps the descriptors of `create`.
    int spawn_and_wait(std::vector<std::string> words,
                       std::optional<std::pair<int, int>> descriptor = std::nullopt) {
        io::SpawnOptions options;
        if (descriptor) options.fds.push_back(*descriptor);
        options.argv = {program(), "--root", world_.folder() + "/state"};
        options.argv.insert(options.argv.end(), words.begin(), words.end());
        auto child = io::spawn(options);
        return child ? io::wait(*child, kLong)->code : -1;
    }

    // config.json as `runc spec` writes it, with a script.
    Json config(const std::string& script) {
        Json json = codec::parse_json(
                        R"({"ociVersion":"1.0.2","process":{"user":{"uid":0,"gid":0},"cwd":"/",
            "env":["PATH=/bin","TERM=xterm"],"noNewPrivileges":true,
            "rlimits":[{"type":"RLIMIT_NOFILE","hard":1024,"soft":1024}],
            "capabilities":{"bounding":["CAP_KILL"],"effective":["CAP_KILL"],
            "permitted":["CAP_KILL"],"ambient":["CAP_KILL"]}},"root":{"path":"rootfs"},
            "hostname":"box","mounts":[{"destination":"/proc","type":"proc","source":"proc"},
            {"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid",
            "strictatime","mode=755","size=65536k"]},{"destination":"/dev/pts","type":"devpts",
            "source":"devpts","options":["nosuid","noexec","newinstance","ptmxmode=0666",
            "mode=0620"]},{"destination":"/sys","type":"sysfs","source":"sysfs",
            "options":["nosuid","noexec","nodev","ro"]},{"destination":"/sys/fs/cgroup",
            "type":"cgroup","source":"cgroup","options":["ro","nosuid"]}],
            "linux":{"resources":{"devices":[{"allow":false,"access":"rwm"}]},
            "namespaces":[{"type":"pid"},{"type":"network"},{"type":"ipc"},{"type":"uts"},
            {"type":"mount"},{"type":"cgroup"}],"maskedPaths":["/proc/kcore"],
            "readonlyPaths":["/proc/sys"]}})")
                        .value();
        json.set_path({"process", "args"}, Json::array({"sh", "-c", script}));
        return json;
    }
    void write(const Json& json) {
        ASSERT_TRUE(io::write_file_atomic(world_.folder() + "/config.json", json.dump()));
    }
    void bundle(const std::string& script) { write(config(script)); }
    // For run -d: a long-lived container must not hold the pipes of io::run open.
    static std::string quiet(const std::string& script) {
        return "exec >/dev/null 2>&1; " + script;
    }

    std::string status() {
        return std::string(
            codec::parse_json(call({"state", id_}).out).value()["status"].as_string());
    }

    World world_;
    std::string id_;
};

TEST_F(Cli, RunGivesOutputAndExitStatusAndLeavesNothing) {
    bundle("hostname; echo error >&2; cat; exit 7");
    const auto output = call({"run", "-b", world_.folder(), id_}, "from stdin");
    EXPECT_EQ(output.exit_status.code, 7);
    EXPECT_EQ(output.out, "box\nfrom stdin");
    EXPECT_EQ(output.err, "error\n");
    EXPECT_EQ(call({"list", "-q"}).out, "");
    EXPECT_TRUE(io::list_directory(world_.folder() + "/state")->empty());
}

TEST_F(Cli, TheLifeOfAContainer) {
    bundle(quiet("sleep 100"));
    const std::string pid_file = world_.folder() + "/pid";
    ASSERT_TRUE(io::append_file(pid_file + ".new", "1234567890")); // of one that was killed
    ASSERT_EQ(spawn_and_wait({"create", "-b", world_.folder(), "--pid-file", pid_file, id_}), 0);
    EXPECT_EQ(status(), "created");
    EXPECT_EQ(
        call({"create", "-b", world_.folder(), id_}).err,
        fmt::format("cloudlet-runtime: container \"{}\" exists; delete it or choose another id\n",
                    id_));
    ASSERT_EQ(call({"start", id_}).exit_status.code, 0);
    EXPECT_EQ(status(), "running");
    EXPECT_NE(call({"start", id_}).exit_status.code, 0);
    const Json state = codec::parse_json(call({"state", id_}).out).value();
    EXPECT_EQ(io::read_file(pid_file).value(), std::to_string(state["pid"].as_int()));
    EXPECT_FALSE(io::exists(pid_file + ".new"));
    EXPECT_EQ(state["bundle"].as_string(), world_.folder());

    EXPECT_THAT(call({"delete", id_}).err,
                HasSubstr("it is running; stop it first, or use --force"));
    EXPECT_EQ(call({"list", "-q"}).out, id_ + "\n");
    EXPECT_EQ(codec::parse_json(call({"list", "-f", "json"}).out).value()[0]["status"].as_string(),
              "running");
    EXPECT_THAT(call({"list"}).out, HasSubstr("BUNDLE"));
    ASSERT_EQ(call({"kill", id_, "KILL"}).exit_status.code, 0);
    EXPECT_TRUE(eventually([&] { return status() == "stopped"; }));
    EXPECT_NE(call({"kill", id_, "TERM"}).exit_status.code, 0);
    EXPECT_NE(call({"start", id_}).exit_status.code, 0);
    EXPECT_EQ(call({"delete", id_}).exit_status.code, 0);
    EXPECT_THAT(call({"state", id_}).err, HasSubstr("does not exist"));
}

TEST_F(Cli, StartSaysWhyAProgramCannotBeExecuted) {
    Json json = config("");
    json.set_path({"process", "args"}, Json::array({"foo"}));
    write(json);
    const auto output = call({"run", "-b", world_.folder(), id_});
    EXPECT_EQ(output.exit_status.code, 127);
    EXPECT_EQ(output.err, "cloudlet-runtime: exec: \"foo\": executable file not found in $PATH\n");
    EXPECT_TRUE(io::list_directory(world_.folder() + "/state")->empty());
}

TEST_F(Cli, ExecRunsInTheContainer) {
    bundle(quiet("sleep 100"));
    ASSERT_EQ(call({"run", "-d", "-b", world_.folder(), id_}).exit_status.code, 0);
    auto output = call({"exec", "-e", "X=1", "--cwd", "/tmp", id_, "sh", "-c",
                        "hostname; echo $X; pwd; cat; exit 3"},
                       "in");
    EXPECT_EQ(output.out, "box\n1\n/tmp\nin");
    EXPECT_EQ(output.exit_status.code, 3);
    output = call({"exec", "--user", "web", id_, "id"});
    EXPECT_THAT(output.out, HasSubstr("uid=1000(web) gid=1001(web) groups=50(staff)"));
    output = call({"exec", id_, "nope"});
    EXPECT_EQ(output.exit_status.code, 127);
    EXPECT_THAT(output.err, HasSubstr("exec: \"nope\": executable file not found in $PATH"));
    output = call({"exec", "-t", id_, "tty"});
    EXPECT_EQ(output.out, "/dev/pts/0\r\n");
    ASSERT_TRUE(io::write_file_atomic(
        world_.folder() + "/process.json",
        R"({"args":["sh","-c","exit 4"],"cwd":"/","env":["PATH=/bin"],"user":{"uid":0,"gid":0}})"));
    EXPECT_EQ(call({"exec", "--process", world_.folder() + "/process.json", id_}).exit_status.code,
              4);
}

TEST_F(Cli, ACreateThatFailsHalfWayLeavesNothing) {
    Json json = config("true");
    Json mounts = json["mounts"];
    mounts.push_back(
        Json::object({{"destination", "/x"}, {"type", "bind"}, {"source", "/does/not/exist"}}));
    json.set("mounts", mounts);
    write(json);
    const auto output = call({"create", "-b", world_.folder(), id_});
    EXPECT_EQ(output.exit_status.code, 1);
    EXPECT_EQ(output.err, "cloudlet-runtime: bind /does/not/exist: No such file or directory\n");
    EXPECT_TRUE(io::list_directory(world_.folder() + "/state")->empty());
    EXPECT_FALSE(world_.host().cgroups.open("/cloudlet-" + id_).exists());
}

TEST_F(Cli, WhatAKilledCreateLeftIsCleanedUpByTheNext) {
    bundle("echo fresh");
    // The picture after kill -9 between the intent and the process: a state without a pid, a
    // cgroup.
    const std::string folder = world_.folder() + "/state/" + id_;
    ASSERT_TRUE(io::make_directories(folder));
    ASSERT_TRUE(io::write_file_atomic(
        folder + "/state.json",
        fmt::format(R"({{"id":"{0}","cgroup":"/cloudlet-{0}","pid":0}})", id_)));
    ASSERT_TRUE(world_.host().cgroups.create("/cloudlet-" + id_, {}));
    EXPECT_EQ(call({"run", "-b", world_.folder(), id_}).out, "fresh\n");
}

TEST_F(Cli, WhatACreateLeftThatWasKilledAtItsFirstStepCanBeDeleted) {
    const std::string folder = world_.folder() + "/state/" + id_;
    ASSERT_TRUE(io::make_directories(folder));
    EXPECT_EQ(call({"delete", id_}).exit_status.code, 0);
    EXPECT_FALSE(io::exists(folder));
    ASSERT_TRUE(io::make_directories(folder));
    ASSERT_TRUE(io::append_file(folder + "/state.json", "{\"id\":")); // torn by a power failure
    EXPECT_EQ(call({"delete", id_}).exit_status.code, 0);
    EXPECT_FALSE(io::exists(folder));
}

TEST_F(Cli, RunKeepsItsStateWhenAsked) {
    bundle("exit 3");
    EXPECT_EQ(call({"run", "--keep", "-b", world_.folder(), id_}).exit_status.code, 3);
    EXPECT_EQ(status(), "stopped");
    EXPECT_EQ(call({"delete", id_}).exit_status.code, 0);
}

TEST_F(Cli, RunsOnEveryKindOfCgroupHostAndLeavesNothingOnOneWithout) {
    bundle("grep cgroup /proc/mounts");
    if (world_.host().cgroups.mode() == linux::CgroupMode::hybrid) {
        const auto v1 = call_where("umount /sys/fs/cgroup/unified");
        EXPECT_EQ(v1.exit_status.code, 0) << v1.err;
        EXPECT_THAT(v1.out, HasSubstr("cgroup /sys/fs/cgroup/pids "));
        EXPECT_THAT(v1.out, Not(HasSubstr("cgroup2")));
    }
    const auto v2 = call_where("umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup");
    EXPECT_EQ(v2.exit_status.code, 0) << v2.err;
    EXPECT_THAT(v2.out, ::testing::MatchesRegex("cgroup /sys/fs/cgroup cgroup2 [^\n]*\n"));
    const auto none = call_where("umount -R /sys/fs/cgroup");
    EXPECT_EQ(none.exit_status.code, 1);
    EXPECT_THAT(none.err, HasSubstr("mount one with: mount -t cgroup2 none /sys/fs/cgroup"));
    EXPECT_TRUE(io::list_directory(world_.folder() + "/state")->empty());
}

TEST_F(Cli, ADescriptorOfOursIsNoWayOutOfTheContainer) { // CVE-2024-21626
    const io::UniqueFd host(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const std::pair<int, int> leaked{host.get(), 9};
    Json json = config("pwd");
    for (int fd = 3; fd <= 9; fd++) {
        json.set_path({"process", "cwd"}, fmt::format("/proc/self/fd/{}", fd));
        write(json);
        EXPECT_EQ(spawn_and_wait({"run", "-b", world_.folder(), id_}, leaked), 1) << fd;
    }
    bundle(quiet("sleep 100"));
    ASSERT_EQ(spawn_and_wait({"run", "-d", "-b", world_.folder(), id_}, leaked), 0);
    for (int fd = 3; fd <= 9; fd++) {
        const std::string cwd = fmt::format("/proc/self/fd/{}", fd);
        EXPECT_EQ(spawn_and_wait({"exec", "--cwd", cwd, id_, "pwd"}, leaked), 1) << fd;
    }
    EXPECT_EQ(spawn_and_wait({"exec", id_, "sh", "-c", "! test -e /proc/self/fd/9"}, leaked), 0);
    EXPECT_EQ(spawn_and_wait({"exec", id_, "sh", "-c", "! test -e /proc/1/fd/9"}, leaked), 0);
}

TEST_F(Cli, RefusesByNameWhatItDoesNotDo) {
    Json json = config("true");
    json.set("hooks",
             Json::object({{"prestart", Json::array({Json::object({{"path", "/bin/true"}})})}}));
    write(json);
    EXPECT_THAT(call({"run", "-b", world_.folder(), id_}).err,
                HasSubstr("hooks.prestart is not supported"));
    json = config("true");
    json.set_path({"linux", "namespaces"}, Json::array({Json::object({{"type", "user"}}),
                                                        Json::object({{"type", "mount"}})}));
    write(json);
    EXPECT_THAT(call({"run", "-b", world_.folder(), id_}).err,
                HasSubstr("user namespaces are not supported"));
    EXPECT_THAT(call({"create", "--console-socket", "/x", "-b", world_.folder(), id_}).err,
                HasSubstr("not supported"));
    EXPECT_THAT(call({"frobnicate"}).err, HasSubstr("unknown command"));
    EXPECT_THAT(call({"run", "../x"}).err, HasSubstr("container id"));
    EXPECT_THAT(call({"run", "-b", "/nowhere", id_}).err, HasSubstr("/nowhere"));
}

TEST_F(Cli, RunPassesSignalsOn) {
    bundle("trap 'exit 9' TERM; echo ready > /ready; while true; do sleep 0.05; done");
    io::SpawnOptions options;
    options.argv = {program(),       "--root", world_.folder() + "/state", "run", "-b",
                    world_.folder(), id_};
    auto child = io::spawn(options);
    ASSERT_TRUE(child);
    ASSERT_TRUE(eventually([&] { return io::exists(world_.root() + "/ready"); }));
    ASSERT_TRUE(io::send_signal(*child, SIGTERM));
    EXPECT_EQ(io::wait(*child, kLong)->code, 9);
}

} // namespace
} // namespace cloudlet::runtime::testing
