#pragma once
// Deployments: carries out what plan_deployment() says.

#include "controller.h"
#include "deployment_plan.h"

namespace cloudlet::kube::controllers {

class DeploymentController final : public Controller {
public:
    explicit DeploymentController(Parts& parts);
    void start() override;
    void stop() override { queue_.stop(); }

private:
    Parts& parts_;
    api::Informer& deployments_;
    api::Informer& sets_;
    api::Informer& pods_;
    api::WorkQueue queue_;

    void on_set(const api::Object& before, const api::Object& after);
    void on_pod(const api::Object& before, const api::Object& after);
    Result<Outcome> reconcile(const api::ObjectKey& key);
    Result<std::vector<api::Object>> settle_claims(const api::Object& deployment);
    DeploymentView look(const api::Object& deployment, std::vector<api::Object> sets) const;
    Result<> carry_out(const api::Object& deployment, const DeploymentPlan& plan);
    Result<bool> create_set(const api::Object& deployment, const Json& set);
    Result<> change_set(const api::Object& deployment, const SetChange& change);
    Result<> write_status(const api::Object& deployment, const Json& status);
};

} // namespace cloudlet::kube::controllers
