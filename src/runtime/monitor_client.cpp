#include "cloudlet/runtime/monitor_client.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cloudlet/codec/json.h"
#include "cloudlet/io/file.h"
#include "cloudlet/io/process.h"
#include "launch/embedded.h"
#include "launch/launch.h"
#include "launch/wire.h"
#include "monitor/protocol.h"

namespace cloudlet::runtime {
namespace {

MonotonicTime soon() { return std::chrono::steady_clock::now() + kMonitorDeadline; }

MonotonicTime after(Duration deadline) {
    const auto now = std::chrono::steady_clock::now();
    return deadline > MonotonicTime::max() - now ? MonotonicTime::max() : now + deadline;
}

WallTime wall_time(int64_t nanoseconds) { return WallTime(std::chrono::nanoseconds(nanoseconds)); }

tl::unexpected<Error> gone(const std::string& directory) {
    return fail(Code::not_found,
                fmt::format("no monitor lives in {}: the container has ended", directory));
}

Code code_of(uint32_t refusal) {
    switch (refusal) {
    case CL_BAD_REQUEST: return Code::invalid;
    case CL_CONFLICT: return Code::conflict;
    case CL_NOT_FOUND: return Code::not_found;
    case CL_NOT_EXECUTABLE: return Code::invalid;
    case CL_VERSION: return Code::unsupported;
    default: return Code::internal;
    }
}

struct Answer {
    cl_answer body{};
    io::UniqueFd fd;
};

// One answer; an end of the stream or a reset means that the monitor is gone.
Result<Answer> receive_answer(int socket, MonotonicTime deadline, const std::string& directory) {
    TRY(io::wait_readable(socket, deadline));
    Answer answer;
    int fd = -1, count = 0;
    const ssize_t n = cl_receive(socket, &answer.body, sizeof answer.body, &fd, 1, &count);
    answer.fd.reset(fd);
    if (n == 0 || (n < 0 && errno == ECONNRESET)) return gone(directory);
    if (n < 0) return fail_errno("hear from cloudlet-monitor");
    if (answer.body.magic != CL_MONITOR_MAGIC || static_cast<size_t>(n) < sizeof answer.body)
        return fail(Code::unsupported,
                    fmt::format("the monitor in {} speaks an unknown protocol", directory));
    answer.body.text[sizeof answer.body.text - 1] = 0;
    if (answer.body.kind == CL_REFUSED) return fail(code_of(answer.body.code), answer.body.text);
    return answer;
}

// Through /proc/self/fd: a socket's path has only 108 bytes.
Result<io::UniqueFd> connect_to(const std::string& directory) {
    const io::UniqueFd folder = TRY(io::open_file(directory, O_PATH | O_DIRECTORY));
    io::UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!socket) return fail_errno("make a socket");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    fmt::format_to_n(address.sun_path, sizeof address.sun_path - 1, "/proc/self/fd/{}/monitor.sock",
                     folder.get());
    if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        if (errno == ENOENT || errno == ECONNREFUSED) return gone(directory);
        return fail_errno(fmt::format("reach the monitor in {}", directory));
    }
    return socket;
}

Result<io::UniqueFd> send_request(const std::string& directory, uint32_t kind, int a = 0, int b = 0,
                                  const std::vector<int>& fds = {}) {
    io::UniqueFd socket = TRY(connect_to(directory));
    cl_request request{};
    request.magic = CL_MONITOR_MAGIC;
    request.version = CL_MONITOR_VERSION;
    request.kind = kind;
    request.a = a;
    request.b = b;
    if (cl_send(socket.get(), &request, sizeof request, fds.data(), static_cast<int>(fds.size())) !=
        0)
        return errno == EPIPE || errno == ECONNRESET ? gone(directory)
                                                     : fail_errno("ask cloudlet-monitor");
    return socket;
}

Result<Answer> ask(const std::string& directory, uint32_t kind, int a = 0, int b = 0) {
    const io::UniqueFd socket = TRY(send_request(directory, kind, a, b));
    return receive_answer(socket.get(), soon(), directory);
}

