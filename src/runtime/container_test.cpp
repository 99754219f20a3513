// What a container sees and cannot do: namespaces, mounts, limits, credentials, and the escapes.

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>

#include "cloudlet/io/file.h"
#include "cloudlet/linux/mount.h"
#include "cloudlet/linux/namespace.h"
#include "test_world.h"

namespace cloudlet::runtime::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string host_namespace(const char* name) {
    char text[64] = {};
    const ssize_t n =
        readlink(fmt::format("/proc/self/ns/{}", name).c_str(), text, sizeof text - 1);
    return {text, n > 0 ? static_cast<size_t>(n) : 0};
}

TEST(Container, EveryNamespaceIsItsOwnSeenFromInsideAndOutside) {
    World world;
    Spec spec =
        world.shell("for n in mnt pid net ipc uts cgroup time; do readlink /proc/self/ns/$n; "
                    "done; hostname; sleep 100");
    spec.hostname = "box";
    spec.namespaces.push_back({linux::NamespaceKind::time, ""});
    auto spawned = world.spawn(spec);
    ASSERT_TRUE(spawned) << spawned.error().to_string();
    ASSERT_TRUE(spawned->connection.start());
    ASSERT_TRUE(eventually([&] { return world.output().find("box") != std::string::npos; }));
    for (const char* name : {"mnt", "pid", "net", "ipc", "uts", "cgroup", "time"}) {
        EXPECT_THAT(world.output(), Not(HasSubstr(host_namespace(name)))) << name;
        const auto outside = linux::namespace_id(fmt::format("/proc/{}/ns/{}", spawned->pid, name));
        ASSERT_TRUE(outside);
        EXPECT_THAT(world.output(), HasSubstr(fmt::format("[{}]", *outside))) << name;
    }
    EXPECT_TRUE(spawned->connection.shutdown());
}

TEST(Container, JoinsPinnedNamespacesByPath) {
    World world;
    const std::string net = world.folder() + "/net", uts = world.folder() + "/uts";
    ASSERT_TRUE(linux::make_pinned_namespaces(
        {{linux::NamespaceKind::network, net}, {linux::NamespaceKind::uts, uts}}, "pod-0"));
    Spec spec = world.shell("hostname; readlink /proc/self/ns/net");
    for (Namespace& ns : spec.namespaces) {
        if (ns.kind == linux::NamespaceKind::network) ns.path = net;
        if (ns.kind == linux::NamespaceKind::uts) ns.path = uts;
    }
    EXPECT_EQ(world.run(spec).exit_code, 0);
    EXPECT_EQ(world.output(), fmt::format("pod-0\nnet:[{}]\n", linux::namespace_id(net).value()));
    EXPECT_TRUE(linux::remove_pinned_namespace(net));
    EXPECT_TRUE(linux::remove_pinned_namespace(uts));
}

TEST(Container, OnlyTheThreeStandardDescriptorsReachTheProgram) {
    World world;
    // ls itself opens the folder: that one descriptor is gone when its link is read.
    world.run("for f in /proc/self/fd/*; do [ -e $f ] && echo ${f##*/}; done");
    EXPECT_EQ(world.output(), "0\n1\n2\n");
}

TEST(Container, TheHostsMountsAreGone) {
    World world;
    world.run("mount; ls /");
    EXPECT_THAT(world.output(), Not(HasSubstr(world.folder())));
    EXPECT_THAT(world.output(), Not(HasSubstr("/work")));
    const auto table = linux::read_mount_table().value();
    for (const auto& entry : table)
        EXPECT_THAT(entry.mount_point,
                    Not(HasSubstr(world.folder()))); // nor do ours reach the host
}

TEST(Container, MaskedFilesAreTheNullDeviceAndFoldersAreEmptyAndReadOnly) {
    World world;
    world.run("stat -c '%t:%T %F' /proc/keys; cat /proc/keys | wc -c; ls /sys/firmware | wc -l; "
              "touch /sys/firmware/x || echo refused; "
              "chmod 600 /proc/keys || echo kept");
    EXPECT_EQ(world.output(), "1:3 character special file\n0\n0\nrefused\nkept\n");
}

TEST(Container, ReadOnlyPathsCannotBeWrittenAndRemounted) {
    World world;
    world.run("echo 1 > /proc/sys/kernel/panic || echo refused; mount -o remount,rw /proc/sys || "
              "echo no; "
              "umount /proc/sys || echo no; echo b > /proc/sysrq-trigger || echo refused");
    EXPECT_EQ(world.output(), "refused\nno\nno\nrefused\n");
}

TEST(Container, ARootThatIsReadOnlyStaysSo) {
    World world;
    Spec spec = world.shell("touch /x || echo refused; touch /dev/shm/x && echo shm");
    spec.root_read_only = true;
    world.run(spec);
    EXPECT_EQ(world.output(), "refused\nshm\n");
}

