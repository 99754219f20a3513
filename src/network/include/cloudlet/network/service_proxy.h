#pragma once
// Services in the kernel: a cluster IP or a node port leads to one of the service's endpoints.
//
// The rules are flat maps: one verdict map finds a service's chain by {address . protocol . port};
// the chain for N endpoints draws a number below N and looks {address . protocol . port . number}
// up in one endpoint map. A change of a service changes elements only, in one transaction; a chain
// is made when an endpoint count is met for the first time. README.md shows the whole table.
//
// apply() returns when the kernel has switched to the new rules: from then on no new connection
// goes to an endpoint that was left out. Connections that exist go on, except that UDP clients of a
// removed endpoint are forgotten. A service without a ready endpoint is refused (TCP reset, ICMP
// for others).
//
// open() reads what the kernel has, so a restarted daemon changes only what differs. Thread-safe.

#include <memory>
#include <string>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"
#include "cloudlet/network/options.h"

namespace cloudlet::network {

struct Endpoint {
    Ipv4 address{};
    uint16_t port = 0;
    bool ready = true; // not ready (or terminating): gets no new connection
    auto operator<=>(const Endpoint&) const = default;
};

/// One port of one service. Identified by cluster IP, protocol and port.
struct ServicePort {
    std::string name{}; // "namespace/service:port", for messages
    Ipv4 cluster_ip{};
    Protocol protocol = Protocol::tcp;
    uint16_t port = 0;
    uint16_t node_port = 0; // 0: none. Served on every address of the node, 127.0.0.1 included
    std::vector<Ipv4>
        external_ips{}; // also answered at this port (load balancer ingress, externalIPs)
    std::vector<Endpoint> endpoints{}; // order does not matter
    /// Not 0: a client's address always leads to the same endpoint, as long as that one is ready
    /// (session affinity ClientIP). The endpoint follows from the address by hashing, so nothing is
    /// remembered and nothing runs out: how long it should last does not matter.
    Duration affinity{};
    bool operator==(const ServicePort&) const = default;
};

struct ServiceKey {
    Ipv4 cluster_ip{};
    Protocol protocol = Protocol::tcp;
    uint16_t port = 0;
    auto operator<=>(const ServiceKey&) const = default;
};

struct ProxyStats {
    size_t services = 0;         // service ports known
    size_t elements_changed = 0; // by the last change
};

class ServiceProxy {
public:
    static Result<std::unique_ptr<ServiceProxy>> open(const NetworkOptions& options);
    ~ServiceProxy();

    /// Makes the kernel equal to this full desired state. Errors: invalid (two services with one
    /// key or one node port: nothing is changed), or the kernel's refusal (nothing is changed).
    Result<> apply(const std::vector<ServicePort>& services);
    /// Changes single services: `changed` are added or replaced, `removed` forgotten. The same
    /// promise. Requires one apply() before, which fixes what the rest is.
    Result<> update(const std::vector<ServicePort>& changed,
                    const std::vector<ServiceKey>& removed);

    ProxyStats stats() const;

private:
    struct Impl;
    explicit ServiceProxy(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace cloudlet::network
