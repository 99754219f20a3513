#include "cloudlet/io/process.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace cloudlet::io {
namespace {

constexpr size_t max_output = 16 << 20;

/// posix_spawn's two argument objects, destroyed together.
struct SpawnPlan {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    std::vector<UniqueFd> sources; // our copies, numbered above every number the child uses

    SpawnPlan() {
        posix_spawn_file_actions_init(&actions);
        posix_spawnattr_init(&attributes);
    }
    ~SpawnPlan() {
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
    }
    SpawnPlan(const SpawnPlan&) = delete;
    SpawnPlan& operator=(const SpawnPlan&) = delete;

    Result<> place_descriptors(const std::vector<std::pair<int, int>>& fds);
    void set_attributes(const SpawnOptions& options);
};

/// The wanted numbers may be numbers that we use: copy above all of them first, then dup2
/// downwards.
Result<> SpawnPlan::place_descriptors(const std::vector<std::pair<int, int>>& fds) {
    int top = 2;
    for (const auto& [ours, theirs] : fds) top = std::max(top, theirs);
    std::vector<bool> taken(static_cast<size_t>(top) + 1);
    for (const auto& [ours, theirs] : fds) {
        if (theirs < 0 || taken[static_cast<size_t>(theirs)])
            return fail(
                Code::invalid,
                fmt::format("descriptor {} of the child is given twice or negative", theirs));
        taken[static_cast<size_t>(theirs)] = true;
        int copy = ::fcntl(ours, F_DUPFD_CLOEXEC, top + 1);
        if (copy < 0) return fail_errno(fmt::format("pass descriptor {} to a child", ours));
        sources.emplace_back(copy);
        posix_spawn_file_actions_adddup2(&actions, copy, theirs);
    }
    for (int number = 0; number <= top; ++number) {
        if (taken[static_cast<size_t>(number)]) continue;
        if (number <= 2) {
            posix_spawn_file_actions_addopen(&actions, number, "/dev/null",
                                             number == 0 ? O_RDONLY : O_WRONLY, 0);
        } else {
            posix_spawn_file_actions_addclose(&actions, number);
        }
    }
    posix_spawn_file_actions_addclosefrom_np(&actions, top + 1);
    return {};
}

void SpawnPlan::set_attributes(const SpawnOptions& options) {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (options.new_session) flags |= POSIX_SPAWN_SETSID;
    posix_spawnattr_setflags(&attributes, static_cast<short>(flags));
    if (!options.cwd.empty()) posix_spawn_file_actions_addchdir_np(&actions, options.cwd.c_str());
}

std::string_view name_of_variable(std::string_view variable) {
    return variable.substr(0, variable.find('='));
}

bool sets(const std::vector<std::string>& env, std::string_view name) {
    return std::any_of(env.begin(), env.end(),
                       [&](const std::string& ours) { return name_of_variable(ours) == name; });
}

std::vector<std::string> environment_of(const SpawnOptions& options) {
    std::vector<std::string> result = options.env;
    if (!options.inherit_environment) return result;
    for (char** variable = environ; variable && *variable; ++variable)
        if (!sets(options.env, name_of_variable(*variable))) result.emplace_back(*variable);
    return result;
}

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
    std::vector<char*> pointers;
    for (auto& text : strings) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

MonotonicTime deadline_after(Duration span) {
    if (span > std::chrono::hours(24 * 3650)) return MonotonicTime::max();
    return system_clock().monotonic() + std::chrono::duration_cast<MonotonicTime::duration>(span);
}

} // namespace

Result<ChildProcess> spawn(const SpawnOptions& options) {
    if (options.argv.empty()) return fail(Code::invalid, "a program to run has no name");
    SpawnPlan plan;
    TRY(plan.place_descriptors(options.fds));
    plan.set_attributes(options);
    auto arguments = options.argv;
    auto environment = environment_of(options);
    auto argv = pointers_to(arguments);
    auto envp = pointers_to(environment);
    const std::string& program = options.executable.empty() ? options.argv[0] : options.executable;
    pid_t pid = 0;
    int error = posix_spawnp(&pid, program.c_str(), &plan.actions, &plan.attributes, argv.data(),
                             envp.data());
    if (error) return fail_errno("start " + program, error);
    int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (pidfd < 0) {
        int saved = errno;
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        return fail_errno("open a pidfd of " + program, saved);
    }
    return ChildProcess{pid, UniqueFd(pidfd)};
}

