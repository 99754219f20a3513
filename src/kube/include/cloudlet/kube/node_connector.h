#pragma once
// The way from the API server to the node that runs a pod: `kubectl logs` and `kubectl exec`.
//
// The server checks the request, finds the pod and its node, and speaks the client's protocol
// (chunked text, WebSocket or SPDY). The node agent implements NodeConnector and moves plain bytes
// through the two stream classes below. Both sides may call from any thread; no call blocks.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"

namespace cloudlet::kube {

/// The container that a request is about. The server has checked that the pod exists, is bound to
/// `node`, and that its spec names `container`.
struct ContainerTarget {
    std::string ns;
    std::string pod;
    std::string uid; // of the pod
    std::string node;
    std::string container;
};

/// PodLogOptions (Kubernetes core/v1).
struct LogOptions {
    bool follow = false;
    bool previous = false;   // the container's previous run
    bool timestamps = false; // RFC 3339 with nanoseconds before each line
    std::optional<int64_t> tail_lines;
    std::optional<int64_t> limit_bytes;
    std::optional<WallTime> since;
};

/// Where log bytes go. Owned by the server, shared with the node while it reads. Thread-safe.
/// Exactly one of finish() and fail() ends it; what comes later is ignored.
class LogSink {
public:
    virtual ~LogSink() = default;
    /// False once the reader has gone: the producer stops and forgets the sink.
    virtual bool write(std::string bytes) = 0;
    /// Bytes taken and not yet sent; a producer pauses above about 1 MiB and polls or retries.
    virtual size_t queued_bytes() const = 0;
    virtual void finish() = 0;
    /// Before the first write(): the request is answered with this error. After it: the stream is
    /// cut.
    virtual void fail(Error error) = 0;
    /// Called once, from any thread, when the reader has gone or the sink was ended; at once when
    /// that has happened already.
    virtual void on_close(std::function<void()> handler) = 0;
};

struct ExecOptions {
    std::vector<std::string> command;
    bool stdin_open = false;
    bool stdout_open = false;
    bool stderr_open = false; // never together with tty
    bool tty = false;
};

/// What the client sends; called one at a time, in order.
struct ExecHandlers {
    std::function<void(std::string_view bytes)> on_stdin;
    std::function<void()> on_stdin_end;                             // half close
    std::function<void(uint16_t columns, uint16_t rows)> on_resize; // with tty
    std::function<void()> on_close; // the client went away; called once, also after exit()/fail()
};

/// One `exec` under way, as the node sees it. Owned by the server, shared with the node.
/// Thread-safe. Exactly one of exit() and fail() ends it.
class ExecStreams {
public:
    virtual ~ExecStreams() = default;
    /// Sets who gets the client's bytes; bytes that came earlier are delivered first.
    virtual void set_handlers(ExecHandlers handlers) = 0;
    /// False once the client has gone.
    virtual bool write_stdout(std::string bytes) = 0;
    virtual bool write_stderr(std::string bytes) = 0;
    /// Bytes taken and not yet sent to the client; a producer pauses above about 1 MiB.
    virtual size_t queued_bytes() const = 0;
    /// Flow control toward the client: no on_stdin while paused.
    virtual void pause_stdin() = 0;
    virtual void resume_stdin() = 0;
    /// The command ended with this status (128 + signal number when a signal ended it).
    virtual void exit(int status) = 0;
    /// The command could not be run or followed.
    virtual void fail(Error error) = 0;
};

/// Implemented by the node agent. Thread-safe; every call returns soon and goes on by the sink or
/// streams.
class NodeConnector {
public:
    virtual ~NodeConnector() = default;
    virtual void logs(const ContainerTarget& target, const LogOptions& options,
                      std::shared_ptr<LogSink> sink) = 0;
    virtual void exec(const ContainerTarget& target, const ExecOptions& options,
                      std::shared_ptr<ExecStreams> streams) = 0;
};

} // namespace cloudlet::kube
