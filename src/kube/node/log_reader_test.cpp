#include "log_reader.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "cloudlet/io/file.h"
#include "log_stream.h"

namespace cloudlet::kube::node {
namespace {

using namespace std::chrono_literals;

std::string line(int number, const std::string& text, const char* flag = "F",
                 const char* stream = "stdout") {
    char time[64];
    snprintf(time, sizeof time, "2026-01-02T03:04:%02d.%09dZ", number / 10 % 60, number);
    return std::string(time) + " " + stream + " " + flag + " " + text + "\n";
}

LogOptions tail(int64_t lines) {
    LogOptions options;
    options.tail_lines = lines;
    return options;
}

LogOptions following() {
    LogOptions options;
    options.follow = true;
    return options;
}

class LogReaderTest : public testing::Test {
protected:
    LogReaderTest()
        : folder(io::make_temporary_directory("/tmp/cloudlet-log-").value()),
          path(folder + "/0.log") {}
    ~LogReaderTest() override { EXPECT_TRUE(io::remove_tree(folder)); }

    void append(const std::string& text) { EXPECT_TRUE(io::append_file(path, text)); }
    void rotate() {
        for (int i = 3; i >= 1; --i)
            if (io::exists(path + "." + std::to_string(i)))
                ::rename((path + "." + std::to_string(i)).c_str(),
                         (path + "." + std::to_string(i + 1)).c_str());
        ::rename(path.c_str(), (path + ".1").c_str());
    }
    std::string read(const LogOptions& options) {
        auto reader = LogReader::open(path, options);
        EXPECT_TRUE(reader);
        std::string out;
        EXPECT_TRUE(reader->read(out, 1 << 20));
        return out;
    }

    std::string folder, path;
};

TEST_F(LogReaderTest, ShowsLinesWithoutTheirPrefix) {
    append(line(1, "one") + line(2, "two", "F", "stderr") + line(3, "thr", "P") + line(4, "ee") +
           line(5, ""));
    EXPECT_EQ(read({}), "one\ntwo\nthree\n\n");
    LogOptions stamped = tail(2);
    stamped.timestamps = true;
    EXPECT_EQ(read(stamped),
              "2026-01-02T03:04:00.000000003Z three\n2026-01-02T03:04:00.000000005Z \n");
}

TEST_F(LogReaderTest, TailCountsWholeLinesAlsoOverRotatedFiles) {
    append(line(1, "one") + line(2, "two"));
    rotate();
    append(line(3, "three"));
    rotate();
    append(line(4, "fo", "P") + line(5, "ur") + line(6, "five"));
    EXPECT_EQ(read(tail(0)), "");
    EXPECT_EQ(read(tail(1)), "five\n");
    EXPECT_EQ(read(tail(2)), "four\nfive\n");
    EXPECT_EQ(read(tail(3)), "three\nfour\nfive\n");
    EXPECT_EQ(read(tail(4)), "two\nthree\nfour\nfive\n");
    EXPECT_EQ(read(tail(99)), "one\ntwo\nthree\nfour\nfive\n");
    EXPECT_EQ(read({}), "one\ntwo\nthree\nfour\nfive\n");
}

TEST_F(LogReaderTest, TailFindsLinesInAFileOfManyBlocks) {
    std::string text, want;
    for (int i = 0; i < 5000; ++i)
        text +=
            line(i, "number " + std::to_string(i) + std::string(static_cast<size_t>(i % 90), 'x'));
    append(text);
    for (int i = 3000; i < 5000; ++i)
        want +=
            "number " + std::to_string(i) + std::string(static_cast<size_t>(i % 90), 'x') + "\n";
    EXPECT_EQ(read(tail(2000)), want);
}

TEST_F(LogReaderTest, SinceAndLimitCutBothEnds) {
    append(line(1, "one") + line(20, "two") + line(30, "three"));
    LogOptions since, limited;
    since.since = parse_time("2026-01-02T03:04:02Z").value();
    EXPECT_EQ(read(since), "two\nthree\n");
    limited.limit_bytes = 6;
    EXPECT_EQ(read(limited), "one\ntw");
}

TEST_F(LogReaderTest, FollowsOverRotationsWithoutLosingALine) {
    append(line(1, "1"));
    auto reader = LogReader::open(path, following()).value();
    std::string out, want = "1\n";
    EXPECT_FALSE(reader.read(out, 1 << 20).value());
    for (int i = 2; i < 60; ++i) {
        append(line(i, std::to_string(i)));
        want += std::to_string(i) + "\n";
        if (i % 5 == 0) rotate();
        if (i % 8 != 0) continue; // at times two rotations lie between
        EXPECT_TRUE(reader.read(out, 1 << 20));
    }
    EXPECT_TRUE(reader.read(out, 1 << 20));
    EXPECT_EQ(out, want);
}

TEST_F(LogReaderTest, ATornOrForeignLineIsNotShown) {
    append("garbage\n" + line(1, "good") + "2026-01-02T03:04:05Z stdout F not yet");
    EXPECT_EQ(read({}), "good\n");
    EXPECT_FALSE(parse_log_line("2026 stdin F x"));
    EXPECT_FALSE(parse_log_line(""));
    EXPECT_FALSE(parse_log_line("2026 stdout X x"));
    EXPECT_TRUE(parse_log_line("2026 stdout F"));
}

/// Collects what a stream writes; wait_for() blocks until it is there.
class CollectingSink final : public LogSink {
public:
    bool write(std::string bytes) override {
        std::lock_guard lock(mutex);
        text += bytes;
        changed.notify_all();
        return true;
    }
    size_t queued_bytes() const override { return 0; }
    void finish() override {
        std::lock_guard lock(mutex);
        ended = true;
        changed.notify_all();
    }
    void fail(Error error) override {
        std::lock_guard lock(mutex);
        text += "ERROR " + error.to_string();
        ended = true;
        changed.notify_all();
    }
    void on_close(std::function<void()>) override {}
    bool wait_for(const std::string& wanted, bool end = false) {
        std::unique_lock lock(mutex);
        return changed.wait_for(lock, 20s, [&] { return text == wanted && (!end || ended); });
    }
    std::mutex mutex;
    std::condition_variable changed;
    std::string text;
    bool ended = false;
};

TEST_F(LogReaderTest, AStreamShowsNewLinesAsTheyComeAndEndsWithTheContainer) {
    auto loop = io::LoopThread::start("log").value();
    io::WorkerPool pool("log", 2, 100);
    auto sink = std::make_shared<CollectingSink>();
    std::atomic<bool> live{true};
    append(line(1, "first"));
    auto stream =
        LogStream::start(loop->loop(), pool, path, following(), sink, [&] { return live.load(); });
    ASSERT_TRUE(sink->wait_for("first\n"));
    append(line(2, "second"));
    ASSERT_TRUE(sink->wait_for("first\nsecond\n")) << sink->text;
    rotate();
    append(line(3, "third"));
    ASSERT_TRUE(sink->wait_for("first\nsecond\nthird\n")) << sink->text;
    live = false;
    stream->wake();
    EXPECT_TRUE(sink->wait_for("first\nsecond\nthird\n", true));
    pool.stop();
}

} // namespace
} // namespace cloudlet::kube::node