// Requests to a container that has just ended: the record explains why nobody answers.
Result<> ended_is_conflict(Result<Answer> answer) {
    if (answer) return {};
    if (answer.error().code == Code::not_found && answer.error().message.starts_with("no monitor"))
        return fail(Code::conflict, "the container has ended");
    return tl::unexpected(answer.error());
}

Result<io::UniqueFd> plan_file(const Plan& plan) {
    io::UniqueFd fd(cl_sealed_file("cloudlet-plan", plan.bytes.data(), plan.bytes.size()));
    if (!fd) return fail_errno("make a memory file for a plan");
    return fd;
}

ExitRecord record_of(const cl_answer& answer) {
    ExitRecord out;
    out.exit_code = answer.exit_code;
    out.signal = answer.signal;
    out.oom_killed = answer.oom_killed != 0;
    out.started_at = wall_time(answer.started_ns);
    out.finished_at = wall_time(answer.finished_ns);
    out.pid = answer.pid;
    out.error = answer.text;
    return out;
}

std::vector<std::string> monitor_arguments(const MonitorOptions& options) {
    std::vector<std::string> argv = {"cloudlet-monitor"};
    if (!options.monitor_cgroup.empty()) {
        const auto host = linux::CgroupHost::probe();
        if (host)
            for (const auto& hierarchy : host->hierarchies()) {
                const std::string file =
                    hierarchy.mount_point + options.monitor_cgroup + "/cgroup.procs";
                if (io::exists(file)) argv.insert(argv.end(), {"--cgroup-procs", file});
            }
    }
    argv.insert(argv.end(), {"--folder", options.directory});
    if (!options.log_path.empty())
        argv.insert(argv.end(), {"--log", options.log_path, "--log-bytes",
                                 fmt::format("{}", options.log_max_bytes), "--log-files",
                                 fmt::format("{}", std::max(1u, options.log_max_files))});
    if (options.stdin_open) argv.push_back("--stdin");
    return argv;
}

} // namespace

Result<SpawnedMonitor> spawn_monitor(const MonitorOptions& options) {
    const int init = TRY(init_program());
    const int monitor = TRY(monitor_program());
    const io::UniqueFd plan = TRY(plan_file(options.plan));
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return fail_errno("make a socket pair");
    const io::UniqueFd ours(ends[0]);
    io::UniqueFd theirs(ends[1]);
    io::SpawnOptions spawn;
    spawn.argv = monitor_arguments(options);
    spawn.executable = fmt::format("/proc/self/fd/{}", CL_MONITOR_FD_SELF);
    spawn.inherit_environment = false;
    spawn.fds = {{plan.get(), CL_MONITOR_FD_PLAN},
                 {init, CL_MONITOR_FD_INIT},
                 {theirs.get(), CL_MONITOR_FD_REPORT},
                 {monitor, CL_MONITOR_FD_SELF}};
    io::ChildProcess child = TRY(with_context(io::spawn(spawn), "start cloudlet-monitor"));
    theirs.reset();
    TRY(io::wait(child, kMonitorDeadline)); // it forks and goes on by itself
    const auto report = receive_answer(ours.get(), soon(), options.directory);
    if (!report) {
        Error error = report.error();
        if (error.code == Code::not_found && error.message.starts_with("no monitor"))
            return fail(Code::internal, "cloudlet-monitor ended before the container was created");
        error.context.emplace_back("create the container");
        return tl::unexpected(std::move(error));
    }
    SpawnedMonitor out{TRY(MonitorConnection::connect(options.directory)), report->body.monitor_pid,
                       report->body.pid};
    return out;
}

Result<ExitRecord> read_exit_record(const std::string& directory) {
    const std::string path = directory + "/exit";
    const std::string text = TRY(io::read_file(path, 65536));
    const codec::Json json = TRY(with_context(codec::parse_json(text), path));
    ExitRecord out;
    out.pid = static_cast<int>(json["pid"].as_int());
    out.exit_code = static_cast<int>(json["exitCode"].as_int());
    out.signal = static_cast<int>(json["signal"].as_int());
    out.oom_killed = json["oomKilled"].as_bool();
    out.started_at = wall_time(json["startedAt"].as_int());
    out.finished_at = wall_time(json["finishedAt"].as_int());
    out.error = json["error"].as_string();
    return out;
}

