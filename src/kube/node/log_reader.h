#pragma once
// Reads container logs in the CRI format, over rotated files: "<time> <stream> <F|P> <text>\n",
// where P is a part of a line and F its last part (Kubernetes, "CRI logging"; our monitor writes
// it).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/io/fd.h"
#include "cloudlet/kube/node_connector.h"

namespace cloudlet::kube::node {

struct LogLine {
    std::string_view time;
    std::string_view stream; // "stdout" or "stderr"
    bool partial = false;    // the next line of the same stream goes on with it
    std::string_view text;
};
/// Without its final newline. Nothing for a line that is not in the format.
std::optional<LogLine> parse_log_line(std::string_view line);

/// A log's files, oldest first: path.3, path.2, path.1, path.
std::vector<std::string> log_files(const std::string& path);

/// Follows one log from where the options say. Not thread-safe.
class LogReader {
public:
    /// A log that does not exist yet is empty.
    static Result<LogReader> open(const std::string& path, const LogOptions& options);

    /// Appends up to about `budget` bytes of what the user sees to `out`. False: nothing more there
    /// now (in a torn last line the rest waits for its newline). Goes on to newer files as the log
    /// rotates.
    Result<bool> read(std::string& out, size_t budget);
    /// True once limit_bytes was reached: nothing follows.
    bool finished() const { return limit_ && *limit_ <= 0; }

private:
    Result<> skip_to_tail(int64_t lines);
    Result<bool> next_file();
    bool find_newer();
    void emit(std::string_view line, std::string& out);

    std::string path_;
    LogOptions options_;
    std::vector<std::string> queue_; // rotated files still to be read, oldest first
    io::UniqueFd file_;
    uint64_t inode_ = 0;
    std::string pending_;    // the start of a line that is not complete
    int64_t skip_bytes_ = 0; // of the first file
    std::optional<int64_t> limit_;
    bool in_line_ = false;   // the last emitted part was partial
    bool last_look_ = false; // the end was reached after a newer file had been seen
};

} // namespace cloudlet::kube::node
