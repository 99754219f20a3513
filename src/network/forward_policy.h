#pragma once
// Firewalls that are not ours but stop pod traffic: a FORWARD chain that drops what no rule accepts
// (Docker and ufw leave such a one). Ours cannot overrule it, and others' rules are not ours to
// change, so a person is told in one line.

#include <string>
#include <vector>

#include "cloudlet/linux/nftables.h"
#include "cloudlet/network/options.h"

namespace cloudlet::network {

/// One line for each obstacle with its fix; empty when there is none. A chain with a rule that
/// names our links counts as fixed. Reads nf_tables over netlink and iptables-legacy by getsockopt.
std::vector<std::string> forward_obstacles(linux::NetlinkSocket& socket,
                                           const NetworkOptions& options);

} // namespace cloudlet::network
