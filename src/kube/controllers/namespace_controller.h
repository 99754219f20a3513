#pragma once
// Namespaces: what each has from the start (the default ServiceAccount, the cluster's root
// certificate), and their end: everything in them is deleted, then the namespace is let go by its
// /finalize subresource.

#include "controller.h"

namespace cloudlet::kube::controllers {

class NamespaceController final : public Controller {
public:
    explicit NamespaceController(Parts& parts);
    void start() override;
    void stop() override { queue_.stop(); }

private:
    Parts& parts_;
    api::Informer& namespaces_;
    api::Informer& accounts_;
    api::Informer& config_maps_;
    api::WorkQueue queue_;

    Result<Outcome> reconcile(const api::ObjectKey& key);
    Result<> furnish(const std::string& name);
    Result<Outcome> clear(const api::Object& ns);
    Result<std::string> delete_content(const std::string& name);
    Result<> show_progress(const api::Object& ns, const std::string& remaining);
    Result<> release(const api::Object& ns);
};

} // namespace cloudlet::kube::controllers
