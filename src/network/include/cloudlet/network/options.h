#pragma once
// What the network of one node is made from. PodNetwork and ServiceProxy of one instance are opened
// with the same options.

#include <optional>
#include <string>

#include "cloudlet/linux/ipv4.h"

namespace cloudlet::network {

using linux::Ipv4;
using linux::Ipv4Block;

enum class Protocol : uint8_t { tcp = 6, udp = 17, sctp = 132 };

struct NetworkOptions {
    /// Lower-case letters and digits. It names the nft table ("cloudlet-<id>") and, shortened to
    /// eight characters when longer, the links ("cl<id>-<number>").
    std::string instance_id{};
    Ipv4Block pod_block{{0x0AF40000}, 24};     // this node's pods: 10.244.0.0/24; /16 to /30
    Ipv4Block cluster_block{{0x0AF40000}, 16}; // every node's pods: 10.244.0.0/16
    Ipv4Block service_block{{0x0A600000}, 16}; // cluster IPs: 10.96.0.0/16
    std::optional<Ipv4> dns_service{};         // this cluster IP's port 53 leads to the gateway's
    uint32_t mtu = 0; // 0: that of the link with the default route, else 1500
    /// Where former sysctl values are remembered until the last instance is torn down. It does not
    /// outlive a reboot, as the values do not either.
    std::string run_dir = "/run/cloudlet";

    /// The first address of the node's block: the pods' way out, and where DNS listens.
    Ipv4 gateway() const { return {pod_block.base.value + 1}; }
    std::string table() const { return "cloudlet-" + instance_id; }
    /// What every link of ours begins with, "cl<id>-".
    std::string link_prefix() const;
};

/// Error: invalid, naming the field.
Result<> validate(const NetworkOptions& options);

} // namespace cloudlet::network
