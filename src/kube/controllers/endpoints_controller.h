#pragma once
// Endpoints and EndpointSlices: follows Services and their pods.

#include "controller.h"
#include "endpoints_plan.h"
#include "expectations.h"

namespace cloudlet::kube::controllers {

class EndpointsController final : public Controller {
public:
    explicit EndpointsController(Parts& parts);
    void start() override;
    void stop() override { queue_.stop(); }

private:
    Parts& parts_;
    api::Informer& services_;
    api::Informer& pods_;
    api::Informer& slices_;
    api::Informer& endpoints_;
    Expectations expectations_; // slices made and not yet seen, by uid of the Service
    api::WorkQueue queue_;

    void on_pod(const api::Object& before, const api::Object& after);
    void enqueue_services_of(const api::Object& pod);
    void on_slice(const api::Object& before, const api::Object& after);
    Result<Outcome> reconcile(const api::ObjectKey& key);
    Result<> forget(const api::ObjectKey& key);
    std::vector<api::Object> slices_of(const api::ObjectKey& service) const;
    Result<> write_endpoints(const api::Object& service, const std::vector<api::Object>& pods);
    Result<> write_slices(const api::Object& service, const std::vector<api::Object>& pods);
};

} // namespace cloudlet::kube::controllers
