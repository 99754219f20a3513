// One more process in a running container: pipes or a terminal to it, and its exit told by the
// loop.

#include <csignal>

#include <sys/ioctl.h>
#include <termios.h>

#include "cloudlet/linux/pidfd.h"
#include "container_spec.h"
#include "impl.h"

namespace cloudlet::engine {

using namespace std::chrono_literals;

namespace {

/// Shared by its user and by the loop's watch until the process has ended.
class EngineExec final : public Exec, public std::enable_shared_from_this<EngineExec> {
public:
    EngineExec(io::EventLoop& loop, runtime::ExecSession session)
        : loop_(loop), session_(std::move(session)) {
        terminal = std::move(session_.terminal);
        if (auto pidfd = linux::open_pidfd(session_.pid())) pidfd_ = std::move(*pidfd);
    }

    /// The watch keeps this object alive until the process has ended.
    void follow() {
        loop_.post([self = shared_from_this()] {
            auto watch = self->loop_.watch(self->session_.event_fd(),
                                           io::Events::readable | io::Events::hangup,
                                           [self](io::Events) { self->ended(); });
            if (watch) {
                self->watch_ = *watch;
            } else {
                self->tell(255);
            }
        });
    }

    void on_exit(std::function<void(int)> callback) override {
        loop_.post([self = shared_from_this(), callback = std::move(callback)]() mutable {
            if (self->code_) return callback(*self->code_);
            self->callback_ = std::move(callback);
        });
    }

    Result<> resize(uint16_t rows, uint16_t columns) override {
        if (!terminal) return fail(Code::conflict, "the process has no terminal");
        const winsize size{.ws_row = rows, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
        if (::ioctl(terminal.get(), TIOCSWINSZ, &size) != 0) return fail_errno("TIOCSWINSZ");
        return {};
    }

    Result<> kill(int signal) override {
        if (!pidfd_) return fail(Code::not_found, "the process has ended");
        return linux::send_signal(pidfd_.get(), signal);
    }

private:
    void ended() {
        auto code = session_.status(0s);
        if (!code && code.error().code == Code::timeout) return;
        auto keep = shared_from_this();
        loop_.unwatch(watch_);
        tell(code
                 ? *code
                 : 128 + SIGKILL); // without its monitor the container was killed, and this with it
    }

    void tell(int code) {
        code_ = code;
        if (auto callback = std::exchange(callback_, nullptr)) callback(code);
    }

    io::EventLoop& loop_;
    runtime::ExecSession session_;
    io::UniqueFd pidfd_;
    io::EventLoop::WatchId watch_ = 0; // loop thread, like the rest
    std::optional<int> code_;
    std::function<void(int)> callback_;
};

} // namespace

Result<std::shared_ptr<Exec>> Engine::Impl::exec(const std::string& id, const ExecConfig& config) {
    auto container = TRY(find(id));
    ContainerInfo info;
    {
        std::lock_guard lock(mutex);
        info = container->info;
    }
    if (info.state != ContainerState::running)
        return fail(Code::conflict, "container \"" + info.config.name + "\" is not running");
    auto sandbox = find_sandbox(info.config.sandbox);
    if (!sandbox) return fail(Code::not_found, "sandbox \"" + info.config.sandbox + "\" not found");
    const std::string root = images.snapshot_path(id);
    const SpecPlaces places{
        .root = root, .sandbox_dir = sandbox_dir(info.config.sandbox), .cgroup = container->cgroup};
    const auto spec = TRY(make_spec(info.config, container->image, sandbox->info.config, places));
    const auto process = TRY(make_exec_process(spec, config, root));
    const auto plan = TRY(runtime::compile_exec_plan(
        spec, process, *host,
        {.pid = info.pid, .cgroup = host->cgroups.open(container->cgroup).files()}));
    const auto monitor = TRY(runtime::MonitorConnection::connect(container->directory));
    io::Pipe in, out, err;
    runtime::ExecStdio stdio;
    if (!config.terminal) {
        if (config.with_stdin) {
            in = TRY(io::make_pipe());
            stdio.in = in.read_end.get();
        }
        out = TRY(io::make_pipe());
        err = TRY(io::make_pipe());
        stdio.out = out.write_end.get();
        stdio.err = err.write_end.get();
    }
    auto exec = std::make_shared<EngineExec>(loop, TRY(monitor.exec(plan, stdio)));
    exec->stdin_writer = std::move(in.write_end);
    exec->stdout_reader = std::move(out.read_end);
    exec->stderr_reader = std::move(err.read_end);
    exec->follow();
    return exec;
}

} // namespace cloudlet::engine
