#include "endpoints_controller.h"

#include <algorithm>

#include "cloudlet/api/selector.h"
#include "pods.h"

namespace cloudlet::kube::controllers {

using api::Object;
namespace resources = api::resources;

namespace {

const std::string by_service = "service";

bool is_ours(const Object& slice) { return slice.label(slice_manager_label) == slice_manager; }

/// What of a pod endpoints depend on.
bool leads_the_same(const Object& a, const Object& b) {
    return a.status()["podIP"] == b.status()["podIP"] && is_ready(a) == is_ready(b) &&
           a.is_being_deleted() == b.is_being_deleted() && has_ended(a) == has_ended(b) &&
           a.metadata()["labels"] == b.metadata()["labels"] &&
           a.spec()["nodeName"] == b.spec()["nodeName"] && a.uid() == b.uid();
}

Result<> ignore_absence(Result<> result) {
    if (!result && result.error().code == Code::not_found) return {};
    return result;
}

} // namespace

EndpointsController::EndpointsController(Parts& parts)
    : parts_(parts), services_(parts.of(resources::services)), pods_(parts.of(resources::pods)),
      slices_(parts.of(resources::endpoint_slices)), endpoints_(parts.of(resources::endpoints)),
      queue_({.name = "endpoints", .workers = 2},
             [this](const api::ObjectKey& key) { return reconcile(key); }) {
    slices_.add_index(by_service, [](const Object& slice) {
        return std::vector<std::string>{std::string(slice.ns()) + "/" +
                                        std::string(slice.label(slice_service_label))};
    });
}

void EndpointsController::start() {
    pods_.add_handler([this](const Object& before, const Object& after) { on_pod(before, after); });
    slices_.add_handler(
        [this](const Object& before, const Object& after) { on_slice(before, after); });
    endpoints_.add_handler([this](const Object& before, const Object& after) {
        const Object& one = after ? after : before;
        if (is_managed(services_.get(one.key()))) queue_.add(one.key());
    });
    services_.add_handler([this](const Object& before, const Object& after) {
        if (!after) expectations_.forget(std::string(before.uid()));
        queue_.add(after ? after.key() : before.key());
    });
    queue_.start();
}

void EndpointsController::on_pod(const Object& before, const Object& after) {
    if (before && after && leads_the_same(before, after)) return;
    if (before) enqueue_services_of(before);
    if (after && (!before || before.metadata()["labels"] != after.metadata()["labels"]))
        enqueue_services_of(after);
}

void EndpointsController::enqueue_services_of(const Object& pod) {
    for (const Object& service : services_.list(std::string(pod.ns())))
        if (is_managed(service) && api::LabelSelector::from_map(service.spec()["selector"])
                                       .matches(pod.metadata()["labels"]))
            queue_.add(service.key());
}

void EndpointsController::on_slice(const Object& before, const Object& after) {
    const Object& slice = after ? after : before;
    if (!is_ours(slice)) return;
    const auto owner = slice.controller();
    if (owner && !before) expectations_.creation_seen(owner->uid);
    queue_.add({std::string(slice.ns()), std::string(slice.label(slice_service_label))});
}

std::vector<Object> EndpointsController::slices_of(const api::ObjectKey& service) const {
    auto slices = slices_.by_index(by_service, service.to_string());
    std::erase_if(slices,
                  [](const Object& slice) { return !is_ours(slice) || slice.is_being_deleted(); });
    return slices;
}

Result<Outcome> EndpointsController::reconcile(const api::ObjectKey& key) {
    const Object service = services_.get(key);
    if (!service) {
        TRY(forget(key));
        return Outcome{};
    }
    if (!is_managed(service) || service.is_being_deleted()) return Outcome{};
    auto pods = pods_.list(key.ns);
    const auto selector = api::LabelSelector::from_map(service.spec()["selector"]);
    std::erase_if(pods,
                  [&](const Object& pod) { return !selector.matches(pod.metadata()["labels"]); });
    // Slices first: they are what the rules of the node are made from.
    TRY(write_slices(service, pods));
    TRY(write_endpoints(service, pods));
    return Outcome{};
}

Result<> EndpointsController::forget(const api::ObjectKey& key) {
    const Object endpoints = endpoints_.get(key);
    if (endpoints && endpoints.label(endpoints_manager_label) == endpoints_manager) {
        api::DeleteOptions options;
        options.uid = endpoints.uid();
        TRY(ignore_absence(parts_.client.remove(resources::endpoints, key, options)));
    }
    for (const Object& slice : slices_of(key)) {
        api::DeleteOptions options;
        options.uid = slice.uid();
        TRY(ignore_absence(parts_.client.remove(resources::endpoint_slices, slice.key(), options)));
    }
    return {};
}

Result<> EndpointsController::write_endpoints(const Object& service,
                                              const std::vector<Object>& pods) {
    const Json subsets = endpoint_subsets(service, pods);
    Json labels = endpoints_labels(service);
    // Tells those that go with their Service from those that a person made.
    labels.set(endpoints_manager_label, endpoints_manager);
    const Object current = endpoints_.get(service.key());
    if (current && current["subsets"].items() == subsets.items() &&
        current.metadata()["labels"] == labels)
        return {};
    if (current) {
        auto metadata = Json::object(
            {{"resourceVersion", current.resource_version()}, {"labels", std::move(labels)}});
        for (const auto& [key, value] : current.metadata()["labels"].members())
            if (!metadata["labels"].contains(key)) metadata.ensure("labels").set(key, nullptr);
        auto patch = Json::object({{"metadata", std::move(metadata)}, {"subsets", subsets}});
        TRY(parts_.client.patch(resources::endpoints, service.key(), api::PatchType::merge, patch));
        return {};
    }
    auto metadata = Json::object(
        {{"name", service.name()}, {"namespace", service.ns()}, {"labels", std::move(labels)}});
    auto made = parts_.client.create(
        resources::endpoints, std::string(service.ns()),
        Json::object({{"metadata", std::move(metadata)}, {"subsets", subsets}}));
    // Made already and not seen yet: its event brings the next look.
    if (!made && made.error().code != Code::already_exists) return tl::unexpected(made.error());
    return {};
}

Result<> EndpointsController::write_slices(const Object& service, const std::vector<Object>& pods) {
    const std::string uid(service.uid());
    if (!expectations_.satisfied(uid, parts_.options.clock->monotonic())) return {};
    SlicePlan plan = plan_slices(slice_contents(service, pods), slices_of(service.key()));
    for (SlicePlan::Update& update : plan.update) {
        auto patch = Json::object(
            {{"metadata", Json::object({{"resourceVersion", update.slice.resource_version()}})},
             {"endpoints", std::move(update.content.endpoints)},
             {"ports", std::move(update.content.ports)}});
        TRY(parts_.client.patch(resources::endpoint_slices, update.slice.key(),
                                api::PatchType::merge, patch));
    }
    if (!plan.create.empty())
        expectations_.expect(uid, plan.create.size(), {}, parts_.options.clock->monotonic());
    Result<> failure;
    for (SliceContent& content : plan.create) {
        auto made =
            failure ? parts_.client.create(resources::endpoint_slices, std::string(service.ns()),
                                           make_slice(service, std::move(content)))
                    : Result<Object>(tl::unexpected(failure.error()));
        if (made) continue;
        expectations_.creation_seen(uid);
        failure = tl::unexpected(made.error());
    }
    TRY(std::move(failure));
    for (const Object& slice : plan.remove) {
        api::DeleteOptions options;
        options.uid = slice.uid();
        TRY(ignore_absence(parts_.client.remove(resources::endpoint_slices, slice.key(), options)));
    }
    return {};
}

} // namespace cloudlet::kube::controllers
