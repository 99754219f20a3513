#pragma once
// A file descriptor with one owner, and the few calls every user of descriptors needs.

#include <string>
#include <string_view>
#include <utility>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"

namespace cloudlet::io {

/// Owns one descriptor and closes it; -1 owns nothing. Move-only. Not thread-safe.
class UniqueFd {
public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : fd_(fd) {}
    ~UniqueFd() { reset(); }
    UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        if (this != &other) reset(other.release());
        return *this;
    }
    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;

    int get() const { return fd_; }
    /// Gives the descriptor up without closing it.
    int release() { return std::exchange(fd_, -1); }
    /// Closes the present descriptor and takes another. errno is kept.
    void reset(int fd = -1);
    explicit operator bool() const { return fd_ >= 0; }

private:
    int fd_ = -1;
};

struct Pipe {
    UniqueFd read_end;
    UniqueFd write_end;
};

/// A pipe whose ends are both close-on-exec (and blocking).
Result<Pipe> make_pipe();

/// A second descriptor for the same open file, close-on-exec.
Result<UniqueFd> duplicate(int fd);

Result<> set_nonblocking(int fd, bool nonblocking);

/// A write to a pipe or socket without a reader becomes EPIPE instead of a signal, in the whole
/// process. Every part that writes to peers calls it; children start with the default again.
void ignore_broken_pipes();

/// Writes everything to a blocking descriptor; a short write is continued, EINTR retried.
Result<> write_all(int fd, std::string_view bytes);

/// Reads until the end of the file. Error: Code::too_large beyond `limit` bytes.
Result<std::string> read_all(int fd, size_t limit);

/// Waits until the descriptor is readable (or at its end). Error: Code::timeout.
Result<> wait_readable(int fd, MonotonicTime deadline);
Result<> wait_writable(int fd, MonotonicTime deadline);

} // namespace cloudlet::io
