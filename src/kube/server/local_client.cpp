#include "local_client.h"

#include <future>

namespace cloudlet::kube::server {

namespace {

/// Starts something asynchronous and waits for its outcome.
template <typename T, typename Start>
Outcome<T> wait_for_outcome(Start start) {
    auto promise = std::make_shared<std::promise<Outcome<T>>>();
    auto future = promise->get_future();
    start([promise](Outcome<T> outcome) { promise->set_value(std::move(outcome)); });
    return future.get();
}

/// A failure as in-process callers read it.
template <typename T>
Result<T> as_result(Outcome<T> outcome) {
    if (!outcome) return tl::unexpected(outcome.error().to_error());
    if constexpr (std::is_void_v<T>)
        return {};
    else
        return std::move(*outcome);
}

PatchKind patch_kind(api::PatchType type) {
    switch (type) {
    case api::PatchType::merge: return PatchKind::merge;
    case api::PatchType::strategic: return PatchKind::strategic;
    case api::PatchType::json: break;
    }
    return PatchKind::json;
}

} // namespace

Outcome<Written> wait_for(const std::function<void(WriteDone)>& write) {
    return wait_for_outcome<Written>(write);
}

Outcome<WriteContextPointer> LocalClient::context(const api::Resource& resource,
                                                  const std::string& ns, const std::string& name,
                                                  Verb verb, const std::string& subresource) {
    if (core_.stopped) return refuse(unavailable("the server is stopping"));
    auto context = std::make_shared<WriteContext>();
    Target& target = context->target;
    target.kind = core_.kinds.find(resource.group, resource.version, resource.plural);
    if (!target.kind || !target.kind->stored) return refuse(no_such_path());
    if (!subresource.empty()) target.subresource = target.kind->subresource(subresource);
    if (!subresource.empty() && !target.subresource) return refuse(no_such_path());
    if (target.kind->namespaced && ns.empty() && verb != Verb::list && verb != Verb::watch)
        return refuse(bad_request("a namespace is needed for " + resource.qualified()));
    target.ns = target.kind->namespaced ? ns : std::string();
    target.name = name;
    target.verb = verb;
    return context;
}

Outcome<api::Object> LocalClient::write(const std::function<void(WriteDone)>& start) {
    const Written written = NEED(wait_for(start));
    if (written.object) return written.object->object();
    return api::Object(NEED(codec::parse_json(*written.json)));
}

Result<api::Object> LocalClient::get(const api::Resource& resource, const api::ObjectKey& key) {
    auto made = context(resource, key.ns, key.name, Verb::get, {});
    if (!made) return tl::unexpected(made.error().to_error());
    auto object = read_object(core_, (*made)->target, {});
    if (!object) return tl::unexpected(object.error().to_error());
    return (*object)->object();
}

Result<api::ObjectList> LocalClient::list(const api::Resource& resource, const std::string& ns,
                                          const api::ListOptions& options) {
    auto made = context(resource, ns, {}, Verb::list, {});
    if (!made) return tl::unexpected(made.error().to_error());
    ListQuery query;
    query.labels = options.labels;
    query.fields = options.fields;
    query.limit = options.limit;
    query.continue_token = options.continue_token;
    auto listing = list_objects(core_, (*made)->target, query);
    if (!listing) return tl::unexpected(listing.error().to_error());
    api::ObjectList result;
    result.resource_version = std::to_string(listing->revision);
    result.continue_token = listing->continue_token;
    for (const ObjectPointer& object : listing->objects) result.items.push_back(object->object());
    return result;
}

Result<api::Object> LocalClient::create(const api::Resource& resource, const std::string& ns,
                                        Json object) {
    return as_result<api::Object>([&]() -> Outcome<api::Object> {
        auto made = NEED(context(resource, ns, {}, Verb::create, {}));
        Body body{std::move(object), {}};
        NEED(conform(*made->target.kind, body, FieldValidation::ignore, made->warnings));
        return write([&](WriteDone done) {
            create_object(core_, made, std::move(body.value), std::move(done));
        });
    }());
}

Result<api::Object> LocalClient::update(const api::Resource& resource, const api::ObjectKey& key,
                                        Json object, const std::string& subresource) {
    return as_result<api::Object>([&]() -> Outcome<api::Object> {
        auto made = NEED(context(resource, key.ns, key.name, Verb::update, subresource));
        Body body{std::move(object), {}};
        NEED(conform(*made->target.kind, body, FieldValidation::ignore, made->warnings));
        return write([&](WriteDone done) {
            if (subresource == "finalize")
                finalize_namespace(core_, made, std::move(body.value), std::move(done));
            else
                update_object(core_, made, std::move(body.value), std::move(done));
        });
    }());
}

Result<api::Object> LocalClient::patch(const api::Resource& resource, const api::ObjectKey& key,
                                       api::PatchType type, const Json& patch,
                                       const std::string& subresource) {
    return as_result<api::Object>([&]() -> Outcome<api::Object> {
        auto made = NEED(context(resource, key.ns, key.name, Verb::patch, subresource));
        made->options.field_validation = FieldValidation::ignore;
        if (subresource == "scale") {
            return api::Object(NEED(wait_for_outcome<Json>([&](JsonDone done) {
                write_scale(core_, made, patch, patch_kind(type), std::move(done));
            })));
        }
        return write([&](WriteDone done) {
            patch_object(core_, made, patch_kind(type), patch, std::move(done));
        });
    }());
}

Result<> LocalClient::remove(const api::Resource& resource, const api::ObjectKey& key,
                             const api::DeleteOptions& options) {
    return as_result<void>([&]() -> Outcome<> {
        auto made = NEED(context(resource, key.ns, key.name, Verb::remove, {}));
        DeleteRequest request;
        request.grace_period_seconds = options.grace_period_seconds;
        request.propagation_policy = options.propagation_policy;
        request.uid = options.uid;
        request.resource_version = options.resource_version;
        NEED(wait_for([&](WriteDone done) {
            delete_object(core_, made, std::move(request), std::move(done));
        }));
        return {};
    }());
}

Result<Json> LocalClient::post(const api::Resource& resource, const api::ObjectKey& key,
                               const std::string& subresource, Json body) {
    return as_result<Json>([&]() -> Outcome<Json> {
        auto made = NEED(context(resource, key.ns, key.name, Verb::create, subresource));
        Body checked{std::move(body), {}};
        NEED(conform(*made->target.subresource, checked, FieldValidation::ignore, made->warnings));
        if (subresource == "token")
            return request_token(core_, made->target, std::move(checked.value));
        return wait_for_outcome<Json>([&](JsonDone done) {
            if (subresource == "binding")
                bind_pod(core_, made, std::move(checked.value), std::move(done));
            else if (subresource == "eviction")
                evict_pod(core_, made, std::move(checked.value), std::move(done));
            else
                done(refuse(method_not_allowed()));
        });
    }());
}

Result<std::unique_ptr<api::Watch>>
LocalClient::watch(const api::Resource& resource, const std::string& ns,
                   const api::WatchOptions& options,
                   std::function<void(const api::WatchEvent&)> on_event) {
    auto made = context(resource, ns, {}, Verb::watch, {});
    if (!made) return tl::unexpected(made.error().to_error());
    const Target& target = (*made)->target;
    WatchFilter filter{target.ns, options.labels, options.fields};
    auto watch = watch_locally(hub_, *core_.cache.find(*target.kind), std::move(filter),
                               options.resource_version, std::move(on_event));
    if (!watch) return tl::unexpected(watch.error().to_error());
    return std::move(*watch);
}

} // namespace cloudlet::kube::server
