#pragma once
// The scheduler: gives each pod without a node the node that suits it best.
//
// One thread decides, from a cache of nodes and of what is placed on them; a decision takes
// microseconds and is assumed at once, so the next pod sees it. Binding, which waits for the disk,
// is done by a few workers beside it. A pod that fits nowhere says why in its PodScheduled
// condition and in an Event, and is tried again when a node or a placed pod changes.

#include <cstddef>
#include <memory>
#include <string>

#include "cloudlet/base/result.h"

namespace cloudlet::api {
class InformerSet;
}

namespace cloudlet::kube::scheduler {

struct SchedulerOptions {
    std::string name = "default-scheduler"; // pods whose spec.schedulerName says so are placed
    size_t binders = 4;                     // threads that wait for bindings to be durable
};

/// Owns its threads. `informers` (pods and nodes; its client writes) outlives it, and is stopped
/// before it is destroyed.
class Scheduler {
public:
    /// Error: Code::invalid for an option.
    static Result<std::unique_ptr<Scheduler>> create(SchedulerOptions options,
                                                     api::InformerSet& informers);
    ~Scheduler(); // stop()
    Scheduler(const Scheduler&) = delete;
    Scheduler& operator=(const Scheduler&) = delete;

    /// Watches the informers, which the caller starts, and begins to place pods. Call once.
    Result<> start();
    /// Ends its threads; what is under way is finished. Idempotent.
    void stop();

private:
    struct Impl;
    explicit Scheduler(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace cloudlet::kube::scheduler
