#pragma once
// What the workers of all pods share: the agent's parts and its thread pools. Owned by the
// NodeAgent.

#include <functional>
#include <memory>
#include <string>

#include "cloudlet/api/event_recorder.h"
#include "cloudlet/api/informer.h"
#include "cloudlet/engine/engine.h"
#include "cloudlet/io/event_loop.h"
#include "cloudlet/io/worker_pool.h"
#include "cloudlet/kube/node/node_agent.h"
#include "node_object.h"
#include "pod_core.h"
#include "service_sync.h"
#include "volumes.h"

namespace cloudlet::kube::node {

struct AgentContext {
    AgentContext(NodeAgentOptions given, NodeAgentParts the_parts);

    api::Client& client() const { return parts.informers.client(); }
    /// From the local copy, else from the server: the object may be younger than the copy.
    Result<api::Object> fetch(const api::Resource& resource, const std::string& ns,
                              const std::string& name) const;
    Result<std::string> request_token(const api::Object& pod, const std::string& audience,
                                      int64_t seconds) const;
    Now now() const { return {system_clock().monotonic(), system_clock().wall()}; }
    /// <root>/log/pods/<ns>_<name>_<uid>
    std::string log_folder(const std::string& ns, const std::string& name,
                           const std::string& uid) const;

    NodeAgentOptions options;
    NodeAgentParts parts;
    MachineFacts machine;
    Volumes volumes;
    api::EventRecorder events;
    std::unique_ptr<ServiceSync> services;
    std::function<void(const std::string& uid)> pod_finished; // its worker may go
    std::function<void(const std::string& uid)> pod_changed;  // a container began or ended
    // Last: their threads use what is above.
    io::WorkerPool pool;
    io::WorkerPool pulls;
};

} // namespace cloudlet::kube::node
