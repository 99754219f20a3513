#include "cloudlet/runtime/spec.h"

#include <unistd.h>

#include <gmock/gmock.h>

#include "cloudlet/io/file.h"
#include "cloudlet/runtime/plan.h"
#include "cloudlet/runtime/user.h"
#include "launch/launch.h"
#include "mount_options.h"
#include "test_world.h"

namespace cloudlet::runtime::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string error_of(const std::string& json) {
    const auto spec = parse_spec(codec::parse_json(json).value());
    return spec ? "" : spec.error().message;
}

std::string with_process(const std::string& process, const std::string& rest = {}) {
    return R"({"ociVersion":"1.0.2","root":{"path":"r"},"process":{"args":["x"],"cwd":"/")" +
           process + "}" + rest + "}";
}

TEST(Spec, ErrorsNameTheField) {
    EXPECT_THAT(error_of("[]"), HasSubstr("must be an object"));
    EXPECT_THAT(error_of(R"({"ociVersion":"2.0"})"), HasSubstr("ociVersion"));
    EXPECT_THAT(error_of(R"({"ociVersion":"1.0.2"})"), HasSubstr("process is missing"));
    EXPECT_THAT(error_of(with_process(R"(,"env":[1])")),
                HasSubstr("process.env[0] must be a string"));
    EXPECT_THAT(error_of(with_process(R"(,"user":{"uid":-1})")), HasSubstr("process.user.uid"));
    EXPECT_THAT(error_of(with_process(R"(,"rlimits":[{"type":"RLIMIT_CPU","soft":2,"hard":1}])")),
                HasSubstr("soft is above hard"));
    EXPECT_THAT(error_of(with_process("", R"(,"mounts":[{"destination":"x"}])")),
                HasSubstr("mounts[0].destination"));
    EXPECT_THAT(error_of(with_process("", R"(,"linux":{"namespaces":[{"type":"moon"}]})")),
                HasSubstr("moon"));
    EXPECT_THAT(
        error_of(with_process("", R"(,"linux":{"seccomp":{"defaultAction":"SCMP_ACT_NOTIFY"}})")),
        HasSubstr("not supported"));
    EXPECT_THAT(error_of(with_process("", R"(,"linux":{"resources":{"pids":{"limit":"many"}}})")),
                HasSubstr("linux.resources.pids.limit"));
    EXPECT_EQ(error_of(with_process("")), "");
}

TEST(Spec, WhatItDoesNotDoIsRefusedByNameUnlessItSaysNothing) {
    const std::pair<const char*, const char*> table[] = {
        {R"("blockIO":{"weight":10})", "linux.resources.blockIO"},
        {R"("hugepageLimits":[{"pageSize":"2MB","limit":0}])", "linux.resources.hugepageLimits"},
        {R"("unified":{"memory.high":"1"})", "linux.resources.unified"},
        {R"("cpu":{"realtimeRuntime":950000})", "linux.resources.cpu.realtimeRuntime"},
        {R"("memory":{"disableOOMKiller":true})", "linux.resources.memory.disableOOMKiller"}};
    for (const auto& [field, name] : table)
        EXPECT_EQ(
            error_of(with_process("", fmt::format(R"(,"linux":{{"resources":{{{}}}}})", field))),
            fmt::format("config.json: {} is not supported; remove it", name));
    EXPECT_THAT(error_of(with_process(R"(,"scheduler":{"policy":"SCHED_FIFO"})")),
                HasSubstr("process.scheduler"));
    EXPECT_EQ(error_of(with_process(
                  R"(,"apparmorProfile":"","selinuxLabel":"")",
                  R"(,"linux":{"personality":{"domain":"LINUX"},"mountLabel":"","resources":{
        "blockIO":{"weight":0,"throttleReadBpsDevice":[]},"memory":{"disableOOMKiller":false},
        "unified":null,"network":{}}})")),
              "");
}

TEST(MountOptions, AreSortedIntoWhatTheKernelWants) {
    const auto bind = sort_mount_options({"rbind", "ro", "nosuid", "rslave"});
    EXPECT_TRUE(bind.bind && bind.recursive && bind.attr_recursive);
    EXPECT_EQ(bind.attr_set, 3u);          // MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID
    EXPECT_EQ(bind.propagation, 1u << 19); // MS_SLAVE
    const auto tmpfs = sort_mount_options({"mode=755", "rw", "size=64k", "defaults"});
    EXPECT_THAT(tmpfs.data, ElementsAre("mode=755", "size=64k"));
    EXPECT_FALSE(tmpfs.bind);
}