TEST(Container, ASymbolicLinkInTheImageCannotLeadAMountOutOfTheRoot) {
    World world;
    const std::string outside = world.folder() + "/outside";
    ASSERT_TRUE(io::make_directories(outside));
    ASSERT_EQ(symlink(outside.c_str(), (world.root() + "/data").c_str()), 0);
    ASSERT_EQ(symlink("../../../../../..", (world.root() + "/up").c_str()), 0);
    Spec spec = world.shell("ls /data/; ls /up/deep");
    ASSERT_TRUE(io::make_directories(world.folder() + "/volume"));
    ASSERT_TRUE(io::write_file_atomic(world.folder() + "/volume/file", "x"));
    spec.mounts.push_back({"/data", "bind", world.folder() + "/volume", {"rbind"}});
    spec.mounts.push_back({"/up/deep", "bind", world.folder() + "/volume", {"bind"}});
    EXPECT_EQ(world.run(spec).exit_code, 0);
    EXPECT_EQ(world.output(), "file\nfile\n");
    EXPECT_TRUE(io::list_directory(outside)->empty());
    EXPECT_TRUE(io::is_directory(world.root() + outside)); // the link was followed inside the root
    EXPECT_TRUE(io::exists(world.root() + "/deep"));       // ".." ended at the container's root
    EXPECT_FALSE(io::exists("/deep"));
}

TEST(Container, ALinkAtProcIsRefusedAndSoIsAMountThatLeadsIntoProc) {
    World world;
    ASSERT_EQ(symlink("/proc/sys", (world.root() + "/sneaky").c_str()), 0);
    Spec spec = world.shell("true");
    spec.mounts.push_back({"/sneaky", "tmpfs", "tmpfs", {}});
    auto spawned = world.spawn(spec);
    ASSERT_FALSE(spawned);
    EXPECT_THAT(spawned.error().to_string(), HasSubstr("leads into /proc"));

    ASSERT_EQ(rmdir((world.root() + "/proc").c_str()), 0);
    ASSERT_EQ(symlink("/tmp", (world.root() + "/proc").c_str()), 0);
    spawned = world.spawn(world.shell("true"));
    ASSERT_FALSE(spawned);
    EXPECT_THAT(spawned.error().to_string(), HasSubstr("symbolic link"));
}

TEST(Container, AReadOnlyBindIsReadOnlyInItsWholeTree) {
    World world;
    const std::string volume = world.folder() + "/volume";
    ASSERT_TRUE(io::make_directories(volume + "/inner"));
    ASSERT_TRUE(linux::mount_filesystem("tmpfs", "tmpfs", volume + "/inner", 0, "size=64k"));
    Spec spec =
        world.shell("touch /v/x || echo no; touch /v/inner/x || echo no; touch /w/x && echo yes");
    spec.mounts.push_back({"/v", "bind", volume, {"rbind", "ro"}});
    spec.mounts.push_back({"/w", "bind", volume, {"rbind", "rw"}});
    world.run(spec);
    EXPECT_TRUE(linux::unmount(volume + "/inner"));
    EXPECT_EQ(world.output(), "no\nno\nyes\n");
}

TEST(Container, ASharedBindShowsItsMountsOnTheHostAndOthersDoNot) {
    World world;
    const std::string volume = world.folder() + "/volume";
    ASSERT_TRUE(io::make_directories(volume));
    ASSERT_TRUE(linux::mount_filesystem("tmpfs", "tmpfs", volume, 0, "size=64k"));
    ASSERT_EQ(mount(nullptr, volume.c_str(), nullptr, MS_SHARED, nullptr), 0);
    Spec spec = world.shell("mkdir /s/in /s/private; mount -t tmpfs none /s/in && "
                            "mount -t tmpfs none /p/private && echo mounted");
    spec.process.capabilities = Capabilities::of(linux::CapabilitySet::all());
    spec.seccomp.reset();
    spec.rootfs_propagation = "rshared";
    spec.mounts.push_back({"/s", "bind", volume, {"rbind", "rshared"}});
    spec.mounts.push_back({"/p", "bind", volume, {"rbind"}});
    world.run(spec);
    EXPECT_EQ(world.output(), "mounted\n");
    EXPECT_TRUE(linux::is_mount_point(volume + "/in").value());
    EXPECT_FALSE(linux::is_mount_point(volume + "/private").value());
    EXPECT_TRUE(linux::unmount_all(volume));
}

TEST(Container, CapabilitiesSeccompAndNoNewPrivilegesShowInItsStatus) {
    World world;
    Spec spec =
        world.shell("grep -E 'CapBnd|CapEff|CapPrm|NoNewPrivs|^Seccomp:' /proc/self/status");
    spec.process.no_new_privileges = true;
    world.run(spec);
    EXPECT_EQ(world.output(),
              "CapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n"
              "NoNewPrivs:\t1\nSeccomp:\t2\n");
}

