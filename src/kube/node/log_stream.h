#pragma once
// One `kubectl logs` under way: reads on worker threads, waits for more by inotify on the loop.

#include <functional>
#include <memory>
#include <string>

#include "cloudlet/io/event_loop.h"
#include "cloudlet/io/worker_pool.h"
#include "cloudlet/kube/node_connector.h"

namespace cloudlet::kube::node {

/// Streams the log at `path` into the sink. While `is_live()` says that the container may write
/// more and the options ask to follow, it goes on; wake() is called when that answer may have
/// changed.
class LogStream {
public:
    struct State;
    static std::shared_ptr<LogStream> start(io::EventLoop& loop, io::WorkerPool& pool,
                                            std::string path, LogOptions options,
                                            std::shared_ptr<LogSink> sink,
                                            std::function<bool()> is_live);
    explicit LogStream(std::shared_ptr<State> state) : state_(std::move(state)) {}
    void wake(); // any thread
    bool over() const;

private:
    std::shared_ptr<State> state_;
};

} // namespace cloudlet::kube::node