TEST(Plan, IsCheckedBeforeItIsCarriedOut) {
    World world;
    const Plan plan = compile_plan(world.shell("true"), world.host(), {}).value();
    cl_plan checked{};
    alignas(8) std::string bytes = plan.bytes;
    ASSERT_EQ(cl_plan_check(&checked, bytes.data(), bytes.size()), 0);
    EXPECT_EQ(cl_plan_check(&checked, bytes.data(), bytes.size() - 1), -1);
    bytes.back() = 'x';
    EXPECT_EQ(cl_plan_check(&checked, bytes.data(), bytes.size()), -1);
}

TEST(Plan, OneSpecGivesOnePlan) {
    World world;
    const Spec spec = world.shell("true");
    EXPECT_EQ(compile_plan(spec, world.host(), {})->bytes,
              compile_plan(spec, world.host(), {})->bytes);
}

TEST(Plan, RefusesMountsThatWouldHideTheKernelsFiles) {
    World world;
    for (const auto& [destination, expected] : {std::pair{"/proc/self", "refused"},
                                                {"/proc/1/fd", "refused"},
                                                {"/a/../b", "\"..\""},
                                                {"/", "root"}}) {
        Spec spec = world.shell("true");
        spec.mounts.push_back({destination, "tmpfs", "tmpfs", {}});
        const auto plan = compile_plan(spec, world.host(), {});
        ASSERT_FALSE(plan) << destination;
        EXPECT_THAT(plan.error().message, HasSubstr(expected));
    }
    Spec spec = world.shell("true");
    spec.mounts.push_back({"/proc/cpuinfo", "bind", "/dev/null", {"bind"}});
    EXPECT_TRUE(compile_plan(spec, world.host(), {}));
}

TEST(Plan, NotesWhatThisHostCannotGive) {
    World world;
    Host host = world.host();
    host.capabilities.permitted =
        host.capabilities.permitted.without(linux::CapabilitySet::from_names({"CHOWN"}).value());
    host.capabilities.effective = host.capabilities.effective.without(
        linux::CapabilitySet::from_names({"SYS_RESOURCE"}).value());
    host.hard_limits[7] = 100; // RLIMIT_NOFILE
    Spec spec = world.shell("true");
    spec.process.rlimits = {{"RLIMIT_NOFILE", 1000, 1000}};
    const Plan plan = compile_plan(spec, host, {}).value();
    EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("RLIMIT_NOFILE: hard limit stays 100"),
                                        HasSubstr("CAP_CHOWN")));
}

TEST(Plan, NobodyGetsMoreOpenFilesThanTheKernelGivesToAnyone) {
    World world;
    Host host = world.host();
    host.capabilities.effective = linux::CapabilitySet::all();
    host.max_open_files = 5000;
    Spec spec = world.shell("true");
    spec.process.rlimits = {{"RLIMIT_NOFILE", 1000, ~uint64_t{0}},
                            {"RLIMIT_CORE", 0, ~uint64_t{0}}};
    EXPECT_THAT(compile_plan(spec, host, {}).value().notes,
                Contains(AllOf(HasSubstr("RLIMIT_NOFILE: hard limit stays 5000"),
                               HasSubstr("fs.nr_open"))));
    EXPECT_THAT(compile_plan(spec, host, {}).value().notes,
                Not(Contains(HasSubstr("RLIMIT_CORE"))));
}

TEST(User, IsResolvedInTheImagesOwnFiles) {
    World world;
    auto user = resolve_user(world.root(), "web");
    ASSERT_TRUE(user);
    EXPECT_EQ(user->uid, 1000u);
    EXPECT_EQ(user->gid, 1001u);
    EXPECT_EQ(user->home, "/home/web");
    EXPECT_THAT(user->additional_gids, ElementsAre(50u));
    EXPECT_EQ(resolve_user(world.root(), "")->uid, 0u);
    EXPECT_EQ(resolve_user(world.root(), "4321:staff")->gid, 50u);
    EXPECT_EQ(resolve_user(world.root(), "4321")->home, "/");
    EXPECT_EQ(resolve_user(world.root(), "nobody").error().code, Code::not_found);
    EXPECT_EQ(resolve_user(world.root(), "web:nogroup").error().code, Code::not_found);
}

TEST(User, ALinkInTheImageDoesNotLeadToTheHostsFiles) {
    World world;
    ASSERT_TRUE(io::write_file_atomic(world.folder() + "/passwd", "evil:x:0:0::/:/bin/sh\n"));
    ASSERT_EQ(unlink((world.root() + "/etc/passwd").c_str()), 0);
    ASSERT_EQ(symlink("../../passwd", (world.root() + "/etc/passwd").c_str()), 0);
    EXPECT_EQ(resolve_user(world.root(), "evil").error().code, Code::not_found);
}

} // namespace
} // namespace cloudlet::runtime::testing
