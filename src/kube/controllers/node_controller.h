#pragma once
// Nodes: notices those that fall silent, taints them, and lets their pods go.

#include <map>
#include <mutex>
#include <optional>

#include "controller.h"
#include "node_plan.h"

namespace cloudlet::kube::controllers {

class NodeController final : public Controller {
public:
    explicit NodeController(Parts& parts);
    void start() override;
    void stop() override { queue_.stop(); }

private:
    /// The last sign of life, by our own clock: the node's may go wrong.
    struct Heartbeat {
        std::string sign;
        MonotonicTime seen;
    };

    Parts& parts_;
    api::Informer& nodes_;
    api::Informer& leases_;
    api::Informer& pods_;
    std::map<std::string, Heartbeat> heartbeats_; // the one worker's own, as the next
    std::map<std::string, MonotonicTime> missing_since_;
    api::WorkQueue queue_;

    void on_pod(const api::Object& before, const api::Object& after);
    Result<Outcome> reconcile(const api::ObjectKey& key);
    Duration silence_of(const api::Object& node);
    Result<> carry_out(const api::Object& node, const NodePlan& plan);
    Result<> mark_pods_unready(const std::string& node);
    Result<std::optional<Duration>> evict(const std::string& node, const Json& taints);
    Result<Outcome> clear_lost_node(const std::string& node);
};

} // namespace cloudlet::kube::controllers