Result<MonitorConnection> MonitorConnection::connect(const std::string& directory) {
    MonitorConnection out(directory);
    const Answer answer = TRY(ask(directory, CL_ASK_STATE));
    if (answer.body.version < 1)
        return fail(Code::unsupported, fmt::format("the monitor in {} is too old", directory));
    return out;
}

Result<MonitorState> MonitorConnection::state() const {
    const Answer answer = TRY(ask(directory_, CL_ASK_STATE));
    MonitorState out;
    out.phase = answer.body.phase == CL_CREATED   ? MonitorPhase::created
                : answer.body.phase == CL_RUNNING ? MonitorPhase::running
                                                  : MonitorPhase::stopped;
    out.pid = answer.body.pid;
    out.monitor_pid = answer.body.monitor_pid;
    out.started_at = wall_time(answer.body.started_ns);
    return out;
}

Result<> MonitorConnection::start() const {
    return ended_is_conflict(ask(directory_, CL_ASK_START));
}
Result<> MonitorConnection::kill(int signal) const {
    return ended_is_conflict(ask(directory_, CL_ASK_KILL, signal));
}
Result<> MonitorConnection::reopen_log() const {
    return ended_is_conflict(ask(directory_, CL_ASK_REOPEN));
}

Result<> MonitorConnection::resize(uint16_t rows, uint16_t columns) const {
    return ended_is_conflict(ask(directory_, CL_ASK_RESIZE, rows, columns));
}

Result<> MonitorConnection::shutdown() const {
    auto answer = ask(directory_, CL_ASK_SHUTDOWN);
    if (!answer && answer.error().code != Code::not_found) return tl::unexpected(answer.error());
    return {};
}

Result<io::UniqueFd> MonitorConnection::take_stdin() const {
    Answer answer = TRY(ask(directory_, CL_ASK_STDIN));
    if (!answer.fd) return fail(Code::internal, "cloudlet-monitor sent no descriptor");
    return std::move(answer.fd);
}

Result<ExecSession> MonitorConnection::exec(const Plan& plan, ExecStdio stdio) const {
    const io::UniqueFd file = TRY(plan_file(plan));
    const io::UniqueFd nothing = TRY(io::open_file("/dev/null", O_RDWR));
    const auto given = [&](int fd) { return fd >= 0 ? fd : nothing.get(); };
    ExecSession session;
    session.socket_ =
        TRY(send_request(directory_, CL_ASK_EXEC, 0, 0,
                         {file.get(), given(stdio.in), given(stdio.out), given(stdio.err)}));
    auto answer = receive_answer(session.socket_.get(), soon(), directory_);
    if (!answer && answer.error().message.starts_with("no monitor"))
        return fail(Code::conflict, "the container has ended");
    if (!answer) return tl::unexpected(answer.error());
    session.pid_ = answer->body.pid;
    session.terminal = std::move(answer->fd);
    return session;
}

Result<int> ExecSession::status(Duration deadline) {
    const auto answer = receive_answer(socket_.get(), after(deadline), "the container's folder");
    if (answer) return answer->body.exit_code;
    if (answer.error().code == Code::not_found)
        return fail(Code::unavailable, "the container ended before the process's status was known");
    return tl::unexpected(answer.error());
}

Result<ExitWatch> MonitorConnection::watch_exit() const {
    ExitWatch watch;
    watch.directory_ = directory_;
    watch.socket_ = TRY(send_request(directory_, CL_ASK_WATCH));
    TRY(receive_answer(watch.socket_.get(), soon(), directory_));
    return watch;
}

Result<ExitRecord> ExitWatch::record(Duration deadline) {
    const auto answer = receive_answer(socket_.get(), after(deadline), directory_);
    if (answer && answer->body.kind == CL_ENDED) return record_of(answer->body);
    if (answer) return fail(Code::internal, "cloudlet-monitor answered out of turn");
    if (answer.error().code != Code::not_found) return tl::unexpected(answer.error());
    auto record = read_exit_record(directory_);
    if (record) return record;
    return fail(
        Code::unavailable,
        fmt::format("the monitor in {} was killed before it could record the exit", directory_));
}

} // namespace cloudlet::runtime
