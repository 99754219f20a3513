#pragma once
// The controllers: each watches some objects and drives the API toward what they ask for. A
// controller is a work queue and reconcile(key): it reads the informers' copies, asks a pure
// function what to do, and writes through the client. Which ones there are, and their rules, is in
// README.md.

#include <memory>
#include <string>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"

namespace cloudlet::api {
class InformerSet;
}

namespace cloudlet::kube::controllers {

struct ControllerOptions {
    std::string ca_pem; // published to every namespace as the ConfigMap kube-root-ca.crt
    const Clock* clock = &system_clock();
    /// A node whose Lease and status stand still for so long is taken for lost.
    Duration node_grace = std::chrono::seconds{50};
    /// Pods of a node that is gone from the API are removed after this time.
    Duration lost_node_grace = std::chrono::seconds{40};
};

/// Owns all controllers and their threads. `informers`, whose client writes, outlives it, and is
/// stopped before it is destroyed: its handlers point here.
class ControllerManager {
public:
    /// Asks the informers for what the controllers watch. Error: Code::invalid for an option.
    static Result<std::unique_ptr<ControllerManager>> create(const ControllerOptions& options,
                                                             api::InformerSet& informers);
    ~ControllerManager(); // stop()
    ControllerManager(const ControllerManager&) = delete;
    ControllerManager& operator=(const ControllerManager&) = delete;

    /// Starts the informers that are not started yet, and the workers. Call once.
    Result<> start();
    /// Ends the workers; what is under way is finished. Idempotent.
    void stop();

private:
    struct Impl;
    explicit ControllerManager(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace cloudlet::kube::controllers
