#pragma once
// What the scheduler knows of the cluster: each node's size, labels and taints, and what its pods
// ask for together. Changed by every event in time that does not depend on the cluster's size.

#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include "pod_needs.h"

namespace cloudlet::kube::scheduler {

struct Taint {
    std::string key, value, effect;
};

struct NodeState {
    std::string name;
    bool known = false; // false: pods are bound to it, but the node object is not there
    bool unschedulable = false;
    Amounts allocatable;
    int64_t max_pods = 110;
    codec::Json labels;
    std::vector<Taint> taints;

    Amounts requested;
    int64_t pods = 0;
    std::vector<HostPortNeed> ports;
};

/// Not thread-safe.
class NodeCache {
public:
    void set_node(const api::Object& node);
    void remove_node(const std::string& name);

    /// A pod that is bound (by anybody). Idempotent for one uid; a later call with other needs
    /// replaces.
    void add_pod(const std::string& uid, const std::string& node, const PodNeeds& needs);
    /// A pod that ended or is gone, or a binding that failed. Unknown ones are ignored.
    void remove_pod(const std::string& uid);

    const std::map<std::string, NodeState>& nodes() const { return nodes_; }

private:
    struct Placed {
        std::string node;
        PodNeeds needs;
    };
    std::map<std::string, NodeState> nodes_;
    std::unordered_map<std::string, Placed> pods_; // by uid
};

} // namespace cloudlet::kube::scheduler
