#include "admission.h"

#include <fmt/format.h>

namespace cloudlet::kube::server {

namespace {

namespace resources = api::resources;

/// A new namespace gets its label and, in the same transaction, the ServiceAccount that its pods
/// use: a pod created right after it must find one.
Outcome<> admit_new_namespace(Core& core, Decision& decision) {
    Json& object = decision.object;
    const std::string name(object.at({"metadata", "name"}).as_string());
    object.set_path({"metadata", "labels", "kubernetes.io/metadata.name"}, name);

    const api::Kind& kind = core.kind_of(resources::service_accounts);
    const std::string key = store_key(kind, name, "default");
    decision.also.compares.push_back(
        {key, store::Compare::Target::exists, store::Compare::Op::equal, 0});
    decision.also.then.emplace_back(store::Put{
        key, share(encode_for_store(kind, new_service_account(core, name, "default"))), 0});
    return {};
}

Outcome<> give_lease(Core& core, const Target& target, Decision& decision) {
    if (is_kind(*target.kind, resources::events))
        decision.lease = NEED(core.event_leases.current());
    return {};
}

} // namespace

bool is_kind(const api::Kind& kind, const api::Resource& resource) {
    return kind.plural == resource.plural && kind.group == resource.group;
}

Outcome<> admit_namespace(Core& core, const Target& target, std::string_view name,
                          Decision& decision) {
    if (!target.kind->namespaced) return {};
    const ObjectPointer ns = core.cache.of(resources::namespaces).get(target.ns);
    if (!ns) return refuse(not_found(resources::namespaces, target.ns));
    if (ns->being_deleted()) {
        Failure failure = forbidden(
            resource_of(*target.kind), name,
            fmt::format("unable to create new content in namespace {} because it is being "
                        "terminated",
                        target.ns));
        failure.causes.push_back({"NamespaceTerminating",
                                  fmt::format("namespace {} is being terminated", target.ns),
                                  "metadata.namespace"});
        return refuse(std::move(failure));
    }
    decision.also.compares.push_back({store_key(ns->kind(), {}, target.ns),
                                      store::Compare::Target::mod_revision,
                                      store::Compare::Op::equal, ns->revision()});
    return {};
}

Outcome<> admit_create(Core& core, const Target& target, Decision& decision) {
    NEED(give_lease(core, target, decision));
    if (is_kind(*target.kind, resources::namespaces)) return admit_new_namespace(core, decision);
    if (is_kind(*target.kind, resources::pods)) return admit_pod(core, target, decision.object);
    if (is_kind(*target.kind, resources::services)) return admit_service(core, Json(), decision);
    return {};
}

Outcome<> admit_update(Core& core, const Target& target, const Json& old, Decision& decision) {
    NEED(give_lease(core, target, decision));
    if (is_kind(*target.kind, resources::services)) return admit_service(core, old, decision);
    if (is_kind(*target.kind, resources::namespaces))
        decision.object.set_path({"metadata", "labels", "kubernetes.io/metadata.name"},
                                 old.at({"metadata", "name"}));
    return {};
}

void admit_removal(Core& core, const api::Kind& kind, const Json& old, Decision& decision) {
    if (is_kind(kind, resources::services)) release_service(core, old, decision);
}

} // namespace cloudlet::kube::server
