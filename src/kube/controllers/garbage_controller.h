#pragma once
// Garbage collection: objects go with their owners.

#include <map>

#include "controller.h"
#include "garbage_plan.h"

namespace cloudlet::kube::controllers {

class GarbageController final : public Controller {
public:
    explicit GarbageController(Parts& parts);
    void start() override;
    void stop() override { queue_.stop(); }

private:
    Parts& parts_;
    std::map<std::string, api::Informer*> watched_; // by qualified resource name
    api::WorkQueue queue_;                          // keys' namespace: "<resource>/<namespace>"

    void on_change(const std::string& resource, const api::Object& before,
                   const api::Object& after);
    api::Informer* informer_of(std::string_view api_version, std::string_view kind) const;
    std::vector<std::pair<api::Informer*, api::Object>> dependents_of(const std::string& uid) const;
    void enqueue(const api::Informer& informer, const api::Object& object);
    Result<Outcome> reconcile(const api::ObjectKey& key);
    Result<bool> attend_dependent(api::Informer& informer, const api::Object& object);
    Result<> attend_owner(api::Informer& informer, const api::Object& owner);
    Result<OwnerState> state_of(const api::Object& dependent, const api::OwnerReference& reference);
    Result<> drop_owner(const api::Resource& resource, const api::Object& object,
                        std::vector<std::string> uids);
};

} // namespace cloudlet::kube::controllers
