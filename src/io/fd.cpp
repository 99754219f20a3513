#include "cloudlet/io/fd.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace cloudlet::io {

void UniqueFd::reset(int fd) {
    if (fd_ >= 0) {
        int saved = errno;
        ::close(fd_); // never retried: on Linux the descriptor is gone also after EINTR
        errno = saved;
    }
    fd_ = fd;
}

Result<Pipe> make_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe");
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<UniqueFd> duplicate(int fd) {
    int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return fail_errno("duplicate a descriptor");
    return UniqueFd(copy);
}

Result<> set_nonblocking(int fd, bool nonblocking) {
    int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0) return fail_errno("read descriptor flags");
    int wanted = nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    if (wanted != flags && ::fcntl(fd, F_SETFL, wanted) != 0)
        return fail_errno("set descriptor flags");
    return {};
}

void ignore_broken_pipes() {
    static const bool once = [] {
        struct sigaction present;
        // A handler that the program chose stays.
        if (sigaction(SIGPIPE, nullptr, &present) == 0 && present.sa_handler == SIG_DFL)
            signal(SIGPIPE, SIG_IGN);
        return true;
    }();
    static_cast<void>(once);
}

Result<> write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail_errno("write");
        bytes.remove_prefix(static_cast<size_t>(written));
    }
    return {};
}

Result<std::string> read_all(int fd, size_t limit) {
    std::string bytes;
    size_t used = 0;
    for (;;) {
        if (used > limit)
            return fail(Code::too_large, fmt::format("more than {} bytes to read", limit));
        if (bytes.size() - used < 4096) bytes.resize(std::max<size_t>(8192, bytes.size() * 2));
        ssize_t got = ::read(fd, bytes.data() + used, bytes.size() - used);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno("read");
        if (got == 0) break;
        used += static_cast<size_t>(got);
    }
    bytes.resize(used);
    return bytes;
}

static Result<> wait_for(int fd, short events, MonotonicTime deadline) {
    for (;;) {
        int timeout = -1;
        if (deadline != MonotonicTime::max()) {
            auto left =
                std::chrono::ceil<std::chrono::milliseconds>(deadline - system_clock().monotonic())
                    .count();
            timeout = static_cast<int>(std::clamp<int64_t>(left, 0, 1 << 30));
        }
        pollfd entry{fd, events, 0};
        int ready = ::poll(&entry, 1, timeout);
        if (ready > 0) return {};
        if (ready == 0) return fail(Code::timeout, "the deadline passed");
        if (errno != EINTR) return fail_errno("poll");
    }
}

Result<> wait_readable(int fd, MonotonicTime deadline) { return wait_for(fd, POLLIN, deadline); }
Result<> wait_writable(int fd, MonotonicTime deadline) { return wait_for(fd, POLLOUT, deadline); }

} // namespace cloudlet::io
