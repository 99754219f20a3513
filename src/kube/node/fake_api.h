#pragma once
// An API in memory for tests: objects by key, watches, the three patch types, graceful deletion of
// pods. No validation, no defaulting.

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <mutex>

#include "cloudlet/api/client.h"
#include "cloudlet/api/kind.h"
#include "cloudlet/api/patch.h"
#include "cloudlet/base/id.h"

namespace cloudlet::kube::node {

class FakeApi final : public api::Client {
public:
    using Json = codec::Json;

    Result<api::Object> get(const api::Resource& resource, const api::ObjectKey& key) override {
        std::lock_guard lock(mutex_);
        auto& objects = objects_[resource];
        auto found = objects.find(key);
        if (found == objects.end())
            return fail(Code::not_found, resource.plural + " \"" + key.name + "\" not found");
        return found->second;
    }

    Result<api::ObjectList> list(const api::Resource& resource, const std::string& ns,
                                 const api::ListOptions& options) override {
        std::lock_guard lock(mutex_);
        api::ObjectList list;
        for (const auto& [key, object] : objects_[resource])
            if ((ns.empty() || key.ns == ns) && options.fields.matches(object.json()))
                list.items.push_back(object);
        list.resource_version = std::to_string(revision_);
        return list;
    }

    Result<api::Object> create(const api::Resource& resource, const std::string& ns,
                               Json json) override {
        std::lock_guard lock(mutex_);
        json.set_path({"metadata", "namespace"}, ns);
        if (json.at({"metadata", "uid"}).is_null()) json.set_path({"metadata", "uid"}, new_uuid());
        const api::ObjectKey key{ns, std::string(json.at({"metadata", "name"}).as_string())};
        if (objects_[resource].contains(key))
            return fail(Code::already_exists, key.to_string() + " already exists");
        return put(resource, key, std::move(json));
    }

    Result<api::Object> update(const api::Resource& resource, const api::ObjectKey& key,
                               Json object, const std::string&) override {
        std::lock_guard lock(mutex_);
        return put(resource, key, std::move(object));
    }

    Result<api::Object> patch(const api::Resource& resource, const api::ObjectKey& key,
                              api::PatchType type, const Json& patch, const std::string&) override {
        std::lock_guard lock(mutex_);
        auto found = objects_[resource].find(key);
        if (found == objects_[resource].end())
            return fail(Code::not_found, key.to_string() + " not found");
        const auto uid = patch.at({"metadata", "uid"}).as_string();
        if (!uid.empty() && uid != found->second.uid()) return fail(Code::conflict, "another uid");
        if (type == api::PatchType::merge)
            return put(resource, key, api::apply_merge_patch(found->second.json(), patch));
        const api::Kind* kind =
            api::builtin_kinds().find(resource.group, resource.version, resource.plural);
        if (!kind) return fail(Code::unsupported, "no schema of " + resource.plural);
        ++status_writes;
        return put(resource, key,
                   TRY(api::apply_strategic_patch(found->second.json(), patch, *kind->schema)));
    }

    Result<> remove(const api::Resource& resource, const api::ObjectKey& key,
                    const api::DeleteOptions& options) override {
        std::lock_guard lock(mutex_);
        auto found = objects_[resource].find(key);
        if (found == objects_[resource].end())
            return fail(Code::not_found, key.to_string() + " not found");
        if (!options.uid.empty() && options.uid != found->second.uid())
            return fail(Code::conflict, "another uid");
        const int64_t grace = options.grace_period_seconds.value_or(
            found->second.spec()["terminationGracePeriodSeconds"].as_int(30));
        if (resource == api::resources::pods && grace > 0) {
            Json json = found->second.json();
            json.set_path({"metadata", "deletionGracePeriodSeconds"}, grace);
            json.set_path({"metadata", "deletionTimestamp"},
                          format_time(system_clock().wall() + std::chrono::seconds(grace)));
            put(resource, key, std::move(json));
            return {};
        }
        const api::Object old = found->second;
        objects_[resource].erase(found);
        tell(resource, {api::WatchEvent::Type::deleted, old});
        return {};
    }

    Result<Json> post(const api::Resource&, const api::ObjectKey&, const std::string& subresource,
                      Json) override {
        if (subresource != "token") return fail(Code::unsupported, subresource);
        Json answer = Json::object();
        answer.set_path({"status", "token"}, "a.b.c");
        return answer;
    }

    Result<std::unique_ptr<api::Watch>>
    watch(const api::Resource& resource, const std::string&, const api::WatchOptions& options,
          std::function<void(const api::WatchEvent&)> on_event) override {
        std::lock_guard lock(mutex_);
        auto watch = std::make_unique<FakeWatch>(*this, watchers_.size());
        watchers_.push_back({resource, options, std::move(on_event), true});
        const int64_t since =
            options.resource_version.empty() ? 0 : std::stoll(options.resource_version);
        for (const auto& [key, object] : objects_[resource])
            if (std::stoll(std::string(object.resource_version())) > since &&
                options.fields.matches(object.json()))
                watchers_.back().function({api::WatchEvent::Type::added, object});
        return watch;
    }

    /// Calls `seen` with every change of a pod; for tests that wait.
    std::function<void(const api::Object&)> on_pod;
    std::atomic<int> status_writes{0};

private:
    struct Watcher {
        api::Resource resource;
        api::WatchOptions options;
        std::function<void(const api::WatchEvent&)> function;
        bool alive = true;
    };
    struct FakeWatch final : api::Watch {
        FakeWatch(FakeApi& owner, size_t place) : api_(owner), index(place) {}
        ~FakeWatch() override {
            std::lock_guard lock(api_.mutex_);
            api_.watchers_[index].alive = false;
        }
        FakeApi& api_;
        size_t index;
    };

    api::Object put(const api::Resource& resource, const api::ObjectKey& key, Json json) {
        json.set_path({"metadata", "resourceVersion"}, std::to_string(++revision_));
        const api::Object object(std::move(json));
        const bool is_new = !objects_[resource].contains(key);
        objects_[resource][key] = object;
        tell(resource,
             {is_new ? api::WatchEvent::Type::added : api::WatchEvent::Type::modified, object});
        return object;
    }

    void tell(const api::Resource& resource, const api::WatchEvent& event) {
        for (size_t i = 0; i < watchers_.size(); ++i) {
            auto& watcher = watchers_[i];
            if (watcher.alive && watcher.resource == resource &&
                watcher.options.fields.matches(event.object.json()))
                watcher.function(event);
        }
        if (on_pod && resource == api::resources::pods) on_pod(event.object);
    }

    std::recursive_mutex mutex_;
    std::map<api::Resource, std::map<api::ObjectKey, api::Object>> objects_;
    std::deque<Watcher> watchers_;
    int64_t revision_ = 100;
};

} // namespace cloudlet::kube::node
