#include "cloudlet/linux/cgroup.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cgroup_files.h"
#include "cloudlet/io/file.h"

namespace cloudlet::linux {
namespace {

using ::testing::HasSubstr;

// A group of its own name that is gone at the end, with whatever lives in it.
class CgroupTest : public ::testing::Test {
protected:
    void SetUp() override {
        host_ = CgroupHost::probe().value();
        static int count = 0;
        path_ = fmt::format("/cloudlet-linux-test-{}-{}", getpid(), count++);
    }
    void TearDown() override {
        const Cgroup left = host_.open(path_);
        EXPECT_TRUE(left.kill_all());
        EXPECT_TRUE(left.remove());
        for (const pid_t pid : children_) waitpid(pid, nullptr, 0);
    }
    // A child that sleeps; it is a member once this returns.
    pid_t member(const Cgroup& group) {
        const pid_t pid = fork();
        if (pid == 0)
            for (;;) pause();
        children_.push_back(pid);
        EXPECT_TRUE(group.attach(pid));
        return pid;
    }
    std::string file(std::string_view controller, const char* name) const {
        for (const CgroupHierarchy& h : host_.hierarchies())
            if (h.has(controller))
                return io::read_file(fmt::format("{}{}/{}", h.mount_point, path_, name))
                    .value_or("none");
        return "no controller";
    }
    bool is_v1(std::string_view controller) const {
        for (const CgroupHierarchy& h : host_.hierarchies())
            if (h.has(controller)) return !h.unified;
        return false;
    }

