#pragma once
// What every controller has: the parts it works with, and its life.

#include <functional>
#include <string>
#include <vector>

#include "cloudlet/api/client.h"
#include "cloudlet/api/event_recorder.h"
#include "cloudlet/api/informer.h"
#include "cloudlet/api/work_queue.h"
#include "cloudlet/kube/controllers/controllers.h"

namespace cloudlet::kube::controllers {

using codec::Json;
using Outcome = api::WorkQueue::Outcome;

/// Owned by the manager, shared by all controllers.
struct Parts {
    ControllerOptions options;
    api::InformerSet& informers;
    api::Client& client;
    api::EventRecorder events;

    Parts(const ControllerOptions& o, api::InformerSet& set)
        : options(o), informers(set), client(set.client()),
          events(set.client(), "controller-manager", {}, *o.clock) {}
    WallTime now() const { return options.clock->wall(); }
    api::Informer& of(const api::Resource& resource) { return informers.of(resource); }
};

/// Made before the informers start (indexes are added then), started after.
class Controller {
public:
    virtual ~Controller() = default;
    /// Adds its handlers and starts its workers.
    virtual void start() = 0;
    /// Ends its workers. Handlers may still be called and do nothing.
    virtual void stop() = 0;
};

/// The name of the pods', ReplicaSets' index by the uid of their controller; "/<namespace>" for
/// those that have none.
inline const std::string by_controller = "controller";
std::vector<std::string> controller_index(const api::Object& object);

/// Runs all calls, up to eight at once, and returns when all have ended.
void run_parallel(const std::vector<std::function<void()>>& calls);

/// The owner reference that makes `owner` the controller of an object.
Json controller_reference(const api::Object& owner);

/// A JSON merge patch of metadata that adds (or takes away) one owner reference. `object` is as it
/// was read; the patch holds only for that version of it.
Json adoption_patch(const api::Object& object, const api::Object& owner);
Json release_patch(const api::Object& object, std::string_view owner_uid);

} // namespace cloudlet::kube::controllers
