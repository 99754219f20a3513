// What every cluster has from the start: its namespaces and the Service by which pods find the API.

#include <fmt/format.h>

#include "admission.h"
#include "cloudlet/base/log.h"
#include "cloudlet/io/worker_pool.h"

namespace cloudlet::kube::server {

namespace {

namespace resources = api::resources;

WriteContextPointer context_for(Core& core, const api::Resource& resource, std::string ns,
                                std::string name, Verb verb) {
    auto context = std::make_shared<WriteContext>();
    context->target =
        Target{&core.kind_of(resource), nullptr, std::move(ns), std::move(name), verb};
    return context;
}

Outcome<> ensure(Core& core, const api::Resource& resource, const std::string& ns, Json object) {
    const std::string name(object.at({"metadata", "name"}).as_string());
    if (core.cache.of(resource).get(object_path(ns, name))) return {};
    auto created = wait_for([&](WriteDone done) {
        create_object(core, context_for(core, resource, ns, {}, Verb::create), std::move(object),
                      std::move(done));
    });
    if (!created && created.error().reason != "AlreadyExists")
        return refuse(std::move(created.error()));
    return {};
}

/// Makes the object, or changes what differs in it.
Outcome<> reconcile(Core& core, const api::Resource& resource, const std::string& ns,
                    const Json& object) {
    NEED(ensure(core, resource, ns, object));
    const std::string name(object.at({"metadata", "name"}).as_string());
    auto context = context_for(core, resource, ns, name, Verb::patch);
    context->options.field_validation = FieldValidation::ignore;
    NEED(wait_for([&](WriteDone done) {
        patch_object(core, context, PatchKind::merge, object, std::move(done));
    }));
    return {};
}

Json named(std::string_view name, Json labels = {}) {
    Json metadata = Json::object({{"name", name}});
    if (!labels.is_null()) metadata.set("labels", std::move(labels));
    return Json::object({{"metadata", std::move(metadata)}});
}

Json kubernetes_labels() {
    return Json::object({{"component", "apiserver"}, {"provider", "kubernetes"}});
}

Outcome<> ensure_service(Core& core) {
    Json port = Json::object({{"name", "https"}, {"port", 443}, {"protocol", "TCP"}});
    port.set("targetPort", core.options.advertise_port);
    Json service = named("kubernetes", kubernetes_labels());
    service.set("spec", Json::object({{"type", "ClusterIP"},
                                      {"clusterIP", format_ipv4(core.service_range.network + 1)},
                                      {"sessionAffinity", "None"},
                                      {"ports", Json::array({std::move(port)})}}));
    return reconcile(core, resources::services, "default", service);
}

Outcome<> ensure_endpoints(Core& core) {
    if (core.options.advertise_address.empty()) return {};
    const std::string& address = core.options.advertise_address;
    const Json port = Json::object(
        {{"name", "https"}, {"port", core.options.advertise_port}, {"protocol", "TCP"}});

    Json subset = Json::object({{"addresses", Json::array({Json::object({{"ip", address}})})},
                                {"ports", Json::array({port})}});
    Json endpoints =
        named("kubernetes", Json::object({{"endpointslice.kubernetes.io/skip-mirror", "true"}}));
    endpoints.set("subsets", Json::array({std::move(subset)}));
    NEED(reconcile(core, resources::endpoints, "default", endpoints));

    Json slice = named("kubernetes", Json::object({{"kubernetes.io/service-name", "kubernetes"}}));
    Json endpoint = Json::object(
        {{"addresses", Json::array({address})}, {"conditions", Json::object({{"ready", true}})}});
    slice.set("addressType", "IPv4").set("endpoints", Json::array({std::move(endpoint)}));
    slice.set("ports", Json::array({port}));
    return reconcile(core, resources::endpoint_slices, "default", slice);
}

Outcome<> bootstrap_objects(Core& core) {
    for (std::string_view name : {"default", "kube-system", "kube-public", "kube-node-lease"})
        NEED(ensure(core, resources::namespaces, {}, named(name)));
    NEED(ensure_service(core));
    return ensure_endpoints(core);
}

} // namespace

void restore_if_needed(Core& core, const Target& removed) {
    const bool ours = removed.ns == "default" && removed.name == "kubernetes" &&
                      (is_kind(*removed.kind, resources::services) ||
                       is_kind(*removed.kind, resources::endpoints) ||
                       is_kind(*removed.kind, resources::endpoint_slices));
    if (!ours || core.stopped || core.restorations.fetch_add(1) > 0) return;
    const bool queued = core.options.pool->submit([&core] {
        for (int seen = core.restorations; seen > 0;) {
            if (auto done = bootstrap(core); !done)
                log_warning("kube", "{}", done.error().to_string());
            if (core.restorations.compare_exchange_strong(seen, 0)) break;
        }
    });
    if (!queued) core.restorations = 0;
}

Result<> bootstrap(Core& core) {
    auto done = bootstrap_objects(core);
    if (!done)
        return fail(Code::internal, "making the cluster's first objects: " + done.error().message);
    return {};
}

} // namespace cloudlet::kube::server
