#include "cloudlet/io/signals.h"

#include <csignal>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cloudlet/io/fd.h"

namespace cloudlet::io {

static sigset_t set_of(const std::vector<int>& signals) {
    sigset_t set;
    sigemptyset(&set);
    for (int signal : signals) sigaddset(&set, signal);
    return set;
}

Result<> block_signals(const std::vector<int>& signals) {
    sigset_t set = set_of(signals);
    int error = pthread_sigmask(SIG_BLOCK, &set, nullptr);
    if (error) return fail_errno("block signals", error);
    return {};
}

struct SignalWatch::Impl {
    EventLoop& loop;
    UniqueFd fd;
    EventLoop::WatchId watch = 0;
    std::function<void(int)> function;

    void drain() {
        signalfd_siginfo info;
        while (::read(fd.get(), &info, sizeof info) == sizeof info)
            function(static_cast<int>(info.ssi_signo));
    }
};

SignalWatch::SignalWatch(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<SignalWatch>> SignalWatch::start(EventLoop& loop,
                                                        const std::vector<int>& signals,
                                                        std::function<void(int)> function) {
    TRY(block_signals(signals));
    sigset_t set = set_of(signals);
    UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd) return fail_errno("make a signalfd");
    auto impl = std::unique_ptr<Impl>(new Impl{loop, std::move(fd), 0, std::move(function)});
    impl->watch = TRY(
        loop.watch(impl->fd.get(), Events::readable, [raw = impl.get()](Events) { raw->drain(); }));
    return std::unique_ptr<SignalWatch>(new SignalWatch(std::move(impl)));
}

SignalWatch::~SignalWatch() { impl_->loop.unwatch(impl_->watch); }

} // namespace cloudlet::io