Result<ExitStatus> wait(ChildProcess& child, Duration deadline) {
    auto ready = wait_readable(child.pidfd.get(), deadline_after(deadline));
    if (!ready)
        return with_context(Result<ExitStatus>(tl::unexpected(ready.error())),
                            fmt::format("wait for process {}", child.pid));
    siginfo_t info{};
    int status;
    do {
        status = ::waitid(P_PIDFD, static_cast<id_t>(child.pidfd.get()), &info, WEXITED);
    } while (status != 0 && errno == EINTR);
    if (status != 0) return fail_errno(fmt::format("wait for process {}", child.pid));
    if (info.si_code == CLD_EXITED) return ExitStatus{info.si_status, 0};
    return ExitStatus{128 + info.si_status, info.si_status};
}

Result<> send_signal(const ChildProcess& child, int signal) {
    if (::syscall(SYS_pidfd_send_signal, child.pidfd.get(), signal, nullptr, 0) == 0 ||
        errno == ESRCH)
        return {};
    return fail_errno(fmt::format("send signal {} to process {}", signal, child.pid));
}

namespace {

/// The three pipes of run(), moved forward together by poll.
struct Conversation {
    UniqueFd in, out, err;
    std::string_view input;
    Output output;

    bool open() const { return in || out || err; }

    Result<> step(MonotonicTime deadline) {
        pollfd entries[3] = {
            {in.get(), POLLOUT, 0}, {out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}};
        int timeout = -1;
        if (deadline != MonotonicTime::max()) {
            auto left =
                std::chrono::ceil<std::chrono::milliseconds>(deadline - system_clock().monotonic())
                    .count();
            if (left <= 0) return fail(Code::timeout, "the deadline passed");
            timeout = static_cast<int>(std::min<int64_t>(left, 1 << 30));
        }
        if (::poll(entries, 3, timeout) < 0 && errno != EINTR) return fail_errno("poll");
        if (in && entries[0].revents) feed();
        if (out && entries[1].revents) TRY(drain(out, output.out));
        if (err && entries[2].revents) TRY(drain(err, output.err));
        return {};
    }

    void feed() {
        ssize_t written = ::write(in.get(), input.data(), input.size());
        if (written < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (written < 0) { // the program does not read its input: its right
            in.reset();
            return;
        }
        input.remove_prefix(static_cast<size_t>(written));
        if (input.empty()) in.reset();
    }

    static Result<> drain(UniqueFd& fd, std::string& into) {
        char buffer[16384];
        ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return {};
        if (got <= 0) {
            fd.reset();
            return {};
        }
        into.append(buffer, static_cast<size_t>(got));
        if (into.size() > max_output)
            return fail(Code::too_large, "the program printed more than 16 MiB");
        return {};
    }
};

} // namespace

Result<Output> run(const std::vector<std::string>& argv, Duration deadline,
                   const std::string& input) {
    ignore_broken_pipes();
    auto end = deadline_after(deadline);
    auto out = TRY(make_pipe());
    auto err = TRY(make_pipe());
    auto in = TRY(make_pipe());
    SpawnOptions options;
    options.argv = argv;
    options.fds = {{in.read_end.get(), 0}, {out.write_end.get(), 1}, {err.write_end.get(), 2}};
    auto child = TRY(spawn(options));
    in.read_end.reset();
    out.write_end.reset();
    err.write_end.reset();

    Conversation talk{
        std::move(in.write_end), std::move(out.read_end), std::move(err.read_end), input, {}};
    for (int fd : {talk.in.get(), talk.out.get(), talk.err.get()}) TRY(set_nonblocking(fd, true));
    if (input.empty()) talk.in.reset();
    Result<> outcome;
    while (outcome && talk.open()) outcome = talk.step(end);
    Result<ExitStatus> status = tl::unexpected(Error{});
    if (outcome) {
        status = wait(child, end == MonotonicTime::max() ? Duration::max()
                                                         : end - system_clock().monotonic());
        if (!status) outcome = tl::unexpected(status.error());
    }
    if (!outcome) {
        static_cast<void>(send_signal(child, SIGKILL));
        static_cast<void>(wait(child, Duration::max()));
        return with_context(Result<Output>(tl::unexpected(outcome.error())),
                            argv.empty() ? "" : argv[0]);
    }
    talk.output.exit_status = *status;
    return std::move(talk.output);
}

} // namespace cloudlet::io
