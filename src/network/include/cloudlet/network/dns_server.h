#pragma once
// The cluster's name server (Kubernetes DNS-Based Service Discovery specification 1.1.0; RFC 1035,
// 2308, 6891, 7766). It answers for the cluster's domain and the reverse zones of pods and services
// from a snapshot in memory, and forwards everything else to the node's name servers.
//
// One thread of its own serves UDP (batches of datagrams) and TCP; it sleeps when nobody asks.
// update() may be called from any thread: an answer sees the old records or the new, never a
// mixture.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"
#include "cloudlet/network/options.h"

namespace cloudlet::network {

struct DnsEndpoint {
    Ipv4 address{};
    std::string hostname{}; // <hostname>.<service>...; empty: the address with dashes
    bool operator==(const DnsEndpoint&) const = default;
};

struct DnsPort {
    std::string name{}; // unnamed ports have no SRV record of their own
    Protocol protocol = Protocol::tcp;
    uint16_t port = 0;
    bool operator==(const DnsPort&) const = default;
};

struct DnsService {
    std::string name{};
    std::string ns{};
    std::optional<Ipv4> cluster_ip{}; // nullopt: headless, the endpoints' addresses are the answer
    std::string external_name{};      // a CNAME instead (type ExternalName)
    std::vector<DnsPort> ports{};     // of a headless service: the target ports
    /// The ready ones. A headless service's names lead to them; with a cluster IP they only get
    /// names of their own (<a-b-c-d>.<service>...) and may be left out.
    std::vector<DnsEndpoint> endpoints{};
    bool operator==(const DnsService&) const = default;
};

struct DnsPod {
    Ipv4 address{};
    std::string ns{};
    bool operator==(const DnsPod&) const = default;
};

struct DnsRecords {
    std::vector<DnsService> services{};
    std::vector<DnsPod>
        pods{}; // only for PTR: the address leads back to <a-b-c-d>.<ns>.pod.<domain>
    std::vector<std::string>
        namespaces{}; // <a-b-c-d>.<ns>.pod.<domain> exists in these; empty: in all
};

struct DnsOptions {
    std::vector<Ipv4> listen{}; // the pod gateway address
    uint16_t port = 53;         // 0: any free one, see DnsServer::port() (tests)
    std::string domain = "cluster.local";
    Ipv4Block pod_block{{0x0AF40000}, 16}; // every node's pods
    Ipv4Block service_block{{0x0A600000}, 16};
    /// "address" or "address#port". nullopt: the nameserver lines of resolv_conf, read again when
    /// the file changes. An empty list: what is not ours is refused.
    std::optional<std::vector<std::string>> upstreams{};
    std::string resolv_conf = "/etc/resolv.conf";
    Duration upstream_timeout =
        std::chrono::seconds(2); // per try; each server is tried, twice at most
};

struct DnsStats {
    uint64_t queries = 0;
    uint64_t forwarded = 0;
    uint64_t failed_forwards = 0; // no server answered in time
};

class DnsServer {
public:
    /// Binds and starts. Error: already_exists when the port is taken, naming address and port.
    static Result<std::unique_ptr<DnsServer>> start(const DnsOptions& options);
    ~DnsServer(); // stops and joins

    void update(DnsRecords records);
    uint16_t port() const;
    DnsStats stats() const;

private:
    struct Impl;
    explicit DnsServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace cloudlet::network
