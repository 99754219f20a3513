#pragma once
// Which node a pod goes to: a pure function of the pod's needs and the cache.

#include <map>
#include <optional>
#include <string>

#include "node_cache.h"

namespace cloudlet::kube::scheduler {

/// Either `node`, or the reasons why each node was ruled out, counted.
struct Decision {
    std::optional<std::string> node;
    std::map<std::string, int> reasons; // "Insufficient cpu" -> 2
    int nodes_seen = 0;

    /// As the stock scheduler words it: "0/3 nodes are available: 1 Insufficient cpu, 2 ...".
    std::string message() const;
};

/// Filters, then prefers the node with the largest share left free after the pod (least allocated,
/// mean of CPU and memory); equal nodes are told apart by fewer pods, then by name.
Decision decide(const PodNeeds& needs, const NodeCache& cache);

} // namespace cloudlet::kube::scheduler
