#include "node_cache.h"

#include <algorithm>

#include "cloudlet/api/quantity.h"

namespace cloudlet::kube::scheduler {

void NodeCache::set_node(const api::Object& object) {
    auto& node = nodes_[std::string(object.name())];
    node.name = object.name();
    node.known = true;
    node.unschedulable = object.spec()["unschedulable"].as_bool();
    const auto& allocatable = object.status()["allocatable"];
    node.allocatable = amounts_of(allocatable);
    if (auto pods = api::Quantity::parse(allocatable["pods"].as_string()))
        node.max_pods = pods->value();
    node.labels = object.metadata()["labels"];
    node.taints.clear();
    for (const auto& taint : object.spec()["taints"].items())
        node.taints.push_back({std::string(taint["key"].as_string()),
                               std::string(taint["value"].as_string()),
                               std::string(taint["effect"].as_string())});
}

void NodeCache::remove_node(const std::string& name) {
    auto found = nodes_.find(name);
    if (found == nodes_.end()) return;
    found->second.known = false;
    if (found->second.pods == 0) nodes_.erase(found);
}

void NodeCache::add_pod(const std::string& uid, const std::string& name, const PodNeeds& needs) {
    remove_pod(uid);
    auto& node = nodes_[name];
    node.name = name;
    node.requested.add(needs.amounts);
    ++node.pods;
    node.ports.insert(node.ports.end(), needs.ports.begin(), needs.ports.end());
    pods_.emplace(uid, Placed{name, needs});
}

void NodeCache::remove_pod(const std::string& uid) {
    auto found = pods_.find(uid);
    if (found == pods_.end()) return;
    auto& node = nodes_[found->second.node];
    node.requested.subtract(found->second.needs.amounts);
    --node.pods;
    for (const auto& port : found->second.needs.ports) {
        auto used = std::find(node.ports.begin(), node.ports.end(), port);
        if (used != node.ports.end()) node.ports.erase(used);
    }
    if (!node.known && node.pods == 0) nodes_.erase(found->second.node);
    pods_.erase(found);
}

} // namespace cloudlet::kube::scheduler
