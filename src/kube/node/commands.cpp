#include "commands.h"

#include <csignal>
#include <unistd.h>

#include <fmt/format.h>

#include "cloudlet/io/fd.h"

namespace cloudlet::kube::node {

namespace {

constexpr size_t kept_output = 10 << 10;

/// One command under way; lives on the loop thread and holds itself until it is over.
class Command : public std::enable_shared_from_this<Command> {
public:
    Command(io::EventLoop& loop, std::shared_ptr<engine::Exec> exec,
            std::function<void(Result<CommandResult>)> callback)
        : loop_(loop), exec_(std::move(exec)), callback_(std::move(callback)) {}

    void begin(Duration deadline) {
        for (auto* fd : {&exec_->stdout_reader, &exec_->stderr_reader}) {
            auto id =
                loop_.watch(fd->get(), io::Events::readable | io::Events::hangup,
                            [self = shared_from_this(), fd](io::Events) { self->drain(*fd); });
            if (id) watches_.push_back(*id);
        }
        timer_ = loop_.after(deadline, [self = shared_from_this(), deadline] {
            (void)self->exec_->kill(SIGKILL);
            self->end(fail(Code::timeout,
                           fmt::format("command timed out after {}", format_age(deadline))));
        });
        exec_->on_exit([self = shared_from_this()](int code) {
            if (!self->callback_) return;
            self->drain(self->exec_->stdout_reader);
            self->drain(self->exec_->stderr_reader);
            self->end(CommandResult{.exit_code = code, .output = self->output_});
        });
    }

private:
    void drain(io::UniqueFd& fd) {
        char buffer[4096];
        while (fd) {
            const ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
            if (count < 0) break; // nothing there now
            if (count == 0) {
                // End of the stream: stop asking. The watch goes with the others at the end.
                const size_t index = &fd == &exec_->stdout_reader ? 0 : 1;
                if (index < watches_.size()) loop_.update(watches_[index], io::Events::none);
                break;
            }
            const size_t room = kept_output - std::min(kept_output, output_.size());
            output_.append(buffer, std::min(room, static_cast<size_t>(count)));
        }
    }

    void end(Result<CommandResult> result) {
        auto callback = std::exchange(callback_, nullptr);
        if (!callback) return;
        auto keep = shared_from_this();
        for (auto id : watches_) loop_.unwatch(id);
        watches_.clear();
        loop_.cancel(timer_);
        callback(std::move(result));
    }

    io::EventLoop& loop_;
    std::shared_ptr<engine::Exec> exec_;
    std::function<void(Result<CommandResult>)> callback_;
    std::vector<io::EventLoop::WatchId> watches_;
    io::EventLoop::TimerId timer_ = 0;
    std::string output_;
};

} // namespace

void run_command(engine::Engine& engine, io::EventLoop& loop, const std::string& container_id,
                 std::vector<std::string> command, Duration deadline,
                 std::function<void(Result<CommandResult>)> callback) {
    auto exec = engine.exec(
        container_id, {.command = std::move(command), .env = {}, .working_dir = {}, .user = {}});
    loop.post([&loop, exec = std::move(exec), deadline, callback = std::move(callback)]() mutable {
        if (!exec) return callback(tl::unexpected(exec.error()));
        std::make_shared<Command>(loop, std::move(*exec), std::move(callback))->begin(deadline);
    });
}

} // namespace cloudlet::kube::node
