#pragma once
// `kubectl logs` and `kubectl exec`: the client's side of what a NodeConnector moves.

#include <memory>

#include "cloudlet/net/http_server.h"
#include "core.h"

namespace cloudlet::kube::server {

/// Finds pod, node and container of a request. `node` is empty for a pod that is not scheduled.
/// Failures: 404, 400 for a container that the pod does not have or that must be chosen.
Outcome<ContainerTarget> find_container(Core& core, const Target& target, const net::Query& query);

/// Answers GET pods/NAME/log.
Outcome<> serve_logs(Core& core, const std::shared_ptr<net::Exchange>& exchange,
                     const Target& target);

/// Answers GET or POST pods/NAME/exec: WebSocket (v5, v4.channel.k8s.io) or SPDY/3.1 (v4, v5).
Outcome<> serve_exec(Core& core, const std::shared_ptr<net::Exchange>& exchange,
                     const Target& target);

/// The Status that ends an exec, as the error channel carries it.
Json exit_status(int status);

/// Hands a command to the node from a worker, so that the loop never waits for it.
void start_on_worker(Core& core, NodeConnector& connector, const ContainerTarget& target,
                     const ExecOptions& options, std::shared_ptr<ExecStreams> streams);

/// An exec over a WebSocket, and over SPDY. On success the exchange is used up.
Outcome<> exec_over_websocket(Core& core, NodeConnector& connector,
                              const std::shared_ptr<net::Exchange>& exchange,
                              const ContainerTarget& target, const ExecOptions& options);
Outcome<> exec_over_spdy(Core& core, NodeConnector& connector,
                         const std::shared_ptr<net::Exchange>& exchange,
                         const ContainerTarget& target, const ExecOptions& options);

} // namespace cloudlet::kube::server
