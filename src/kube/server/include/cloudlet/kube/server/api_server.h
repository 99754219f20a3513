#pragma once
// The Kubernetes API server as an object: it turns HTTP exchanges into reads of an in-memory cache
// and transactions on the store, and hands the same pipeline to in-process callers as api::Client.
//
// The way of a request: authenticate, authorise, decode, prune and check fields, default, admit,
// validate, commit, answer. A worker thread carries a request to its commit and is given back
// there; the store's callback completes the exchange. Reads of cached objects do not leave the loop
// thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"
#include "cloudlet/kube/node_connector.h"
#include "cloudlet/net/http_server.h"

namespace cloudlet::io {
class EventLoop;
class WorkerPool;
} // namespace cloudlet::io
namespace cloudlet::store {
class Store;
}
namespace cloudlet::api {
class Client;
}

namespace cloudlet::kube::server {

/// A bearer token that stands for a user, as kube-apiserver's token file has them.
struct StaticToken {
    std::string token;
    std::string user;
    std::vector<std::string> groups;
};

/// What the server stands on. The referenced objects outlive the server and are not owned by it.
struct ApiServerOptions {
    store::Store* store = nullptr;
    io::EventLoop* loop = nullptr;  // the loop that the HttpServer runs on: timers, watches
    io::WorkerPool* pool = nullptr; // the HttpServer's workers
    const Clock* clock = &system_clock();

    /// P-256 private key (PEM) that signs ServiceAccount tokens; kept by the caller across
    /// restarts.
    std::string service_account_key_pem;
    std::string service_account_issuer = "https://kubernetes.default.svc.cluster.local";

    /// Where pods reach this server: the `default/kubernetes` Service leads there. Empty address:
    /// the Service has no endpoints.
    std::string advertise_address;
    uint16_t advertise_port = 6443;

    std::string service_cidr =
        "10.96.0.0/16"; // IPv4; its first address is the kubernetes Service's
    uint16_t node_port_first = 30000;
    uint16_t node_port_last = 32767;

    Duration event_ttl = std::chrono::hours{1};
    Duration compaction_interval = std::chrono::minutes{5};
    Duration bookmark_interval = std::chrono::minutes{1};
    size_t watch_window = 4096; // events kept per resource for watches to start from
    size_t watch_window_bytes = size_t{2} << 20;
    size_t watch_queue_bytes = size_t{8} << 20; // a slower watcher is dropped

    std::vector<StaticToken> static_tokens;
};

/// Thread-safe. Destroy it after the HttpServer that calls its handlers, and after the watches of
/// its client; loop, pool and store end later.
class ApiServer {
public:
    /// Loads the store into the cache, makes the first namespaces and the kubernetes Service, and
    /// starts to follow the store. Blocks for as long as that takes; call it before the loop serves
    /// requests. Errors: the store's, or Code::invalid for an option.
    static Result<std::unique_ptr<ApiServer>> create(ApiServerOptions options);
    virtual ~ApiServer() = default;

    /// For HttpServer::create(): runs on its workers.
    virtual net::Handler handler() = 0;
    /// For net::ServerOptions::inline_handler: runs on the loop thread, true when it has answered.
    /// It never blocks.
    virtual std::function<bool(const std::shared_ptr<net::Exchange>&)> inline_handler() = 0;
    /// For net::ServerOptions::error_page: a Status object for errors that HTTP itself finds.
    static net::Response error_page(int status, const std::string& message);

    /// The API for callers in this process, with every right. Same pipeline, no HTTP. Thread-safe;
    /// its calls block for the commit, so they are not for the loop or the store's thread.
    virtual api::Client& client() = 0;

    /// Who serves pods/log and pods/exec; null (the start) answers 503. Thread-safe. The connector
    /// outlives the server, or is replaced by null first.
    virtual void set_node_connector(NodeConnector* connector) = 0;

    /// Ends watches and streams, and refuses new requests with 503. Idempotent; the destructor
    /// calls it.
    virtual void stop() = 0;
};

} // namespace cloudlet::kube::server
