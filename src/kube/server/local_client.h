#pragma once
// api::Client for callers in this process: the same verbs as HTTP, with objects instead of bytes.

#include <memory>

#include "cloudlet/api/client.h"
#include "core.h"
#include "watch_hub.h"

namespace cloudlet::kube::server {

class LocalClient final : public api::Client {
public:
    LocalClient(Core& core, std::shared_ptr<WatchHub> hub) : core_(core), hub_(std::move(hub)) {}

    Result<api::Object> get(const api::Resource& resource, const api::ObjectKey& key) override;
    Result<api::ObjectList> list(const api::Resource& resource, const std::string& ns,
                                 const api::ListOptions& options) override;
    Result<api::Object> create(const api::Resource& resource, const std::string& ns,
                               Json object) override;
    Result<api::Object> update(const api::Resource& resource, const api::ObjectKey& key,
                               Json object, const std::string& subresource) override;
    Result<api::Object> patch(const api::Resource& resource, const api::ObjectKey& key,
                              api::PatchType type, const Json& patch,
                              const std::string& subresource) override;
    Result<> remove(const api::Resource& resource, const api::ObjectKey& key,
                    const api::DeleteOptions& options) override;
    Result<Json> post(const api::Resource& resource, const api::ObjectKey& key,
                      const std::string& subresource, Json body) override;
    Result<std::unique_ptr<api::Watch>>
    watch(const api::Resource& resource, const std::string& ns, const api::WatchOptions& options,
          std::function<void(const api::WatchEvent&)> on_event) override;

private:
    Outcome<WriteContextPointer> context(const api::Resource& resource, const std::string& ns,
                                         const std::string& name, Verb verb,
                                         const std::string& subresource);
    Outcome<api::Object> write(const std::function<void(WriteDone)>& start);

    Core& core_;
    std::shared_ptr<WatchHub> hub_;
};

} // namespace cloudlet::kube::server
