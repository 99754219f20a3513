#pragma once
// ReplicaSets: keeps the number of pods each asks for.

#include "controller.h"
#include "expectations.h"
#include "replica_set_plan.h"

namespace cloudlet::kube::controllers {

class ReplicaSetController final : public Controller {
public:
    explicit ReplicaSetController(Parts& parts);
    void start() override;
    void stop() override { queue_.stop(); }

private:
    Parts& parts_;
    api::Informer& sets_;
    api::Informer& pods_;
    Expectations expectations_;
    api::WorkQueue queue_;

    void on_pod(const api::Object& before, const api::Object& after);
    void enqueue_owner(const api::Object& pod);
    void enqueue_adopters(const api::Object& orphan);
    Result<Outcome> reconcile(const api::ObjectKey& key);
    Result<std::vector<api::Object>> settle_claims(const api::Object& set);
    ReplicaFailure manage(const api::Object& set, const std::vector<api::Object>& pods);
    ReplicaFailure create_pods(const api::Object& set, size_t count);
    ReplicaFailure remove_pods(const api::Object& set, const std::vector<api::Object>& pods);
};

} // namespace cloudlet::kube::controllers
