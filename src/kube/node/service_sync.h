#pragma once
// Keeps the kernel's service rules and the name server's records equal to the API's Services and
// EndpointSlices, and knows which pod addresses the rules lead to: a container that ends is not
// told so before new connections have stopped coming. One thread; only what changed is worked on.

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "cloudlet/api/informer.h"
#include "service_rules.h"

namespace cloudlet::kube::node {

class ServiceSync {
public:
    using RoutesChanged = std::function<void()>;
    /// `proxy` and `dns` may be null. `own_dns`: the cluster IP that the network itself serves.
    ServiceSync(api::InformerSet& informers, network::ServiceProxy* proxy, network::DnsServer* dns,
                std::string own_dns, RoutesChanged changed);
    ~ServiceSync();
    /// Programs everything once, then follows. The informers must be started.
    void start();
    void stop();

    /// True while a rule in the kernel leads to this address because its endpoint is ready.
    bool is_routed(const std::string& ip) const;

private:
    struct Programmed {
        std::vector<network::ServicePort> ports;
        std::optional<network::DnsService> dns;
        std::set<linux::Ipv4> routed;
    };
    void touch(const api::ObjectKey& service);
    void run();
    void work(const std::set<api::ObjectKey>& services);
    Programmed compute(const api::ObjectKey& service) const;
    bool program(const std::map<api::ObjectKey, Programmed>& fresh);

    api::InformerSet& informers_;
    network::ServiceProxy* proxy_;
    network::DnsServer* dns_;
    std::string own_dns_;
    RoutesChanged changed_;

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::set<api::ObjectKey> dirty_;
    std::map<linux::Ipv4, int> routed_; // how many services lead there
    bool stopping_ = false;
    std::map<api::ObjectKey, Programmed> state_; // sync thread
    bool applied_ = false;                       // sync thread: apply() has fixed the rest
    std::thread thread_;
};

} // namespace cloudlet::kube::node
