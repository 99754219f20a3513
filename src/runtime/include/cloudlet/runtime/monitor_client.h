#pragma once
// The daemon's side of cloudlet-monitor, the tiny process that owns one container.
//
// spawn_monitor() starts one; it makes the container's init process (which waits before the
// program) and then lives until the container has ended and its exit is on disk. It does not die
// with us: a later daemon calls MonitorConnection::connect() on the same folder, or reads the exit
// record.
//
// Files in the folder: monitor.sock (requests), exit (the record, complete or absent), monitor.pid.
// Every request is one connection of its own, so all functions are thread-safe and block only for
// the monitor's answer, at most `kMonitorDeadline`.

#include <cstdint>
#include <optional>
#include <string>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"
#include "cloudlet/io/fd.h"
#include "cloudlet/runtime/plan.h"

namespace cloudlet::runtime {

inline constexpr Duration kMonitorDeadline = std::chrono::seconds(30);

/// How a container ended.
struct ExitRecord {
    int exit_code = 0; // as a shell says it: 128 + signal when a signal ended it
    int signal = 0;    // 0 when it exited by itself
    bool oom_killed = false;
    WallTime started_at{}; // epoch when it was never started
    WallTime finished_at{};
    int pid = 0;
    std::string error; // why the program could not be executed; empty otherwise
};

struct MonitorOptions {
    std::string directory; // exists; one container's own
    Plan plan;
    /// CRI log format: "<time> stdout F <line>"; P marks a part of a line longer than 16 KiB.
    std::string log_path;              // empty: output is discarded
    uint64_t log_max_bytes = 10 << 20; // then it becomes log_path.1, .2, ...
    unsigned log_max_files = 5;        // with the current one
    bool stdin_open = false;           // keeps a pipe on stdin; see take_stdin()
    std::string monitor_cgroup; // the group the monitor itself moves to; empty: stays in ours
};

enum class MonitorPhase { created, running, stopped };

struct MonitorState {
    MonitorPhase phase = MonitorPhase::created;
    int pid = 0; // the container's first process, in our pid namespace
    int monitor_pid = 0;
    WallTime started_at{};
};

/// One process run by exec(). Dropping it leaves the process running; its status is then lost.
class ExecSession {
public:
    int pid() const { return pid_; }
    /// Readable when the process has ended (fit for an event loop); then call status().
    int event_fd() const { return socket_.get(); }
    /// Blocks until the end. exit_code as in ExitRecord. Error: Code::timeout, or unavailable when
    /// the monitor went away (the container ended).
    Result<int> status(Duration deadline);
    /// The terminal's master side when one was asked for; ours to read, write and resize.
    io::UniqueFd terminal;

private:
    friend class MonitorConnection;
    int pid_ = 0;
    io::UniqueFd socket_;
};

/// A subscription to the container's end.
class ExitWatch {
public:
    /// Readable once the record is on disk (or the monitor died); then call record().
    int event_fd() const { return socket_.get(); }
    /// Blocks until the end. Error: Code::timeout; Code::unavailable when the monitor was killed
    /// without writing a record.
    Result<ExitRecord> record(Duration deadline);

private:
    friend class MonitorConnection;
    std::string directory_;
    io::UniqueFd socket_;
};

struct ExecStdio {
    int in = -1; // descriptors that the process gets; -1: /dev/null. All unused with a terminal.
    int out = -1;
    int err = -1;
};

class MonitorConnection {
public:
    /// Finds the monitor of a folder and says hello. Error: not_found when none lives there (see
    /// read_exit_record()); unsupported when it speaks another version.
    static Result<MonitorConnection> connect(const std::string& directory);

    Result<MonitorState> state() const;
    /// Lets the container's program run. Error: conflict when it was started before; when the
    /// program cannot be executed: not_found ("exec: \"foo\": executable file not found in $PATH")
    /// or invalid; the exit record then has code 127 or 126.
    Result<> start() const;
    /// Sends a signal to the first process. Error: conflict when the container has ended.
    Result<> kill(int signal) const;
    /// Runs one more process in the container. The plan says whether it has a terminal.
    Result<ExecSession> exec(const Plan& plan, ExecStdio stdio) const;
    /// Sets the size of the container's own terminal. Error: conflict when it has none.
    Result<> resize(uint16_t rows, uint16_t columns) const;
    /// The writing end of the container's stdin, once; closing it is the container's end of input.
    /// Error: conflict when it is not open or was taken.
    Result<io::UniqueFd> take_stdin() const;
    Result<ExitWatch> watch_exit() const;
    /// Closes the log and opens it again, for a log that was moved away.
    Result<> reopen_log() const;
    /// Kills the container; the exit record is written as for any other end.
    Result<> shutdown() const;

    const std::string& directory() const { return directory_; }

private:
    explicit MonitorConnection(std::string directory) : directory_(std::move(directory)) {}
    std::string directory_;
};

struct SpawnedMonitor {
    MonitorConnection connection;
    int monitor_pid = 0;
    int pid = 0; // the container's first process, waiting for start()
};
/// Returns when the container is created: namespaces, mounts and limits are there and its first
/// process waits. When that fails, the error is cloudlet-init's ("mount /proc: ..."), and no
/// process, mount or socket is left. The monitor is no child of ours afterwards: nothing is to be
/// reaped.
Result<SpawnedMonitor> spawn_monitor(const MonitorOptions& options);

/// Error: not_found while the container lives (or its monitor was killed before it could write).
Result<ExitRecord> read_exit_record(const std::string& directory);

} // namespace cloudlet::runtime
