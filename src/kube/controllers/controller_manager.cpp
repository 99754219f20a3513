#include "deployment_controller.h"
#include "endpoints_controller.h"
#include "garbage_controller.h"
#include "namespace_controller.h"
#include "node_controller.h"
#include "replica_set_controller.h"

namespace cloudlet::kube::controllers {

struct ControllerManager::Impl {
    Parts parts;
    std::vector<std::unique_ptr<Controller>> controllers;

    Impl(const ControllerOptions& options, api::InformerSet& informers)
        : parts(options, informers) {
        controllers.push_back(std::make_unique<NamespaceController>(parts));
        controllers.push_back(std::make_unique<NodeController>(parts));
        controllers.push_back(std::make_unique<DeploymentController>(parts));
        controllers.push_back(std::make_unique<ReplicaSetController>(parts));
        controllers.push_back(std::make_unique<EndpointsController>(parts));
        controllers.push_back(std::make_unique<GarbageController>(parts));
    }
};

ControllerManager::ControllerManager(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ControllerManager::~ControllerManager() { stop(); }

Result<std::unique_ptr<ControllerManager>>
ControllerManager::create(const ControllerOptions& options, api::InformerSet& informers) {
    if (!options.clock) return fail(Code::invalid, "the controllers need a clock");
    return std::unique_ptr<ControllerManager>(
        new ControllerManager(std::make_unique<Impl>(options, informers)));
}

Result<> ControllerManager::start() {
    TRY(impl_->parts.informers.start());
    for (auto& controller : impl_->controllers) controller->start();
    return {};
}

void ControllerManager::stop() {
    for (auto& controller : impl_->controllers) controller->stop();
    impl_->parts.events.stop();
}

} // namespace cloudlet::kube::controllers
