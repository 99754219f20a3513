#include "log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "cloudlet/io/file.h"

namespace cloudlet::kube::node {

namespace {

constexpr size_t chunk = 64 << 10;
constexpr int most_rotated = 100;

uint64_t inode_of(int fd) {
    struct stat info {};
    return ::fstat(fd, &info) == 0 ? info.st_ino : 0;
}

uint64_t inode_of(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

/// The offset at which the last `lines` logical lines of a file begin, and how many it has of them
/// (fewer than asked for when the file is shorter).
struct Tail {
    int64_t offset = 0;
    int64_t lines = 0;
};

Result<Tail> find_tail(int fd, int64_t wanted) {
    struct stat info {};
    if (::fstat(fd, &info) != 0) return fail_errno("log");
    Tail tail;
    std::string buffer; // the file from `position` on, as far as it was looked at
    int64_t position = info.st_size;
    int64_t line_end = -1; // offset behind the newline of the line that is being scanned
    std::string block(chunk, '\0');
    std::string head; // bytes of the current line that lie in later blocks, first 64 only
    auto is_full = [](std::string_view line) {
        auto parsed = parse_log_line(line);
        return !parsed || !parsed->partial;
    };
    int64_t start_of_group = info.st_size;
    while (position > 0) {
        const int64_t size = std::min<int64_t>(position, chunk);
        position -= size;
        if (::pread(fd, block.data(), static_cast<size_t>(size), position) != size)
            return fail_errno("log");
        buffer.assign(block.data(), static_cast<size_t>(size));
        buffer += head;
        for (int64_t i = size - 1; i >= 0; --i) {
            if (block[static_cast<size_t>(i)] != '\n') continue;
            const int64_t begin = position + i + 1;
            if (line_end >= 0 && begin < line_end) {
                const auto line = std::string_view(buffer).substr(static_cast<size_t>(i) + 1);
                if (is_full(line.substr(0, line.find('\n')))) {
                    if (tail.lines == wanted) return Tail{start_of_group, wanted};
                    ++tail.lines;
                }
                start_of_group = begin;
            }
            line_end = begin;
            buffer.resize(static_cast<size_t>(i) + 1);
        }
        const size_t newline = buffer.find('\n');
        head = newline == std::string::npos ? std::move(buffer) : buffer.substr(0, newline + 1);
        if (head.size() > 256) head.resize(256); // its flag stands within
    }
    if (line_end > 0) {
        if (is_full(std::string_view(head).substr(0, head.find('\n')))) {
            if (tail.lines == wanted) return Tail{start_of_group, wanted};
            ++tail.lines;
        }
    }
    return Tail{0, tail.lines};
}

} // namespace

std::optional<LogLine> parse_log_line(std::string_view line) {
    const size_t time_end = line.find(' ');
    if (time_end == std::string_view::npos) return std::nullopt;
    const size_t stream_end = line.find(' ', time_end + 1);
    if (stream_end == std::string_view::npos) return std::nullopt;
    LogLine parsed;
    parsed.time = line.substr(0, time_end);
    parsed.stream = line.substr(time_end + 1, stream_end - time_end - 1);
    if (parsed.stream != "stdout" && parsed.stream != "stderr") return std::nullopt;
    const size_t flag_end = std::min(line.find(' ', stream_end + 1), line.size());
    const auto flag = line.substr(stream_end + 1, flag_end - stream_end - 1);
    if (!flag.starts_with('F') && !flag.starts_with('P')) return std::nullopt;
    parsed.partial = flag.starts_with('P');
    parsed.text = flag_end < line.size() ? line.substr(flag_end + 1) : std::string_view();
    return parsed;
}

std::vector<std::string> log_files(const std::string& path) {
    std::vector<std::string> files;
    for (int i = 1; i < most_rotated; ++i) {
        const std::string rotated = path + "." + std::to_string(i);
        if (!io::exists(rotated)) break;
        files.insert(files.begin(), rotated);
    }
    files.push_back(path);
    return files;
}

Result<LogReader> LogReader::open(const std::string& path, const LogOptions& options) {
    LogReader reader;
    reader.path_ = path;
    reader.options_ = options;
    reader.limit_ = options.limit_bytes;
    reader.queue_ = log_files(path);
    if (options.tail_lines) TRY(reader.skip_to_tail(*options.tail_lines));
    return reader;
}

/// Leaves in the queue the files that hold the last lines, and sets where to begin in the first.
Result<> LogReader::skip_to_tail(int64_t lines) {
    int64_t missing = lines;
    for (size_t i = queue_.size(); i > 0; --i) {
        auto fd = io::open_file(queue_[i - 1], O_RDONLY);
        if (!fd) {
            if (fd.error().code == Code::not_found) continue;
            return tl::unexpected(fd.error());
        }
        const Tail tail = TRY(find_tail(fd->get(), missing));
        missing -= tail.lines;
        if (missing > 0 && i > 1) continue;
        queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(i - 1));
        skip_bytes_ = tail.offset;
        return {};
    }
    return {};
}

/// Opens the next file to read; false when there is none (yet).
Result<bool> LogReader::next_file() {
    while (!queue_.empty()) {
        const std::string path = queue_.front();
        queue_.erase(queue_.begin());
        auto fd = io::open_file(path, O_RDONLY);
        if (!fd) {
            if (fd.error().code == Code::not_found) continue;
            return tl::unexpected(fd.error());
        }
        file_ = std::move(*fd);
        inode_ = inode_of(file_.get());
        if (skip_bytes_ > 0) ::lseek(file_.get(), std::exchange(skip_bytes_, 0), SEEK_SET);
        return true;
    }
    return false;
}

/// Everything known was read: puts the files that the log was rotated to since then into the queue.
bool LogReader::find_newer() {
    const uint64_t newest = inode_of(path_);
    if (newest == 0 || newest == inode_) return false;
    std::vector<std::string> files = log_files(path_);
    for (size_t i = 0; i < files.size(); ++i) {
        if (inode_of(files[i]) != inode_) continue;
        files.erase(files.begin(), files.begin() + static_cast<std::ptrdiff_t>(i + 1));
        break;
    }
    queue_ = std::move(files);
    return true;
}

void LogReader::emit(std::string_view line, std::string& out) {
    auto parsed = parse_log_line(line);
    if (!parsed) return;
    if (options_.since && !in_line_) {
        auto time = parse_time(parsed->time);
        if (time && *time < *options_.since) return;
    }
    std::string text;
    if (options_.timestamps && !in_line_) text = std::string(parsed->time) + " ";
    text += parsed->text;
    if (!parsed->partial) text += '\n';
    in_line_ = parsed->partial;
    if (limit_) {
        text.resize(std::min<size_t>(text.size(), static_cast<size_t>(*limit_)));
        *limit_ -= static_cast<int64_t>(text.size());
    }
    out += text;
}

Result<bool> LogReader::read(std::string& out, size_t budget) {
    const size_t begin = out.size();
    std::string buffer(chunk, '\0');
    while (!finished()) {
        if (!file_) {
            if (queue_.empty() && !find_newer()) return false;
            if (!TRY(next_file())) return false;
        }
        const ssize_t count = ::read(file_.get(), buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno("read " + path_);
        if (count == 0) {
            if (queue_.empty() && !find_newer()) return false;
            // A file gets no more lines once its successor exists; what came until then is read
            // first.
            if (!std::exchange(last_look_, true)) continue;
            if (!TRY(next_file())) return false;
            pending_.clear();
            continue;
        }
        last_look_ = false;
        pending_.append(buffer.data(), static_cast<size_t>(count));
        size_t done = 0;
        for (size_t end = pending_.find('\n'); end != std::string::npos && !finished();
             end = pending_.find('\n', done)) {
            emit(std::string_view(pending_).substr(done, end - done), out);
            done = end + 1;
        }
        pending_.erase(0, done);
        if (out.size() - begin >= budget) return true;
    }
    return false;
}

} // namespace cloudlet::kube::node
