// What is written or computed besides whole objects: scale, binding, eviction, finalize, token.

#include <algorithm>

#include <fmt/format.h>

#include "admission.h"

namespace cloudlet::kube::server {

namespace {

namespace resources = api::resources;

Json scale_of(const Json& object) {
    Json metadata = Json::object();
    for (std::string_view field :
         {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"})
        if (object["metadata"].contains(field)) metadata.set(field, object["metadata"][field]);
    Json scale = Json::object(
        {{"kind", "Scale"}, {"apiVersion", "autoscaling/v1"}, {"metadata", std::move(metadata)}});
    scale.set("spec", Json::object({{"replicas", object.at({"spec", "replicas"}).as_int()}}));
    Json status = Json::object({{"replicas", object.at({"status", "replicas"}).as_int()}});
    if (auto selector = api::LabelSelector::from_json(object.at({"spec", "selector"})))
        status.set("selector", selector->to_string());
    return scale.set("status", std::move(status));
}

Outcome<Decision> decide_scale(Core& core, WriteContext& context, const Json& body,
                               std::optional<PatchKind> patch, const ObjectPointer& current) {
    const Target& target = context.target;
    if (!current) return refuse(not_found(resource_of(*target.kind), target.name));
    const api::Object object = current->object();
    Json scale = body;
    if (patch) {
        Body document{
            NEED(patched(*target.subresource->schema, *patch, scale_of(object.json()), body)), {}};
        NEED(conform(*target.subresource, document, context.options.field_validation,
                     context.warnings));
        scale = std::move(document.value);
    }
    const int64_t replicas = scale.at({"spec", "replicas"}).as_int();
    if (replicas < 0) {
        Failure failure = invalid(*target.kind, target.name,
                                  {api::FieldError::invalid("spec.replicas", Json(replicas),
                                                            "must be greater than or equal to 0")});
        failure.kind = "Scale";
        failure.group = "autoscaling";
        return refuse(std::move(failure));
    }
    Json wanted = object.json();
    wanted.set_path({"spec", "replicas"}, replicas);
    // The Scale's preconditions are the object's.
    for (std::string_view field : {"uid", "resourceVersion", "name"})
        if (scale["metadata"].contains(field))
            wanted.set_path({"metadata", field}, scale["metadata"][field]);
    return decide_update(core, context, std::move(wanted), current);
}

Json success() {
    return Json::object({{"kind", "Status"},
                         {"apiVersion", "v1"},
                         {"metadata", Json::object()},
                         {"status", "Success"},
                         {"code", 201}});
}

void set_condition(Core& core, Json& pod, std::string_view type) {
    Json entry = Json::object({{"type", type},
                               {"status", "True"},
                               {"lastProbeTime", nullptr},
                               {"lastTransitionTime", format_time(core.now())}});
    Json& conditions = pod.ensure("status").ensure("conditions");
    if (!conditions.is_array()) conditions = Json::array();
    for (Json& condition : conditions.mutable_items()) {
        if (condition["type"].as_string() != type) continue;
        if (condition["status"].as_string() != "True") condition = std::move(entry);
        return;
    }
    conditions.push_back(std::move(entry));
}

Outcome<Decision> decide_binding(Core& core, const Target& target, const Json& binding,
                                 const ObjectPointer& current) {
    if (!current) return refuse(not_found(resources::pods, target.name));
    const std::string node(binding.at({"target", "name"}).as_string());
    if (node.empty())
        return refuse(bad_request("target.name: Required value: the node to bind the pod to"));
    const std::string_view uid = binding.at({"metadata", "uid"}).as_string();
    if (!uid.empty() && uid != current->uid())
        return refuse(conflict(
            resources::pods, target.name,
            fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", uid,
                        current->uid())));
    if (current->being_deleted())
        return refuse(conflict(
            resources::pods, target.name,
            fmt::format("pod {} is being deleted, cannot be assigned to a host", target.name)));
    const api::Object pod = current->object();
    if (const auto assigned = pod.at({"spec", "nodeName"}).as_string(); !assigned.empty())
        return refuse(conflict(
            resources::pods, target.name,
            fmt::format("pod {} is already assigned to node \"{}\"", target.name, assigned)));
    Decision decision;
    decision.action = Decision::Action::put;
    decision.object = pod.json();
    decision.object.set_path({"spec", "nodeName"}, node);
    for (const auto& [key, value] : binding.at({"metadata", "annotations"}).members())
        decision.object.set_path({"metadata", "annotations", key}, value);
    set_condition(core, decision.object, "PodScheduled");
    return decision;
}

Writer::Mode mode_of(const WriteContext& context) {
    return context.options.dry_run ? Writer::Mode::dry_run : Writer::Mode::commit;
}

/// Only spec.finalizers changes; a namespace that is being deleted goes with its last one.
Outcome<Decision> decide_finalize(const Target& target, const Json& wanted,
                                  const ObjectPointer& current) {
    if (!current) return refuse(not_found(resources::namespaces, target.name));
    const api::Object parsed = current->object();
    const Json& finalizers = wanted.at({"spec", "finalizers"});
    Decision decision;
    decision.object = parsed.json();
    decision.object.set_path({"spec", "finalizers"},
                             finalizers.is_array() ? finalizers : Json::array());
    for (std::string_view field : {"uid", "resourceVersion", "name"})
        if (wanted["metadata"].contains(field))
            decision.object.set_path({"metadata", field}, wanted["metadata"][field]);
    NEED(stamp_update(target, *current, parsed.json(), decision.object));
    if (is_finished(*target.kind, decision.object))
        decision.action = Decision::Action::remove;
    else if (!(decision.object == parsed.json()))
        decision.action = Decision::Action::put;
    return decision;
}

Outcome<BoundObject> read_bound_object(Core& core, const Target& target, const Json& reference) {
    if (!reference.is_object()) return BoundObject{};
    BoundObject bound{std::string(reference["kind"].as_string()),
                      std::string(reference["name"].as_string()),
                      std::string(reference["uid"].as_string())};
    if (bound.kind != "Pod" && bound.kind != "Secret")
        return refuse(bad_request(
            fmt::format("cannot bind token for serviceaccount \"{}\" to kind \"{}\": bind it "
                        "to a Pod or a Secret",
                        target.name, bound.kind)));
    const auto& resource = bound.kind == "Pod" ? resources::pods : resources::secrets;
    const ObjectPointer object = core.cache.of(resource).get(object_path(target.ns, bound.name));
    if (!object) return refuse(not_found(resource, bound.name));
    if (bound.kind == "Pod") {
        const api::Object pod = object->object();
        if (pod.at({"spec", "serviceAccountName"}).as_string() != target.name)
            return refuse(bad_request(
                fmt::format("cannot bind token for serviceaccount \"{}\" to pod running with "
                            "different serviceaccount name.",
                            target.name)));
    }
    if (!bound.uid.empty() && bound.uid != object->uid())
        return refuse(conflict(
            resource, bound.name,
            fmt::format("the UID in the bound object reference ({}) does not match the UID in "
                        "record. The object might have been deleted and then recreated",
                        bound.uid)));
    bound.uid = object->uid();
    return bound;
}

} // namespace

Outcome<Json> read_scale(Core& core, const Target& target) {
    const ObjectPointer current =
        core.cache.find(*target.kind)->get(object_path(target.ns, target.name));
    if (!current) return refuse(not_found(resource_of(*target.kind), target.name));
    return scale_of(current->object().json());
}

void write_scale(Core& core, WriteContextPointer context, Json body, std::optional<PatchKind> patch,
                 JsonDone done) {
    const Target& target = context->target;
    auto shared_body = std::make_shared<const Json>(std::move(body));
    auto decide = [&core, context, shared_body, patch](const ObjectPointer& current) {
        return decide_scale(core, *context, *shared_body, patch, current);
    };
    auto answer = [done = std::move(done)](Outcome<Written> written) {
        if (!written) return done(refuse(std::move(written.error())));
        auto object = codec::parse_json(*written->json);
        if (!object) return done(refuse(from_error(object.error())));
        done(scale_of(*object));
    };
    core.writer.write(*target.kind, target.ns, target.name, mode_of(*context), std::move(decide),
                      std::move(answer));
}

void bind_pod(Core& core, WriteContextPointer context, Json binding, JsonDone done) {
    const Target& target = context->target;
    auto shared_binding = std::make_shared<const Json>(std::move(binding));
    auto decide = [&core, context, shared_binding](const ObjectPointer& current) {
        return decide_binding(core, context->target, *shared_binding, current);
    };
    auto answer = [done = std::move(done)](Outcome<Written> written) {
        if (!written) return done(refuse(std::move(written.error())));
        done(success());
    };
    core.writer.write(*target.kind, target.ns, target.name, mode_of(*context), std::move(decide),
                      std::move(answer));
}

void evict_pod(Core& core, WriteContextPointer context, Json eviction, JsonDone done) {
    auto request = read_delete_request(eviction["deleteOptions"], {});
    if (!request) return done(refuse(request.error()));
    request->dry_run |= context->options.dry_run;
    delete_object(core, std::move(context), std::move(*request),
                  [done = std::move(done)](Outcome<Written> written) {
                      if (!written) return done(refuse(std::move(written.error())));
                      done(success());
                  });
}

void finalize_namespace(Core& core, WriteContextPointer context, Json body, WriteDone done) {
    const Target& target = context->target;
    auto wanted = std::make_shared<const Json>(std::move(body));
    auto decide = [context, wanted](const ObjectPointer& current) {
        return decide_finalize(context->target, *wanted, current);
    };
    core.writer.write(*target.kind, target.ns, target.name, mode_of(*context), std::move(decide),
                      std::move(done));
}

Outcome<Json> request_token(Core& core, const Target& target, Json request) {
    const ObjectPointer account =
        core.cache.find(*target.kind)->get(object_path(target.ns, target.name));
    if (!account) return refuse(not_found(resource_of(*target.kind), target.name));
    const Json& spec = request["spec"];
    const int64_t seconds = spec["expirationSeconds"].as_int(3600);
    if (seconds < 600 || seconds > (int64_t{1} << 32)) {
        Failure failure = bad_request(
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: "
            "Invalid value: may not specify a duration less than 10 minutes or more than "
            "2^32 seconds");
        failure.code = 422;
        failure.reason = "Invalid";
        return refuse(std::move(failure));
    }
    TokenClaims claims;
    claims.ns = target.ns;
    claims.account = target.name;
    claims.account_uid = account->uid();
    claims.bound = NEED(read_bound_object(core, target, spec["boundObjectRef"]));
    for (const Json& audience : spec["audiences"].items())
        claims.audiences.emplace_back(audience.as_string());
    if (claims.audiences.empty()) claims.audiences.push_back(core.signer.issuer());
    claims.issued = core.now();
    claims.expires = claims.issued + std::chrono::seconds(seconds);

    Json audiences = Json::array();
    for (const std::string& audience : claims.audiences) audiences.push_back(audience);
    request.set("apiVersion", "authentication.k8s.io/v1").set("kind", "TokenRequest");
    request.set_path({"metadata", "name"}, target.name)
        .set_path({"metadata", "namespace"}, target.ns);
    request.set_path({"metadata", "creationTimestamp"}, format_time(claims.issued));
    request.set_path({"spec", "audiences"}, std::move(audiences))
        .set_path({"spec", "expirationSeconds"}, seconds);
    request.set("status", Json::object({{"token", NEED(core.signer.sign(claims))},
                                        {"expirationTimestamp", format_time(claims.expires)}}));
    return request;
}

} // namespace cloudlet::kube::server
