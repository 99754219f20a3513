#pragma once
// Signals as events of a loop (signalfd). They must be blocked before the first thread starts, so
// that no thread takes them; spawn() unblocks them in children.

#include <functional>
#include <memory>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/io/event_loop.h"

namespace cloudlet::io {

/// Blocks the signals in this thread and in threads it starts later.
Result<> block_signals(const std::vector<int>& signals);

/// Calls a function on the loop's thread for each signal, until destruction (loop thread, or after
/// the loop ended).
class SignalWatch {
public:
    static Result<std::unique_ptr<SignalWatch>> start(EventLoop& loop,
                                                      const std::vector<int>& signals,
                                                      std::function<void(int signal)> function);
    ~SignalWatch();

private:
    struct Impl;
    explicit SignalWatch(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace cloudlet::io
