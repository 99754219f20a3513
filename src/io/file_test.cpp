#include "cloudlet/io/file.h"

#include <thread>

#include <csignal>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_support.h"

namespace cloudlet::io {
namespace {

TEST(File, AnAtomicWriteReplacesTheWholeFileAndItsMode) {
    TemporaryFolder folder;
    ASSERT_TRUE(write_file_atomic(folder / "a", "first, longer", 0644));
    ASSERT_TRUE(write_file_atomic(folder / "a", "second", 0600));
    EXPECT_EQ(*read_file(folder / "a"), "second");
    struct stat facts;
    ASSERT_EQ(::stat((folder / "a").c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 07777, 0600u);
    EXPECT_EQ(list_directory(folder.path())->size(), 1u);
}

TEST(File, AReaderNeverSeesAHalfWrittenFile) {
    TemporaryFolder folder;
    std::string path = folder / "a", even(50'000, 'e'), odd(70'000, 'o');
    ASSERT_TRUE(write_file_atomic(path, even));
    std::atomic<bool> done = false;
    std::thread writer([&] {
        for (int i = 0; i < 40; ++i) EXPECT_TRUE(write_file_atomic(path, i % 2 ? odd : even));
        done = true;
    });
    while (!done) {
        auto seen = read_file(path);
        EXPECT_TRUE(seen && (*seen == even || *seen == odd));
    }
    writer.join();
}

TEST(File, AFailedAtomicWriteLeavesNothing) {
    TemporaryFolder folder;
    ASSERT_TRUE(make_directories(folder / "a/full"));
    auto written = write_file_atomic(folder / "a", "x"); // a folder that is not empty is in the way
    ASSERT_FALSE(written);
    EXPECT_THAT(written.error().to_string(), testing::HasSubstr("rename"));
    EXPECT_EQ(list_directory(folder.path())->size(), 1u);
}

TEST(File, WhatAKilledAtomicWriteLeftIsSweptAndNothingElse) {
    TemporaryFolder folder;
    pid_t child = fork();
    if (child ==
        0) { // a write that never ends, by the look of it: killed at the first byte of many
        struct rlimit small = {1, 1};
        ::setrlimit(RLIMIT_FSIZE, &small);
        ::signal(SIGXFSZ, SIG_DFL);
        static_cast<void>(write_file_atomic(folder / "a", "more than one byte"));
        ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    ASSERT_EQ(list_directory(folder.path())->size(), 1u);
    for (const char* kept :
         {".a.tmp-", ".a.tmp-0123456789aX", "a.tmp-0123456789ab", ".tmp-0123456789ab"})
        ASSERT_TRUE(append_file(folder / kept, "kept"));
    ASSERT_TRUE(sweep_temporary_files(folder.path()));
    EXPECT_THAT(*list_directory(folder.path()),
                testing::UnorderedElementsAre(".a.tmp-", ".a.tmp-0123456789aX",
                                              "a.tmp-0123456789ab", ".tmp-0123456789ab"));
    EXPECT_TRUE(sweep_temporary_files(folder / "absent"));
}

TEST(File, AFullDiskIsAnErrorThatSaysSo) {
    auto written = append_file("/dev/full", "x");
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, Code::exhausted);
    EXPECT_THAT(written.error().to_string(), testing::HasSubstr("/dev/full"));
}

TEST(File, ReadsFilesOfUnknownSizeAndRespectsItsLimit) {
    EXPECT_THAT(*read_file("/proc/self/status"), testing::HasSubstr("Name:"));
    TemporaryFolder folder;
    ASSERT_TRUE(write_file_atomic(folder / "a", std::string(1000, 'x')));
    EXPECT_TRUE(read_file(folder / "a", 1000));
    EXPECT_EQ(read_file(folder / "a", 999).error().code, Code::too_large);
    EXPECT_EQ(read_file(folder / "b").error().code, Code::not_found);
}

TEST(File, AppendsAndMakesFolders) {
    TemporaryFolder folder;
    ASSERT_TRUE(make_directories(folder / "x/y/z"));
    ASSERT_TRUE(make_directories(folder / "x/y/z"));
    ASSERT_TRUE(append_file(folder / "x/y/z/log", "one\n"));
    ASSERT_TRUE(append_file(folder / "x/y/z/log", "two\n"));
    EXPECT_EQ(*read_file(folder / "x/y/z/log"), "one\ntwo\n");
    auto blocked = make_directories(folder / "x/y/z/log/below");
    ASSERT_FALSE(blocked);
    EXPECT_THAT(blocked.error().to_string(), testing::HasSubstr("log is in the way"));
}

TEST(RemoveTree, RemovesAllBelowButWhatLinksPointTo) {
    TemporaryFolder folder;
    ASSERT_TRUE(make_directories(folder / "tree/a/b"));
    ASSERT_TRUE(make_directories(folder / "other"));
    ASSERT_TRUE(write_file_atomic(folder / "other/kept", "x"));
    ASSERT_TRUE(write_file_atomic(folder / "tree/a/file", "x"));
    ASSERT_EQ(::symlink("../../other", (folder / "tree/a/link").c_str()), 0);
    ASSERT_EQ(::symlink("other", (folder / "top").c_str()), 0);
    EXPECT_TRUE(remove_tree(folder / "tree/"));
    EXPECT_TRUE(remove_tree(folder / "top"));
    EXPECT_TRUE(remove_tree(folder / "never-was"));
    EXPECT_TRUE(remove_tree(folder / "never/was"));
    EXPECT_FALSE(exists(folder / "tree"));
    EXPECT_FALSE(exists(folder / "top"));
    EXPECT_TRUE(exists(folder / "other/kept"));
    EXPECT_FALSE(remove_tree(folder / "other/.."));
}

/// An unmount that happens also when the test fails.
struct BindMount {
    std::string at;
    bool made;
    BindMount(const std::string& source, std::string target)
        : at(std::move(target)),
          made(::mount(source.c_str(), at.c_str(), nullptr, MS_BIND, nullptr) == 0) {}
    ~BindMount() {
        if (made) ::umount2(at.c_str(), MNT_DETACH);
    }
};

TEST(RemoveTree, StopsAtAMountPointAndNamesIt) {
    TemporaryFolder folder;
    ASSERT_TRUE(make_directories(folder / "kept"));
    ASSERT_TRUE(write_file_atomic(folder / "kept/file", "x"));
    ASSERT_TRUE(make_directories(folder / "tree/sub/point"));
    ASSERT_TRUE(write_file_atomic(folder / "tree/sub/file", "x"));
    {
        BindMount bind(folder / "kept", folder / "tree/sub/point");
        if (!bind.made) GTEST_SKIP() << "mounting needs CAP_SYS_ADMIN";
        auto removed = remove_tree(folder / "tree");
        ASSERT_FALSE(removed);
        EXPECT_EQ(removed.error().os_errno, EBUSY);
        EXPECT_THAT(removed.error().to_string(),
                    testing::HasSubstr("tree/sub/point: it is a mount point"));
        EXPECT_FALSE(exists(folder / "tree/sub/file"));
        EXPECT_FALSE(remove_tree(folder / "tree/sub/point"));
    }
    EXPECT_TRUE(exists(folder / "kept/file"));
    EXPECT_TRUE(remove_tree(folder / "tree"));
}

TEST(RemoveTree, GoesDeeperThanDescriptorsAllow) {
    TemporaryFolder folder;
    ASSERT_TRUE(make_directories(folder / "tree"));
    auto here = open_file(folder / "tree", O_PATH | O_DIRECTORY);
    for (int depth = 0; depth < 3000; ++depth) {
        ASSERT_EQ(::mkdirat(here->get(), "d", 0755), 0);
        here = UniqueFd(::openat(here->get(), "d", O_PATH | O_DIRECTORY | O_CLOEXEC));
    }
    EXPECT_TRUE(remove_tree(folder / "tree"));
    EXPECT_FALSE(exists(folder / "tree"));
}

TEST(FileLock, ASecondHolderIsToldWhoHasIt) {
    TemporaryFolder folder;
    {
        auto first = FileLock::acquire(folder / "lock");
        ASSERT_TRUE(first);
        auto second = FileLock::acquire(folder / "lock");
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error().code, Code::conflict);
        EXPECT_THAT(second.error().message,
                    testing::HasSubstr(fmt::format("process {}", ::getpid())));
    }
    EXPECT_TRUE(FileLock::acquire(folder / "lock"));
}

/// A process that shares the lock of `path`, as a child does between fork and exec. It lets go when
/// somebody reads the holder's name, that is, after he was refused.
pid_t share_until_asked(const FileLock&, const std::string& path) {
    auto events = UniqueFd(::inotify_init1(IN_CLOEXEC));
    EXPECT_GE(::inotify_add_watch(events.get(), path.c_str(), IN_ACCESS), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        char event[512];
        ::_exit(::read(events.get(), event, sizeof event) > 0 ? 0 : 1);
    }
    return child;
}

TEST(FileLock, WaitsForTheChildThatAKilledHolderWasStarting) {
    TemporaryFolder folder;
    const pid_t gone = ::fork();
    if (gone == 0) ::_exit(0);
    ASSERT_EQ(::waitpid(gone, nullptr, 0), gone);
    auto held = FileLock::acquire(folder / "lock").value();
    ASSERT_EQ(::truncate((folder / "lock").c_str(), 0), 0);
    ASSERT_TRUE(append_file(folder / "lock", fmt::format("{}\n", gone)));
    const pid_t child = share_until_asked(held, folder / "lock");
    { const FileLock dropped = std::move(held); }
    const auto next = FileLock::acquire(folder / "lock");
    EXPECT_TRUE(next) << next.error().to_string();
    EXPECT_EQ(*read_file(folder / "lock"), fmt::format("{}\n", ::getpid()));
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

TEST(UniqueFd, ClosesWhatItOwnsOnce) {
    auto pipe = make_pipe();
    ASSERT_TRUE(pipe);
    int number = pipe->write_end.get();
    UniqueFd moved = std::move(pipe->write_end);
    EXPECT_FALSE(pipe->write_end);
    EXPECT_EQ(moved.get(), number);
    moved.reset();
    EXPECT_EQ(*read_all(pipe->read_end.get(), 10), "");
}

} // namespace
} // namespace cloudlet::io
