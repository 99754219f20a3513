#include "cloudlet/linux/pidfd.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>

#include <fmt/format.h>

#include "cloudlet/io/file.h"

namespace cloudlet::linux {
namespace {

struct ProcessStat {
    char state = '?';
    uint64_t start_time = 0;
};

// /proc/<pid>/stat: the name in parentheses may hold anything, so count from the last ')'.
Result<ProcessStat> read_stat(int pid) {
    auto text = io::read_file(fmt::format("/proc/{}/stat", pid), 4096);
    if (!text) return fail(Code::not_found, fmt::format("process {} does not exist", pid));
    const size_t close = text->rfind(')');
    if (close == std::string::npos || close + 2 >= text->size())
        return fail(Code::internal, fmt::format("/proc/{}/stat has an unknown form", pid));
    ProcessStat out;
    out.state = (*text)[close + 2];
    size_t at = close + 2;
    for (int field = 3; field < 22 && at != std::string::npos; field++) {
        at = text->find(' ', at);
        if (at != std::string::npos) at++;
    }
    if (at == std::string::npos)
        return fail(Code::internal, fmt::format("/proc/{}/stat is too short", pid));
    std::from_chars(text->data() + at, text->data() + text->size(), out.start_time);
    return out;
}

bool ended(const ProcessStat& stat) { return stat.state == 'Z' || stat.state == 'X'; }

constexpr std::pair<std::string_view, int> kSignals[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},       {"QUIT", SIGQUIT}, {"ILL", SIGILL},
    {"TRAP", SIGTRAP}, {"ABRT", SIGABRT},     {"BUS", SIGBUS},   {"FPE", SIGFPE},
    {"KILL", SIGKILL}, {"USR1", SIGUSR1},     {"SEGV", SIGSEGV}, {"USR2", SIGUSR2},
    {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},     {"TERM", SIGTERM}, {"STKFLT", SIGSTKFLT},
    {"CHLD", SIGCHLD}, {"CONT", SIGCONT},     {"STOP", SIGSTOP}, {"TSTP", SIGTSTP},
    {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},     {"URG", SIGURG},   {"XCPU", SIGXCPU},
    {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH},
    {"IO", SIGIO},     {"PWR", SIGPWR},       {"SYS", SIGSYS}};

} // namespace

Result<io::UniqueFd> open_pidfd(int pid) {
    const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    if (fd >= 0) return io::UniqueFd(fd);
    if (errno == ESRCH) return fail(Code::not_found, fmt::format("process {} does not exist", pid));
    return fail_errno(fmt::format("open process {}", pid));
}

Result<> send_signal(int pidfd, int signal) {
    if (syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0) return {};
    if (errno == ESRCH) return fail(Code::not_found, "the process has ended");
    return fail_errno(fmt::format("send signal {}", signal));
}

Result<ProcessIdentity> identify_process(int pid) {
    const ProcessStat stat = TRY(read_stat(pid));
    return ProcessIdentity{pid, stat.start_time};
}

Result<io::UniqueFd> open_identified(const ProcessIdentity& identity) {
    io::UniqueFd fd = TRY(open_pidfd(identity.pid));
    // Read after the pidfd is held: the pid cannot change its owner between the two looks.
    const auto stat = read_stat(identity.pid);
    if (!stat || ended(*stat) || stat->start_time != identity.start_time)
        return fail(Code::not_found, fmt::format("process {} has ended", identity.pid));
    return fd;
}

bool is_running(const ProcessIdentity& identity) {
    const auto stat = read_stat(identity.pid);
    return stat && !ended(*stat) && stat->start_time == identity.start_time;
}

Result<int> parse_signal(std::string_view text) {
    int number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size() && number >= 0 && number < 65)
        return number;
    std::string name(text);
    for (char& c : name)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (name.starts_with("SIG")) name.erase(0, 3);
    for (const auto& [known, value] : kSignals)
        if (name == known) return value;
    return fail(Code::invalid, fmt::format("unknown signal \"{}\"", text));
}

} // namespace cloudlet::linux
