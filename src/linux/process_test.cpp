// Capabilities, processes by identity, and seccomp filters.

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cloudlet/io/file.h"
#include "cloudlet/linux/capability.h"
#include "cloudlet/linux/pidfd.h"
#include "cloudlet/linux/seccomp.h"

namespace cloudlet::linux {
namespace {

TEST(Capability, NamesAndNumbersAgree) {
    const auto set = CapabilitySet::from_names({"CAP_NET_ADMIN", "sys_admin", "Chown"});
    ASSERT_TRUE(set);
    EXPECT_EQ(set->bits(), (1u << 12) | (1u << 21) | 1u);
    EXPECT_THAT(set->names(),
                ::testing::ElementsAre("CAP_CHOWN", "CAP_NET_ADMIN", "CAP_SYS_ADMIN"));
    EXPECT_EQ(CapabilitySet::from_names({"CAP_NONSENSE"}).error().code, Code::invalid);
    EXPECT_EQ(default_container_capabilities().bits(), 0xa80425fbu);
    EXPECT_EQ((CapabilitySet::all() & *set), *set);
    EXPECT_TRUE(set->without(*set).empty());
}

TEST(Capability, HeldSetsAreWhatTheKernelSays) {
    const auto held = held_capabilities();
    ASSERT_TRUE(held);
    EXPECT_EQ(held->effective & held->permitted, held->effective);
}

TEST(Process, AnEndedProcessIsNeverTakenForAnother) {
    const pid_t pid = fork();
    if (pid == 0)
        for (;;) pause();
    const auto identity = identify_process(pid);
    ASSERT_TRUE(identity);
    EXPECT_TRUE(is_running(*identity));
    const auto pidfd = open_identified(*identity);
    ASSERT_TRUE(pidfd);
    EXPECT_FALSE(
        open_identified({pid, identity->start_time + 1})); // the pid lives, but is another's
    EXPECT_TRUE(send_signal(pidfd->get(), SIGKILL));
    siginfo_t info{};
    waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
    EXPECT_FALSE(is_running(*identity)); // a zombie has ended
    EXPECT_FALSE(open_identified(*identity));
    waitpid(pid, nullptr, 0);
    EXPECT_EQ(send_signal(pidfd->get(), SIGTERM).error().code, Code::not_found);
    EXPECT_EQ(identify_process(pid).error().code, Code::not_found);
}

TEST(Process, SignalsHaveNamesInEverySpelling) {
    EXPECT_EQ(parse_signal("TERM").value(), SIGTERM);
    EXPECT_EQ(parse_signal("sigkill").value(), SIGKILL);
    EXPECT_EQ(parse_signal("10").value(), 10);
    EXPECT_FALSE(parse_signal("65"));
    EXPECT_FALSE(parse_signal("SIGNOTHING"));
    EXPECT_FALSE(parse_signal(""));
}

// Loads the filter in a child and returns the errno that a call gives there (0: it worked).
int errno_under(const SeccompFilter& filter, long number, long a = 0, long b = 0) {
    const pid_t pid = fork();
    if (pid == 0) {
        sock_fprog program{
            static_cast<unsigned short>(filter.program.size() / sizeof(sock_filter)),
            reinterpret_cast<sock_filter*>(const_cast<char*>(filter.program.data()))};
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter.flags, &program) != 0) _exit(255);
        _exit(syscall(number, a, b, 0, 0, 0, 0) < 0 ? errno : 0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

TEST(Seccomp, TheDefaultProfileAllowsDeniesAndAdmitsIgnorance) {
    const auto filter = compile_seccomp(default_seccomp_profile(default_container_capabilities()));
    ASSERT_TRUE(filter) << filter.error().to_string();
    EXPECT_EQ(errno_under(*filter, SYS_getpid), 0);
    EXPECT_EQ(errno_under(*filter, SYS_unshare, 0), EPERM);
    EXPECT_EQ(errno_under(*filter, SYS_keyctl, 0), EPERM);
    EXPECT_EQ(errno_under(*filter, SYS_clone3), ENOSYS);       // so that a libc falls back to clone
    EXPECT_EQ(errno_under(*filter, 9999), ENOSYS);             // newer than the profile
    EXPECT_EQ(errno_under(*filter, SYS_socket, 40, 1), EPERM); // AF_VSOCK
    EXPECT_EQ(errno_under(*filter, SYS_chroot), EFAULT);       // allowed with CAP_SYS_CHROOT
}

TEST(Seccomp, ADamagedKeptFilterIsCompiledAnew) {
    const std::string folder = io::make_temporary_directory("/tmp/seccomp-test-").value();
    keep_compiled_seccomp_in(folder);
    SeccompProfile profile;
    profile.default_action = SeccompAction::allow;
    profile.rules.push_back({{"getpgid"}, SeccompAction::error, 91, {}});
    const auto first = compile_seccomp(profile);
    keep_compiled_seccomp_in("");
    ASSERT_TRUE(first);
    const auto files = io::list_directory(folder).value();
    ASSERT_EQ(files.size(), 1u);
    const std::string kept = io::read_file(folder + "/" + files[0]).value();
    EXPECT_EQ(kept.substr(kept.size() - first->program.size()), first->program);

    const auto forget = [&] { // memory keeps 64 filters and then starts anew
        for (unsigned other = 100; other < 170; other++) {
            SeccompProfile filler = profile;
            filler.rules[0].errno_value = other;
            ASSERT_TRUE(compile_seccomp(filler));
        }
        keep_compiled_seccomp_in(folder);
    };
    forget();
    EXPECT_EQ(compile_seccomp(profile)->program, first->program); // from the file
    keep_compiled_seccomp_in("");
    for (const std::string& damaged :
         {kept.substr(0, kept.size() - 3), kept.substr(0, 10), "x" + kept}) {
        ASSERT_TRUE(io::write_file_atomic(folder + "/" + files[0], damaged));
        ASSERT_TRUE(io::append_file(folder + "/.half.tmp-0123456789ab", "killed on the way"));
        forget();
        EXPECT_EQ(compile_seccomp(profile)->program, first->program);
        EXPECT_EQ(io::read_file(folder + "/" + files[0]).value(), kept); // and is whole again
        EXPECT_EQ(io::list_directory(folder)->size(), 1u);
        keep_compiled_seccomp_in("");
    }
    EXPECT_TRUE(io::remove_tree(folder));
}

TEST(Seccomp, CapabilitiesOpenTheCallsTheyAreFor) {
    const auto narrow = default_seccomp_profile(CapabilitySet());
    const auto wide = default_seccomp_profile(CapabilitySet::all());
    EXPECT_EQ(errno_under(compile_seccomp(narrow).value(), SYS_chroot), EPERM);
    EXPECT_EQ(errno_under(compile_seccomp(wide).value(), SYS_unshare, 0), 0);
    EXPECT_NE(fingerprint(narrow), fingerprint(wide));
}

TEST(Seccomp, ArgumentsAndErrnosAreHonoured) {
    SeccompProfile profile;
    profile.default_action = SeccompAction::allow;
    profile.rules.push_back({{"getpriority", "no_such_call"},
                             SeccompAction::error,
                             77,
                             {{0, 1, 0, SeccompArgument::Compare::equal}}});
    profile.rules.push_back({{"getpgid"},
                             SeccompAction::error,
                             78,
                             {{0, 0xf0, 0x10, SeccompArgument::Compare::masked_equal}}});
    const auto filter = compile_seccomp(profile);
    ASSERT_TRUE(filter);
    EXPECT_EQ(errno_under(*filter, SYS_getpriority, 1), 77);
    EXPECT_EQ(errno_under(*filter, SYS_getpriority, 0), 0);
    EXPECT_EQ(errno_under(*filter, SYS_getpgid, 0x15), 78);
    profile.flags = {"SECCOMP_FILTER_FLAG_WHAT"};
    EXPECT_EQ(compile_seccomp(profile).error().code, Code::invalid);
    profile.flags = {};
    profile.architectures = {"SCMP_ARCH_Z80"};
    EXPECT_EQ(compile_seccomp(profile).error().code, Code::invalid);
}

} // namespace
} // namespace cloudlet::linux
