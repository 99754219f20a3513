#pragma once
// The node agent (the kubelet): makes this machine look as the API says. It watches pods bound to
// its node and runs one worker per pod: a pure core decides (desired pod, observed containers, time
// -> actions), a shell carries the actions out through engine/. It also keeps the Node object and
// its Lease, programs Service rules and DNS records, and serves logs and exec to the API server.
//
// Containers outlive the agent: stop() ends its threads and nothing else.

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"

namespace cloudlet::io {
class EventLoop;
}
namespace cloudlet::api {
class InformerSet;
}
namespace cloudlet::engine {
class Engine;
}
namespace cloudlet::image {
class ImageStore;
}
namespace cloudlet::network {
class ServiceProxy;
class DnsServer;
} // namespace cloudlet::network
namespace cloudlet::kube {
class NodeConnector;
}

namespace cloudlet::kube::node {

struct NodeAgentOptions {
    std::string node_name;
    std::string root;    // pods' volumes and logs live in <root>/pods and <root>/log/pods
    std::string node_ip; // InternalIP of the node and hostIP of pods
    std::string pod_cidr;
    std::string version;         // kubeletVersion, "v1.32.13+cloudlet"
    std::string runtime_version; // ours, "0.1.0"
    std::string cluster_domain = "cluster.local";
    std::string
        cluster_dns; // cluster IP of the DNS service; empty: pods get the machine's resolver
    std::string api_host, api_port; // of default/kubernetes until that Service is seen
    std::map<std::string, std::string> labels;
    int64_t max_pods = 250;
    size_t workers = 8; // threads that carry out pods' actions
    Duration status_period = std::chrono::minutes(5);
    Duration lease_period = std::chrono::seconds(10);
};

/// What the agent works with; all must outlive it, but the informers must be stopped before it is
/// destroyed (their handlers are its). `proxy` and `dns` may be null.
struct NodeAgentParts {
    api::InformerSet&
        informers; // its client writes; pods, services, slices, config maps, secrets are watched
    engine::Engine& engine;
    image::ImageStore& images;
    io::EventLoop& loop; // probes, timers, streams
    network::ServiceProxy* proxy = nullptr;
    network::DnsServer* dns = nullptr;
};

/// Takes away every mount that volumes of pods made below `root`; files stay. For a machine part
/// that goes down: call it when no container runs any more.
Result<> unmount_volumes(const std::string& root);

class NodeAgent {
public:
    /// Must be called before the informers are started: the agent adds indexes of its own.
    static Result<std::unique_ptr<NodeAgent>> create(NodeAgentOptions options,
                                                     NodeAgentParts parts);
    ~NodeAgent(); // stop()

    /// Registers the node, adopts the pods that run, starts the informers and workers. Returns when
    /// the Node object is written (with condition Ready).
    Result<> start();
    /// Stops watching and working; pods keep running. Waits for running actions.
    void stop();

    /// For ApiServer::set_node_connector: logs and exec of this node's pods.
    NodeConnector& connector();

private:
    struct Impl;
    explicit NodeAgent(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace cloudlet::kube::node
