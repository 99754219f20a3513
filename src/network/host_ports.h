#pragma once
// Host ports: a port of the node that leads into one pod. The nft map is the record; see
// pod_network.h.

#include <map>
#include <string>

#include "cloudlet/linux/nftables.h"
#include "cloudlet/network/pod_network.h"

namespace cloudlet::network {

using Attachments = std::map<std::string, PodAttachment>;

/// Error: conflict, naming the pod that has the port.
Result<> check_host_ports_are_free(const Attachments& attached, const AttachRequest& request);

Result<> add_host_ports(linux::NetlinkSocket& socket, const NetworkOptions& options,
                        const PodAttachment& pod);

/// Removes those the kernel has for the pod, and makes their UDP clients' connections forgotten.
Result<> remove_host_ports(linux::NetlinkSocket& socket, const NetworkOptions& options,
                           const PodAttachment& pod);

/// Reads the host ports of the attached pods from the kernel; those of no pod are removed.
Result<> adopt_host_ports(linux::NetlinkSocket& socket, const NetworkOptions& options,
                          Attachments& attached);

} // namespace cloudlet::network
