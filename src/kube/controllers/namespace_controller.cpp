#include "namespace_controller.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/api/kind.h"
#include "pods.h"

namespace cloudlet::kube::controllers {

using api::Object;
namespace resources = api::resources;

namespace {

constexpr std::string_view finalizer = "kubernetes";
constexpr std::string_view root_ca = "kube-root-ca.crt";
constexpr Duration look_again = std::chrono::milliseconds{200};

bool holds_finalizer(const Object& ns) {
    const auto& items = ns.spec()["finalizers"].items();
    return std::any_of(items.begin(), items.end(),
                       [](const Json& one) { return one.as_string() == finalizer; });
}

bool is_default_account(const Object& object) { return object.name() == "default"; }
bool is_root_ca(const Object& object) { return object.name() == root_ca; }

} // namespace

NamespaceController::NamespaceController(Parts& parts)
    : parts_(parts), namespaces_(parts.of(resources::namespaces)),
      accounts_(parts.of(resources::service_accounts)),
      config_maps_(parts.of(resources::config_maps)),
      queue_({.name = "namespaces", .workers = 2},
             [this](const api::ObjectKey& key) { return reconcile(key); }) {}

void NamespaceController::start() {
    namespaces_.add_handler([this](const Object&, const Object& after) {
        if (after) queue_.add(after.key());
    });
    accounts_.add_handler([this](const Object& before, const Object& after) {
        if (!after && is_default_account(before)) queue_.add({"", std::string(before.ns())});
    });
    config_maps_.add_handler([this](const Object& before, const Object& after) {
        if (before && is_root_ca(before))
            queue_.add({"", std::string((after ? after : before).ns())});
    });
    queue_.start();
}

Result<Outcome> NamespaceController::reconcile(const api::ObjectKey& key) {
    const Object ns = namespaces_.get(key);
    if (!ns) return Outcome{};
    if (ns.is_being_deleted()) return clear(ns);
    TRY(furnish(key.name));
    return Outcome{};
}

Result<> NamespaceController::furnish(const std::string& name) {
    // Forbidden or not found: the namespace has begun to end, or has ended.
    auto accept_existing = [](const Result<Object>& made) -> Result<> {
        if (made) return {};
        const Code code = made.error().code;
        const bool settled =
            code == Code::already_exists || code == Code::forbidden || code == Code::not_found;
        if (settled) return {};
        return tl::unexpected(made.error());
    };
    if (!accounts_.get({name, "default"})) {
        auto account = Json::object({{"metadata", Json::object({{"name", "default"}})}});
        TRY(accept_existing(
            parts_.client.create(resources::service_accounts, name, std::move(account))));
    }
    if (parts_.options.ca_pem.empty()) return {};
    const Json data = Json::object({{"ca.crt", parts_.options.ca_pem}});
    const api::ObjectKey key{name, std::string(root_ca)};
    const Object current = config_maps_.get(key);
    if (current && current["data"] == data) return {};
    auto annotations = Json::object(
        {{"kubernetes.io/description", "Contains a CA bundle that can be used to verify the "
                                       "kube-apiserver when using internal endpoints."}});
    auto metadata = Json::object({{"name", root_ca}, {"annotations", std::move(annotations)}});
    auto map = Json::object({{"metadata", std::move(metadata)}, {"data", data}});
    if (!current)
        return accept_existing(parts_.client.create(resources::config_maps, name, std::move(map)));
    TRY(parts_.client.update(resources::config_maps, key, std::move(map)));
    return {};
}

Result<Outcome> NamespaceController::clear(const Object& ns) {
    if (!holds_finalizer(ns)) return Outcome{};
    const std::string remaining = TRY(delete_content(std::string(ns.name())));
    if (!remaining.empty()) {
        TRY(show_progress(ns, remaining));
        return Outcome{look_again};
    }
    TRY(release(ns));
    return Outcome{};
}

/// Deletes everything that is not being deleted yet; what still remains, in words, or "".
Result<std::string> NamespaceController::delete_content(const std::string& name) {
    std::string remaining;
    for (const api::Kind& kind : api::builtin_kinds().all()) {
        if (!kind.namespaced || !kind.stored || kind.internal || !kind.has_verb("list")) continue;
        const api::Resource resource{std::string(kind.group), std::string(kind.version),
                                     std::string(kind.plural)};
        const auto list = TRY(parts_.client.list(resource, name));
        std::vector<std::function<void()>> calls;
        for (const Object& object : list.items)
            if (!object.is_being_deleted())
                calls.emplace_back([this, &resource, &object] {
                    auto removed = parts_.client.remove(resource, object.key());
                    (void)removed; // what could not be removed is found again by the next look
                });
        if (!calls.empty()) run_parallel(calls);
        if (list.items.empty()) continue;
        const auto left = TRY(parts_.client.list(resource, name, {{}, {}, 1, {}}));
        if (left.items.empty()) continue;
        if (!remaining.empty()) remaining += ", ";
        remaining += fmt::format("{} has {} resource instances",
                                 resource.plural + "." + resource.group, list.items.size());
    }
    return remaining;
}

Result<> NamespaceController::show_progress(const Object& ns, const std::string& remaining) {
    const Json& before = ns.status()["conditions"];
    const std::string message = "Some resources are remaining: " + remaining;
    Json condition = make_condition("NamespaceContentRemaining", "True", "SomeResourcesRemain",
                                    message, parts_.now());
    condition.erase("lastUpdateTime");
    Json conditions = with_condition(before, std::move(condition));
    if (conditions == before) return {};
    auto patch = Json::object({{"status", Json::object({{"conditions", std::move(conditions)}})}});
    auto written = parts_.client.patch(resources::namespaces, ns.key(), api::PatchType::merge,
                                       patch, "status");
    if (!written && written.error().code != Code::not_found) return tl::unexpected(written.error());
    return {};
}

Result<> NamespaceController::release(const Object& ns) {
    auto current = parts_.client.get(resources::namespaces, ns.key());
    if (!current && current.error().code == Code::not_found) return {};
    Json object = TRY(std::move(current)).json();
    Json kept = Json::array();
    for (const Json& one : object.at({"spec", "finalizers"}).items())
        if (one.as_string() != finalizer) kept.push_back(one);
    object.set_path({"spec", "finalizers"}, std::move(kept));
    auto done =
        parts_.client.update(resources::namespaces, ns.key(), std::move(object), "finalize");
    if (!done && done.error().code != Code::not_found) return tl::unexpected(done.error());
    return {};
}

} // namespace cloudlet::kube::controllers
