#include "garbage_controller.h"

#include <algorithm>

#include "cloudlet/api/kind.h"

namespace cloudlet::kube::controllers {

using api::Object;
namespace resources = api::resources;

namespace {

const std::string by_owner = "owner";

/// What may own or be owned. Events and Namespaces are neither.
std::vector<api::Resource> collected() {
    return {resources::pods,        resources::replica_sets, resources::deployments,
            resources::services,    resources::endpoints,    resources::endpoint_slices,
            resources::config_maps, resources::secrets,      resources::service_accounts,
            resources::leases,      resources::nodes};
}

Result<> ignore_absence(Result<> result) {
    if (!result && (result.error().code == Code::not_found)) return {};
    return result;
}

Result<> without_value(const Result<Object>& result) {
    if (!result) return tl::unexpected(result.error());
    return {};
}

} // namespace

GarbageController::GarbageController(Parts& parts)
    : parts_(parts), queue_({.name = "garbage", .workers = 2},
                            [this](const api::ObjectKey& key) { return reconcile(key); }) {
    for (const api::Resource& resource : collected()) {
        api::Informer& informer = parts.of(resource);
        informer.add_index(by_owner, [](const Object& object) {
            std::vector<std::string> uids;
            for (const auto& owner : object.owner_references()) uids.push_back(owner.uid);
            return uids;
        });
        watched_[resource.qualified()] = &informer;
    }
}

void GarbageController::start() {
    for (auto& [name, informer] : watched_)
        informer->add_handler([this, resource = name](const Object& before, const Object& after) {
            on_change(resource, before, after);
        });
    queue_.start();
}

void GarbageController::on_change(const std::string& resource, const Object& before,
                                  const Object& after) {
    if (!after) {
        for (const auto& [informer, dependent] : dependents_of(std::string(before.uid())))
            enqueue(*informer, dependent);
        // Its going may be what its own owners wait for.
        for (const auto& owner : before.owner_references())
            if (api::Informer* informer = informer_of(owner.api_version, owner.kind)) {
                Object found = informer->get({std::string(before.ns()), owner.name});
                if (found && found.is_being_deleted()) enqueue(*informer, found);
            }
        return;
    }
    const bool new_owners =
        !after.metadata()["ownerReferences"].empty() &&
        (!before || before.metadata()["ownerReferences"] != after.metadata()["ownerReferences"]);
    const bool ends = after.is_being_deleted() && !after.metadata()["finalizers"].empty();
    if (new_owners || ends) enqueue(*watched_.at(resource), after);
}

api::Informer* GarbageController::informer_of(std::string_view api_version,
                                              std::string_view kind_name) const {
    const api::Kind* kind = api::builtin_kinds().find_object(api_version, kind_name);
    if (!kind) return nullptr;
    const api::Resource resource{std::string(kind->group), std::string(kind->version),
                                 std::string(kind->plural)};
    auto it = watched_.find(resource.qualified());
    return it == watched_.end() ? nullptr : it->second;
}

std::vector<std::pair<api::Informer*, Object>>
GarbageController::dependents_of(const std::string& uid) const {
    std::vector<std::pair<api::Informer*, Object>> found;
    for (const auto& [name, informer] : watched_)
        for (Object& dependent : informer->by_index(by_owner, uid))
            found.emplace_back(informer, std::move(dependent));
    return found;
}

void GarbageController::enqueue(const api::Informer& informer, const Object& object) {
    queue_.add({informer.resource().qualified() + "/" + std::string(object.ns()),
                std::string(object.name())});
}

Result<Outcome> GarbageController::reconcile(const api::ObjectKey& key) {
    const size_t slash = key.ns.find('/');
    api::Informer& informer = *watched_.at(key.ns.substr(0, slash));
    const Object object = informer.get({key.ns.substr(slash + 1), key.name});
    if (!object) return Outcome{};
    if (object.is_being_deleted()) {
        TRY(attend_owner(informer, object));
        return Outcome{};
    }
    // An owner that has begun to wait for this one may not be seen here yet.
    TRY(attend_dependent(informer, object));
    return Outcome{};
}

Result<OwnerState> GarbageController::state_of(const Object& dependent,
                                               const api::OwnerReference& reference) {
    const api::Kind* kind = api::builtin_kinds().find_object(reference.api_version, reference.kind);
    if (!kind) return OwnerState::present; // nothing is known of it: nothing is deleted for it
    const api::Resource resource{std::string(kind->group), std::string(kind->version),
                                 std::string(kind->plural)};
    const api::ObjectKey key{kind->namespaced ? std::string(dependent.ns()) : "", reference.name};
    auto judge = [&](const Object& owner) {
        if (!owner || owner.uid() != reference.uid) return OwnerState::absent;
        const bool waits = owner.is_being_deleted() && has_finalizer(owner, foreground_finalizer);
        return waits ? OwnerState::deleting : OwnerState::present;
    };
    auto watched = watched_.find(resource.qualified());
    if (watched != watched_.end()) {
        const OwnerState state = judge(watched->second->get(key));
        if (state != OwnerState::absent) return state;
    }
    // Absence is believed only of the API itself: the copy may be behind.
    auto live = parts_.client.get(resource, key);
    if (!live && live.error().code != Code::not_found) return tl::unexpected(live.error());
    return live ? judge(*live) : OwnerState::absent;
}

/// True when something was done.
Result<bool> GarbageController::attend_dependent(api::Informer& informer, const Object& object) {
    std::vector<OwnerState> states;
    for (const auto& owner : object.owner_references())
        states.push_back(TRY(state_of(object, owner)));
    const DependentPlan plan = plan_dependent(object, states);
    if (plan.action == DependentPlan::Action::keep) return false;
    if (plan.action == DependentPlan::Action::drop_owners) {
        TRY(drop_owner(informer.resource(), object, plan.drop));
        return true;
    }
    api::DeleteOptions options;
    options.uid = object.uid();
    options.resource_version = object.resource_version(); // it may have got another owner meanwhile
    options.propagation_policy = plan.propagation;
    TRY(ignore_absence(parts_.client.remove(informer.resource(), object.key(), options)));
    return true;
}

Result<> GarbageController::drop_owner(const api::Resource& resource, const Object& object,
                                       std::vector<std::string> uids) {
    Json owners = Json::array();
    for (const Json& one : object.metadata()["ownerReferences"].items())
        if (std::find(uids.begin(), uids.end(), one["uid"].as_string()) == uids.end())
            owners.push_back(one);
    auto metadata =
        Json::object({{"uid", object.uid()}, {"resourceVersion", object.resource_version()}});
    metadata.set("ownerReferences", std::move(owners));
    auto patch = Json::object({{"metadata", std::move(metadata)}});
    return ignore_absence(
        without_value(parts_.client.patch(resource, object.key(), api::PatchType::merge, patch)));
}

Result<> GarbageController::attend_owner(api::Informer& informer, const Object& owner) {
    std::map<std::string, api::Informer*> home;
    std::vector<Object> dependents;
    for (auto& [where, dependent] : dependents_of(std::string(owner.uid()))) {
        home[std::string(dependent.uid())] = where;
        dependents.push_back(std::move(dependent));
    }
    const OwnerPlan plan = plan_owner(owner, dependents);
    for (const Object& dependent : plan.let_go)
        TRY(drop_owner(home[std::string(dependent.uid())]->resource(), dependent,
                       {std::string(owner.uid())}));
    // Each may have other owners that keep it: its own look decides.
    for (const Object& dependent : plan.remove)
        TRY(attend_dependent(*home[std::string(dependent.uid())], dependent));
    if (!plan.let_go.empty()) return fail(Code::conflict, "dependents were let go: look again");
    if (plan.finalizer.empty()) return {};
    Json kept = Json::array();
    for (const Json& one : owner.metadata()["finalizers"].items())
        if (one.as_string() != plan.finalizer) kept.push_back(one);
    auto metadata =
        Json::object({{"uid", owner.uid()}, {"resourceVersion", owner.resource_version()}});
    metadata.set("finalizers", std::move(kept));
    auto patch = Json::object({{"metadata", std::move(metadata)}});
    return ignore_absence(without_value(
        parts_.client.patch(informer.resource(), owner.key(), api::PatchType::merge, patch)));
}

} // namespace cloudlet::kube::controllers
