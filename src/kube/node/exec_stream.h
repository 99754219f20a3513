#pragma once
// One `kubectl exec` under way: moves bytes between a process in a container and the client's
// streams.

#include <memory>

#include "cloudlet/engine/engine.h"
#include "cloudlet/io/event_loop.h"
#include "cloudlet/kube/node_connector.h"

namespace cloudlet::kube::node {

/// Takes over the process's descriptors and ends the streams with its exit status. Any thread; goes
/// on by itself on the loop.
void stream_exec(io::EventLoop& loop, std::shared_ptr<engine::Exec> exec,
                 std::shared_ptr<ExecStreams> streams);

} // namespace cloudlet::kube::node