    CgroupHost host_;
    std::string path_;
    std::vector<pid_t> children_;
};

TEST_F(CgroupTest, CreateMakesTheGroupWithItsLimitsAndRemoveLeavesNothing) {
    ResourceLimits limits;
    limits.memory_bytes = 32 << 20;
    limits.pids = 12;
    limits.cpu_shares = 256;
    limits.cpu_quota_us = 20000;
    const auto group = host_.create(path_, limits);
    ASSERT_TRUE(group) << group.error().to_string();
    EXPECT_EQ(group->stats()->memory_limit_bytes, 32u << 20);
    EXPECT_EQ(file("pids", "pids.max"), "12\n");
    if (is_v1("cpu")) {
        EXPECT_EQ(file("cpu", "cpu.shares"), "256\n");
        EXPECT_EQ(file("cpu", "cpu.cfs_quota_us"), "20000\n");
    } else {
        EXPECT_EQ(file("cpu", "cpu.max"), "20000 100000\n");
    }
    EXPECT_TRUE(group->remove());
    EXPECT_TRUE(group->remove()); // absent is success
    for (const CgroupHierarchy& h : host_.hierarchies())
        EXPECT_FALSE(io::exists(h.mount_point + path_));
}

TEST_F(CgroupTest, MemoryLimitsMoveInBothDirections) {
    ResourceLimits limits;
    limits.memory_bytes = 64 << 20;
    limits.memory_swap_bytes = 64 << 20;
    const auto group = host_.create(path_, limits);
    ASSERT_TRUE(group) << group.error().to_string();
    limits.memory_bytes = limits.memory_swap_bytes = 128 << 20;
    ASSERT_TRUE(group->set_limits(limits));
    EXPECT_EQ(group->stats()->memory_limit_bytes, 128u << 20);
    limits.memory_bytes = limits.memory_swap_bytes = 32 << 20;
    ASSERT_TRUE(group->set_limits(limits));
    EXPECT_EQ(group->stats()->memory_limit_bytes, 32u << 20);
}

TEST_F(CgroupTest, CpusetsInheritWhatTheirParentHas) {
    if (!is_v1("cpuset")) GTEST_SKIP() << "v2 cpusets inherit by themselves";
    ResourceLimits limits;
    limits.cpuset_cpus = "0";
    const auto group = host_.create(path_ + "/inner", limits);
    ASSERT_TRUE(group) << group.error().to_string();
    member(*group);
    EXPECT_EQ(file("cpuset", "inner/cpuset.cpus"), "0\n");
}

TEST_F(CgroupTest, AControllerWhoseNameBeginsAnothersIsHandedDownToo) {
    if (is_v1("cpu") || is_v1("cpuset")) GTEST_SKIP() << "only v2 hands controllers down";
    const auto parent = host_.create(path_, {});
    ASSERT_TRUE(parent) << parent.error().to_string();
    const std::string control = parent->files().v2_folder + "/cgroup.subtree_control";
    ASSERT_TRUE(io::write_control_file(control, "+cpuset"));
    ResourceLimits limits;
    limits.cpu_quota_us = 20000;
    const auto group = host_.create(path_ + "/inner", limits);
    ASSERT_TRUE(group) << group.error().to_string();
    EXPECT_EQ(file("cpu", "inner/cpu.max"), "20000 100000\n");
}

TEST_F(CgroupTest, ALimitWhoseControllerIsNotHandedDownNamesTheGroupInTheWay) {
    if (is_v1("memory")) GTEST_SKIP() << "only v2 hands controllers down";
    const auto parent = host_.create(path_, {});
    ASSERT_TRUE(parent) << parent.error().to_string();
    member(*parent);
    ResourceLimits limits;
    limits.memory_bytes = 32 << 20;
    const auto group = host_.create(path_ + "/inner", limits);
    ASSERT_FALSE(group);
    EXPECT_EQ(group.error().code, Code::unsupported);
    EXPECT_THAT(group.error().to_string(), HasSubstr(path_ + " does not hand the memory"));
    EXPECT_THAT(group.error().to_string(), HasSubstr("move its own processes"));
    const auto unlimited = host_.create(path_ + "/inner", {});
    ASSERT_TRUE(unlimited) << unlimited.error().to_string();
    member(*unlimited); // which a group below a threaded one would refuse
}

TEST_F(CgroupTest, ACreationThatFailsLeavesNothing) {
    ResourceLimits limits;
    limits.cpuset_cpus = "4000-5000";
    const auto group = host_.create(path_ + "/deep/er", limits);
    ASSERT_FALSE(group);
    EXPECT_THAT(group.error().to_string(), HasSubstr("cpuset.cpus"));
    for (const CgroupHierarchy& h : host_.hierarchies())
        EXPECT_FALSE(io::exists(h.mount_point + path_));
}

TEST_F(CgroupTest, RefusesPathsThatLeaveTheHierarchyAndGroupsInUse) {
    EXPECT_EQ(host_.create("/a/../../b", {}).error().code, Code::invalid);
    EXPECT_EQ(host_.create("relative", {}).error().code, Code::invalid);
    const auto group = host_.create(path_, {});
    ASSERT_TRUE(group);
    member(*group);
    EXPECT_EQ(host_.create(path_, {}).error().code, Code::already_exists);
    EXPECT_TRUE(group->exists());
}

TEST_F(CgroupTest, AttachedProcessesAreMembersAndAreCounted) {
    const auto group = host_.create(path_, {});
    ASSERT_TRUE(group);
    const pid_t pid = member(*group);
    EXPECT_EQ(group->members().value(), std::vector<int>{pid});
    const auto threads = io::list_directory("/proc/" + std::to_string(pid) + "/task");
    EXPECT_EQ(group->stats()->pids, threads->size()); // one, but where a sanitizer adds its own
    EXPECT_EQ(host_.open(path_).members().value(),
              std::vector<int>{pid}); // found again after a restart
}

TEST_F(CgroupTest, FreezeStopsMembersAndKillReachesThemFrozen) {
    const auto group = host_.create(path_, {});
    ASSERT_TRUE(group);
    member(*group);
    member(*group);
    ASSERT_TRUE(group->freeze());
    EXPECT_TRUE(group->is_frozen().value());
    ASSERT_TRUE(group->kill_all());
    EXPECT_TRUE(group->members()->empty());
    EXPECT_TRUE(group->remove());
}

TEST_F(CgroupTest, RemoveWaitsForDyingMembersAndTakesGroupsBelow) {
    const auto group = host_.create(path_, {});
    const auto inner = host_.create(path_ + "/inner", {});
    ASSERT_TRUE(group && inner);
    const pid_t pid = member(*inner);
    kill(pid, SIGKILL);
    EXPECT_TRUE(group->remove());
    EXPECT_FALSE(inner->exists());
}

TEST_F(CgroupTest, DeviceRulesAreKept) {
    ResourceLimits limits;
    limits.devices = {DeviceRule{}, DeviceRule{true, 'c', 1, 3, "rwm"},
                      DeviceRule{true, 'c', 136, -1, "rw"}};
    const auto group = host_.create(path_, limits);
    ASSERT_TRUE(group) << group.error().to_string();
    if (!is_v1("devices"))
        GTEST_SKIP() << "v2 rules are a program; TheDeviceProgramDecides shows them";
    EXPECT_EQ(file("devices", "devices.list"), "c 1:3 rwm\nc 136:* rw\n");
}

TEST_F(CgroupTest, TheDeviceProgramDecides) {
    std::string unified;
    for (const CgroupHierarchy& h : host_.hierarchies())
        if (h.unified) unified = h.mount_point;
    if (unified.empty()) GTEST_SKIP() << "no cgroup v2 mounted";
    const auto group = host_.create(path_, {});
    ASSERT_TRUE(group);
    const std::string folder = unified + path_;
    // Twice: the second replaces the first in one step.
    ASSERT_TRUE(set_device_program(folder, {DeviceRule{}}));
    const auto set = set_device_program(folder, {DeviceRule{}, DeviceRule{true, 'c', 1, 3, "rwm"},
                                                 DeviceRule{true, 'c', 1, 5, "r"}});
    ASSERT_TRUE(set) << set.error().to_string();
    const pid_t pid = fork();
    if (pid == 0) {
        if (!group->attach(getpid())) _exit(100);
        int result = 0;
        if (open("/dev/null", O_RDWR) < 0) result |= 1;      // allowed
        if (open("/dev/zero", O_RDONLY) < 0) result |= 2;    // allowed for reading
        if (open("/dev/zero", O_RDWR) >= 0) result |= 4;     // not for writing
        if (open("/dev/random", O_RDONLY) >= 0) result |= 8; // not at all
        _exit(result);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(CgroupTest, KnowsTheHostAndOurOwnPlace) {
    EXPECT_FALSE(host_.hierarchies().empty());
    for (const CgroupHierarchy& h : host_.hierarchies())
        for (const std::string& controller : h.controllers) {
            EXPECT_TRUE(host_.has(controller));
            if (h.unified) continue;
            const auto own = host_.own_path(controller);
            ASSERT_TRUE(own) << controller;
            EXPECT_TRUE(own->starts_with("/"));
        }
}

} // namespace
} // namespace cloudlet::linux
