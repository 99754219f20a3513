#include "session.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <optional>
#include <string_view>

namespace cloudlet::runtime {
namespace {

sigset_t session_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal :
         {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH, SIGALRM})
        sigaddset(&set, signal);
    return set;
}

// The status of `pid` once it is there; other children of ours are reaped on the way.
std::optional<int> collect(int pid) {
    int status = 0;
    std::optional<int> out;
    for (int ended = waitpid(-1, &status, WNOHANG); ended > 0;
         ended = waitpid(-1, &status, WNOHANG))
        if (ended == pid) out = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return out;
}

void copy_size(int terminal) {
    winsize size{};
    if (ioctl(0, TIOCGWINSZ, &size) == 0 && size.ws_row != 0) ioctl(terminal, TIOCSWINSZ, &size);
}

// Our own terminal in raw mode, so that every key reaches the container; restored at the end.
class RawTerminal {
public:
    RawTerminal() {
        if (tcgetattr(0, &saved_) != 0) return;
        raw_ = true;
        termios raw = saved_;
        cfmakeraw(&raw);
        tcsetattr(0, TCSANOW, &raw);
    }
    ~RawTerminal() {
        if (raw_) tcsetattr(0, TCSANOW, &saved_);
    }
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;

private:
    termios saved_{};
    bool raw_ = false;
};

// False at the end of the source.
bool relay(int from, int to) {
    char buffer[16384];
    const ssize_t n = ::read(from, buffer, sizeof buffer);
    if (n <= 0) return n < 0 && (errno == EINTR || errno == EAGAIN);
    return io::write_all(to, {buffer, static_cast<size_t>(n)}).has_value();
}

Result<int> plain_session(int pid) {
    const sigset_t set = session_signals();
    if (const auto status = collect(pid)) return *status;
    for (;;) {
        siginfo_t info{};
        const int signal = sigwaitinfo(&set, &info);
        if (signal < 0 && errno != EINTR) return fail_errno("wait for a signal");
        if (signal > 0 && signal != SIGCHLD && signal != SIGWINCH) ::kill(pid, signal);
        if (const auto status = collect(pid)) return *status;
    }
}

void drain(int terminal) {
    pollfd waiting{terminal, POLLIN, 0};
    while (::poll(&waiting, 1, 0) > 0 && (waiting.revents & POLLIN) != 0 && relay(terminal, 1)) {
    }
}

Result<int> terminal_session(int pid, int terminal) {
    const sigset_t set = session_signals();
    const io::UniqueFd signals(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals) return fail_errno("watch signals");
    const RawTerminal raw;
    copy_size(terminal);
    pollfd waiting[] = {{signals.get(), POLLIN, 0}, {terminal, POLLIN, 0}, {0, POLLIN, 0}};
    for (std::optional<int> status = collect(pid);; status = collect(pid)) {
        if (status) {
            drain(terminal);
            return *status;
        }
        if (::poll(waiting, 3, -1) < 0 && errno != EINTR)
            return fail_errno("wait for the terminal");
        if (waiting[1].revents != 0 && !relay(terminal, 1)) waiting[1].fd = -1;
        if (waiting[2].revents != 0 && !relay(0, terminal)) {
            // The end of our input is the end-of-file key of the container's terminal.
            static_cast<void>(io::write_all(terminal, "\x04"));
            waiting[2].fd = -1;
        }
        signalfd_siginfo info{};
        while (::read(signals.get(), &info, sizeof info) == sizeof info) {
            if (info.ssi_signo == SIGWINCH)
                copy_size(terminal);
            else if (info.ssi_signo != SIGCHLD)
                ::kill(pid, static_cast<int>(info.ssi_signo));
        }
    }
}

} // namespace

void block_session_signals() {
    const sigset_t set = session_signals();
    sigprocmask(SIG_BLOCK, &set, nullptr);
}

Result<int> stay_with(int pid, io::UniqueFd terminal) {
    return terminal ? terminal_session(pid, terminal.get()) : plain_session(pid);
}

} // namespace cloudlet::runtime
