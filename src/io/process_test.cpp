#include "cloudlet/io/process.h"

#include <csignal>
#include <fcntl.h>
#include <unistd.h>

#include "cloudlet/io/file.h"
#include "test_support.h"

namespace cloudlet::io {
namespace {

using namespace std::chrono_literals;

TEST(Process, RunCollectsBothOutputsAndTheStatus) {
    auto output = run({"sh", "-c", "cat; echo problem >&2; exit 3"}, 20s, "given");
    ASSERT_TRUE(output) << output.error().to_string();
    EXPECT_EQ(output->out, "given");
    EXPECT_EQ(output->err, "problem\n");
    EXPECT_EQ(output->exit_status.code, 3);
    EXPECT_EQ(output->exit_status.signal, 0);
}

TEST(Process, RunMovesMoreThanAPipeHoldsBothWays) {
    std::string input(1 << 20, 'z');
    auto output = run({"cat"}, 20s, input);
    ASSERT_TRUE(output) << output.error().to_string();
    EXPECT_EQ(output->out, input);
}

TEST(Process, AProgramThatIgnoresItsInputIsNoError) {
    auto output = run({"true"}, 20s, std::string(1 << 20, 'z'));
    ASSERT_TRUE(output) << output.error().to_string();
    EXPECT_TRUE(output->exit_status.ok());
}

TEST(Process, AMissingProgramIsNotFound) {
    auto output = run({"/nonexistent/program"}, 5s);
    ASSERT_FALSE(output);
    EXPECT_EQ(output.error().code, Code::not_found);
    EXPECT_THAT(output.error().to_string(), testing::HasSubstr("/nonexistent/program"));
}

TEST(Process, TheDeadlineKills) {
    auto output = run({"sleep", "1000"}, 50ms);
    ASSERT_FALSE(output);
    EXPECT_EQ(output.error().code, Code::timeout);
}

TEST(Process, AWaitThatTimesOutCanBeRepeated) {
    SpawnOptions options;
    options.argv = {"sleep", "1000"};
    auto child = spawn(options);
    ASSERT_TRUE(child) << child.error().to_string();
    EXPECT_EQ(wait(*child, 1ms).error().code, Code::timeout);
    ASSERT_TRUE(send_signal(*child, SIGTERM));
    auto status = wait(*child, 20s);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->signal, SIGTERM);
    EXPECT_EQ(status->code, 128 + SIGTERM);
    EXPECT_TRUE(send_signal(*child, SIGTERM));
}

TEST(Process, TheChildHasExactlyTheDescriptorsThatWereGiven) {
    TemporaryFolder folder;
    auto leak = ::open("/dev/null", O_RDONLY); // on purpose without O_CLOEXEC
    UniqueFd leaked(leak);
    auto first = open_file(folder / "first", O_WRONLY | O_CREAT);
    auto second = open_file(folder / "second", O_WRONLY | O_CREAT);
    SpawnOptions options;
    // Swapped: each takes the number that the other has on our side.
    options.fds = {{first->get(), second->get()}, {second->get(), first->get()}};
    auto out = make_pipe();
    options.fds.emplace_back(out->write_end.get(), 1);
    options.argv = {
        "sh", "-c",
        fmt::format("echo one >&{}; echo two >&{}; ls /proc/$$/fd", second->get(), first->get())};
    auto child = spawn(options);
    ASSERT_TRUE(child) << child.error().to_string();
    out->write_end.reset();
    auto listing = read_all(out->read_end.get(), 4096);
    ASSERT_TRUE(wait(*child, 20s)->ok());
    EXPECT_EQ(*read_file(folder / "first"), "one\n");
    EXPECT_EQ(*read_file(folder / "second"), "two\n");
    std::set<int> expected{0, 1, 2, first->get(), second->get()}, seen;
    std::string text = *listing;
    for (size_t at = 0; at < text.size();) {
        size_t end = text.find('\n', at);
        seen.insert(std::stoi(text.substr(at, end - at)));
        at = end + 1;
    }
    seen.erase(10); // dash keeps its script there
    EXPECT_EQ(seen, expected);
}

TEST(Process, TheChildStartsWithCleanSignalsFolderAndEnvironment) {
    ignore_broken_pipes();
    ASSERT_EQ(::setenv("CLOUDLET_TEST_A", "ours", 1), 0);
    ASSERT_EQ(::setenv("CLOUDLET_TEST_B", "kept", 1), 0);
    auto out = make_pipe();
    SpawnOptions options;
    options.argv = {
        "sh", "-c",
        "pwd; echo $CLOUDLET_TEST_A $CLOUDLET_TEST_B; grep -E 'Sig(Ign|Blk)' /proc/self/status"};
    options.env = {"CLOUDLET_TEST_A=theirs"};
    options.cwd = "/usr";
    options.fds = {{out->write_end.get(), 1}};
    options.new_session = true;
    auto child = spawn(options);
    ASSERT_TRUE(child);
    out->write_end.reset();
    auto text = read_all(out->read_end.get(), 4096);
    EXPECT_TRUE(wait(*child, 20s)->ok());
    EXPECT_THAT(*text,
                testing::StartsWith("/usr\ntheirs kept\nSigBlk:\t0000000000000000\nSigIgn:\t"));
    // glibc's posix_spawn leaves its own two signals (32 and 33) ignored.
    EXPECT_EQ(std::stoull(text->substr(text->rfind('\t') + 1), nullptr, 16) & 0x7fffffff, 0u)
        << *text;
}

TEST(Process, ThePidfdWakesAWatcher) {
    SpawnOptions options;
    options.argv = {"true"};
    auto child = spawn(options);
    ASSERT_TRUE(child);
    EXPECT_TRUE(wait_readable(child->pidfd.get(), system_clock().monotonic() + 20s));
    EXPECT_TRUE(wait(*child, 0ns)->ok());
}

} // namespace
} // namespace cloudlet::io
