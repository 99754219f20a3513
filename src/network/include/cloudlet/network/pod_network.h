#pragma once
// Pods on the network: each gets an address of the node's block and a routed veth pair, no bridge.
//
//   pod netns                    node
//   eth0 10.244.0.5/32  <-veth-> cl<id>-0005   route 10.244.0.5/32 dev cl<id>-0005
//   default via 10.244.0.1       lo 10.244.0.1/32 (the gateway; DNS listens there)
//
// Neighbour entries are permanent on both sides, so no ARP is ever asked. Traffic that leaves the
// pods' network is masqueraded; host ports are DNATed. The kernel is the record: a link's name
// holds its address, its alias the pod's id, the nft map the host ports. So kill -9 at any moment
// leaks nothing: open() reads what is there, reconcile() removes what has no living pod.
//
// The network namespace of the thread that calls open() is the node. Thread-safe.

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/network/options.h"

namespace cloudlet::network {

struct HostPort {
    std::optional<Ipv4> host_address{}; // nullopt: every address of the node
    uint16_t host_port = 0;
    uint16_t pod_port = 0;
    Protocol protocol = Protocol::tcp;
    auto operator<=>(const HostPort&) const = default;
};

struct AttachRequest {
    std::string id{};         // the pod's uid; at most 200 bytes
    std::string netns_path{}; // the pod's pinned network namespace, outside of any other attachment
    std::vector<HostPort> host_ports{};
};

struct PodAttachment {
    std::string id{};
    Ipv4 address{};
    Ipv4 gateway{};
    std::string link{}; // the node's end of the pair
    uint32_t mtu = 0;
    std::vector<HostPort> host_ports{};
};

class PodNetwork {
public:
    /// Makes the node's part (forwarding, gateway address, rules) or adopts what a former process
    /// left. Errors: conflict when another network uses one of the blocks; unsupported when the
    /// kernel has no nf_tables; invalid options.
    static Result<std::unique_ptr<PodNetwork>> open(const NetworkOptions& options);
    ~PodNetwork();

    /// Connects the pod; its loopback and eth0 are up afterwards. Attaching an attached id again
    /// gives the same attachment. Errors: not_found (netns), exhausted (addresses), conflict (host
    /// port).
    Result<PodAttachment> attach(const AttachRequest& request);
    /// Removes link, routes and host ports. An unknown id is done.
    Result<> detach(const std::string& id);
    /// Detaches every id that is not in `live` and returns those; makes the rules again when
    /// somebody has flushed them. open() has already removed half-made links.
    Result<std::vector<std::string>> reconcile(const std::set<std::string>& live);
    std::vector<PodAttachment> attachments() const;

    /// Removes everything of this instance from the node: links, routes, addresses, the nft table;
    /// the last instance of the machine also restores the sysctls.
    Result<> teardown();
    /// The same without an open network (after a crash, for `down --purge`).
    static Result<> teardown(const NetworkOptions& options);

    /// What will stop our traffic though it is not ours, one line each with its fix:
    /// a FORWARD chain of somebody else that drops by default.
    std::vector<std::string> warnings() const;

private:
    struct Impl;
    explicit PodNetwork(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace cloudlet::network
