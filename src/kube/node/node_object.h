#pragma once
// The Node object: what this machine has, and how it is. Facts are read once; conditions each time.

#include <map>
#include <string>
#include <vector>

#include "cloudlet/codec/json.h"
#include "cloudlet/image/image_store.h"
#include "cloudlet/kube/node/node_agent.h"

namespace cloudlet::kube::node {

struct MachineFacts {
    int64_t cpus = 1;
    int64_t memory_bytes = 0;
    int64_t disk_bytes = 0;
    std::string machine_id, system_uuid, boot_id, kernel_version, os_image, architecture, hostname;
};
/// Reads /proc, /etc/os-release and friends; what is missing stays empty. `root`: whose disk
/// counts.
MachineFacts read_machine(const std::string& root);

/// What changes while the node runs.
struct NodePressure {
    bool memory = false, disk = false, pid = false;
};
NodePressure read_pressure(const std::string& root);

/// metadata and spec of a new Node.
codec::Json node_object(const NodeAgentOptions& options, const MachineFacts& facts);
/// status: addresses, capacity, conditions (transition times kept from `before`), nodeInfo, images.
codec::Json node_status(const NodeAgentOptions& options, const MachineFacts& facts,
                        const NodePressure& pressure, const std::vector<image::Image>& images,
                        const codec::Json& before, bool ready, WallTime now);

} // namespace cloudlet::kube::node