TEST(Container, AskingForAllCapabilitiesGivesThoseThisHostHas) {
    World world;
    Spec spec = world.shell("grep CapEff /proc/self/status");
    spec.process.capabilities = Capabilities::of(linux::CapabilitySet::all());
    world.run(spec);
    EXPECT_EQ(world.output(),
              fmt::format("CapEff:\t{:016x}\n",
                          (linux::CapabilitySet::all() & world.host().capabilities.permitted &
                           world.host().capabilities.bounding)
                              .bits()));
}

TEST(Container, SeccompForbidsWhatTheDefaultProfileForbids) {
    World world;
    world.run("unshare -n true || echo refused; mount -t tmpfs none /tmp || echo refused; mknod "
              "/tmp/d c 1 3 && echo made");
    EXPECT_EQ(world.output(), "refused\nrefused\nmade\n");
}

TEST(Container, AFilterMustAllowWhatTheProgramNeedsAndNotWhatItsStartNeeds) {
    World world;
    Spec spec = world.shell("");
    spec.process.args = {"true"};
    spec.process.no_new_privileges = true;
    spec.seccomp = linux::SeccompProfile{};
    spec.seccomp->default_action = linux::SeccompAction::allow;
    spec.seccomp->rules.push_back({{"chdir", "getcwd", "faccessat", "faccessat2", "close_range",
                                    "sendmsg", "prctl", "capset"},
                                   linux::SeccompAction::error,
                                   1,
                                   {}});
    const ExitRecord end = world.run(spec);
    EXPECT_EQ(end.exit_code, 0) << end.error;
}

TEST(Container, RunsAsItsUserWithItsGroupsAndOwnsItsOutput) {
    World world;
    Spec spec = world.shell(
        "id -u; id -g; id -G; echo again > /proc/self/fd/1; grep CapEff /proc/self/status; pwd");
    spec.process.user = {1000, 1001, 0077u, {50}};
    spec.process.cwd = "/made/for/it";
    world.run(spec);
    EXPECT_EQ(world.output(),
              "1000\n1001\n1001 50\nagain\nCapEff:\t0000000000000000\n/made/for/it\n");
}

TEST(Container, DevicesOutsideTheListAreRefused) {
    World world;
    world.run("mknod /tmp/kmsg c 1 11; cat /tmp/kmsg; echo $?; head -c 4 /dev/zero | wc -c; echo x "
              "> /dev/full || echo full");
    EXPECT_THAT(world.output(), HasSubstr("1\n4\nfull\n"));
    EXPECT_THAT(world.output("stderr"), HasSubstr("Operation not permitted"));
}

TEST(Container, LimitsAreInTheCgroupsFiles) {
    World world;
    Spec spec = world.shell("sleep 100");
    spec.resources.memory_bytes = 64 << 20;
    spec.resources.memory_swap_bytes = 64 << 20;
    spec.resources.pids = 17;
    spec.resources.cpu_shares = 512;
    spec.resources.cpu_quota_us = 50000;
    auto spawned = world.spawn(spec);
    ASSERT_TRUE(spawned) << spawned.error().to_string();
    const auto stats = world.group->stats();
    ASSERT_TRUE(stats);
    EXPECT_EQ(stats->memory_limit_bytes, 64u << 20);
    EXPECT_EQ(stats->pids, 1u);
    EXPECT_EQ(world.group->members().value(), std::vector<int>{spawned->pid});
    EXPECT_TRUE(spawned->connection.shutdown());
}

TEST(Container, ResourceLimitsAreCutToWhatThisHostMayGive) {
    World world;
    Spec spec = world.shell("ulimit -n; ulimit -Hn");
    spec.process.rlimits = {{"RLIMIT_NOFILE", 512, ~uint64_t{0}}};
    world.run(spec);
    const Host& host = world.host();
    const bool may_raise = host.capabilities.effective.contains("CAP_SYS_RESOURCE");
    EXPECT_EQ(world.output(),
              fmt::format("512\n{}\n", may_raise ? host.max_open_files : host.hard_limits[7]));
}

TEST(Container, SysctlsOfItsNamespacesAreSetAndOthersRefused) {
    World world;
    Spec spec = world.shell("cat /proc/sys/net/ipv4/ip_unprivileged_port_start");
    spec.sysctl = {{"net.ipv4.ip_unprivileged_port_start", "77"}};
    world.run(spec);
    EXPECT_EQ(world.output(), "77\n");
    spec.sysctl = {{"kernel.panic", "1"}};
    const auto plan = compile_plan(spec, world.host(), {});
    ASSERT_FALSE(plan);
    EXPECT_THAT(plan.error().message, HasSubstr("whole machine"));
}

TEST(Container, TheInitProgramCannotBeWrittenFromInside) {
    World world;
    auto spawned = world.spawn(world.shell("true"));
    ASSERT_TRUE(spawned);
    const std::string exe = fmt::format("/proc/{}/exe", spawned->pid);
    EXPECT_FALSE(io::open_file(exe, O_WRONLY));
    EXPECT_FALSE(io::open_file(exe, O_RDWR));
    EXPECT_TRUE(spawned->connection.shutdown());
}

} // namespace
} // namespace cloudlet::runtime::testing
