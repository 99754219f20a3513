#include "http_api.h"

#include <fmt/format.h>

#include "cloudlet/base/log.h"
#include "pod_streams.h"

namespace cloudlet::kube::server {

namespace {

Outcome<EventStyle> style_of(const net::Request& request) {
    EventStyle style;
    style.representation = NEED(negotiate(request.headers.get("Accept")));
    if (style.representation.form == Representation::Form::table)
        style.include = NEED(api::parse_include_object(request.query.get("includeObject")));
    return style;
}

Outcome<WriteContextPointer> write_context(const net::Request& request, const Target& target) {
    auto context = std::make_shared<WriteContext>();
    context->target = target;
    context->options = NEED(read_write_options(request.query));
    return context;
}

std::optional<PatchKind> patch_kind(BodyType type) {
    switch (type) {
    case BodyType::merge_patch: return PatchKind::merge;
    case BodyType::strategic_patch: return PatchKind::strategic;
    case BodyType::json_patch: return PatchKind::json;
    case BodyType::json:
    case BodyType::yaml: break;
    }
    return std::nullopt;
}

/// Body and its type. A delete may come without one.
Outcome<std::pair<Body, BodyType>> read_body(const net::Request& request, Verb verb) {
    const bool is_patch = verb == Verb::patch;
    const BodyType type =
        NEED(body_type(request.headers.get("Content-Type"), request.body, is_patch));
    if (request.body.empty() && (verb == Verb::remove || verb == Verb::remove_collection))
        return std::pair(Body{Json::object(), {}}, type);
    return std::pair(NEED(decode_body(request.body, type)), type);
}

WriteDone answer_written(Core& core, const ExchangePointer& exchange,
                         const WriteContextPointer& context, const EventStyle& style, int status) {
    return [&core, exchange, context, style, status](Outcome<Written> written) {
        if (!written) return answer_failure(*exchange, written.error());
        answer_object(*exchange, status, *context->target.kind, style, written->json, core.now(),
                      context->warnings);
    };
}

JsonDone answer_computed(const ExchangePointer& exchange, const WriteContextPointer& context,
                         int status) {
    return [exchange, context, status](Outcome<Json> json) {
        if (!json) return answer_failure(*exchange, json.error());
        answer_json(*exchange, status, *json, context->warnings);
    };
}

Failure no_protobuf_token(const Target& account) {
    return unsupported_media_type(fmt::format(
        "this server reads JSON and YAML, not the protobuf that this command sends: put "
        R"({{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{{}}}})"
        " in FILE and send it: kubectl create --raw "
        "/api/v1/namespaces/{}/serviceaccounts/{}/token -f FILE",
        account.ns, account.name));
}

/// Kinds whose deletion answers with the object, as kube-apiserver's registries are set up.
bool shows_deleted(const api::Kind& kind) {
    return kind.group.empty() &&
           (kind.plural == "pods" || kind.plural == "services" || kind.plural == "serviceaccounts");
}

} // namespace

void HttpApi::handle(const ExchangePointer& exchange) {
    if (auto done = dispatch(exchange); !done) answer_failure(*exchange, done.error());
}

/// The way of a request. What follows `serve` may be answered later, from a commit.
Outcome<> HttpApi::dispatch(const ExchangePointer& exchange) {
    const net::Request& request = exchange->request();
    if (core_.stopped) return refuse(unavailable("the server is stopping"));
    if (is_public_path(request.path) && paths_.answer_public(*exchange)) return {};
    const Identity identity = NEED(core_.authenticator.authenticate(request));
    if (!is_resource_path(request.path)) {
        NEED(authorize_path(identity, request.method, request.path));
        return paths_.answer(*exchange);
    }
    auto target = resolve(core_.kinds, request);
    if (!target && identity.is_service_account())
        NEED(authorize_path(identity, request.method, request.path));
    if (!target) return refuse(std::move(target.error()));
    NEED(authorize(identity, *target));
    return serve(exchange, *target);
}

bool HttpApi::handle_inline(const ExchangePointer& exchange) {
    const net::Request& request = exchange->request();
    if (request.method != "GET" || core_.stopped) return false;
    if (is_public_path(request.path)) return paths_.answer_public(*exchange);
    if (!is_resource_path(request.path)) return false;
    auto identity = core_.authenticator.authenticate_quickly(request);
    if (!identity || !*identity) return false;
    auto target = resolve(core_.kinds, request);
    if (!target || target->verb != Verb::get || target->subresource) return false;
    auto style = style_of(request);
    if (!style || style->representation.form != Representation::Form::object ||
        style->representation.yaml)
        return false;
    if (!authorize(**identity, *target)) return false;
    auto object = read_object(core_, *target, request.query.get("resourceVersion"));
    if (!object) return false;
    answer_object(*exchange, 200, *target->kind, *style, (*object)->json(), WallTime{});
    return true;
}

Outcome<> HttpApi::serve(const ExchangePointer& exchange, const Target& target) {
    if (target.subresource && target.subresource->name != "status")
        return serve_subresource(exchange, target);
    switch (target.verb) {
    case Verb::get:
    case Verb::list:
    case Verb::watch: return serve_read(exchange, target, NEED(style_of(exchange->request())));
    case Verb::create:
    case Verb::update:
    case Verb::patch: return serve_write(exchange, target);
    case Verb::remove:
    case Verb::remove_collection: break;
    }
    return serve_delete(exchange, target);
}

Outcome<> HttpApi::serve_read(const ExchangePointer& exchange, const Target& target,
                              const EventStyle& style) {
    const net::Query& query = exchange->request().query;
    if (target.verb == Verb::get) {
        const ObjectPointer object = NEED(read_object(core_, target, query.get("resourceVersion")));
        answer_object(*exchange, 200, *target.kind, style, object->json(), core_.now());
        return {};
    }
    ListQuery list = NEED(read_list_query(*target.kind, query, target.verb == Verb::watch));
    if (target.verb == Verb::watch) {
        serve_watch(hub_, exchange, target, std::move(list), style);
        return {};
    }
    answer_list(*exchange, *target.kind, style, NEED(list_objects(core_, target, list)),
                core_.now());
    return {};
}

Outcome<> HttpApi::serve_write(const ExchangePointer& exchange, const Target& target) {
    const net::Request& request = exchange->request();
    const EventStyle style = NEED(style_of(request));
    auto context = NEED(write_context(request, target));
    auto [body, type] = NEED(read_body(request, target.verb));
    if (const auto patch = patch_kind(type)) {
        patch_object(core_, context, *patch, std::move(body.value),
                     answer_written(core_, exchange, context, style, 200));
        return {};
    }
    NEED(conform(*target.kind, body, context->options.field_validation, context->warnings));
    const int status = target.verb == Verb::create ? 201 : 200;
    auto done = answer_written(core_, exchange, context, style, status);
    if (target.verb == Verb::create)
        create_object(core_, context, std::move(body.value), std::move(done));
    else
        update_object(core_, context, std::move(body.value), std::move(done));
    return {};
}

Outcome<> HttpApi::serve_delete(const ExchangePointer& exchange, const Target& target) {
    const net::Request& request = exchange->request();
    const EventStyle style = NEED(style_of(request));
    auto context = NEED(write_context(request, target));
    const Body body = NEED(read_body(request, target.verb)).first;
    DeleteRequest deletion = NEED(read_delete_request(body.value, request.query));
    if (target.verb == Verb::remove_collection) {
        ListQuery list = NEED(read_list_query(*target.kind, request.query, false));
        delete_collection(
            core_, context, std::move(deletion), std::move(list),
            [exchange, target](Outcome<std::vector<SharedBytes>> deleted) {
                if (!deleted) return answer_failure(*exchange, deleted.error());
                std::string text =
                    fmt::format(R"({{"kind":"{}","apiVersion":"{}","metadata":{{}},"items":[)",
                                target.kind->list_kind(), target.kind->group_version());
                for (size_t i = 0; i < deleted->size(); ++i)
                    text.append(i ? "," : "").append(*(*deleted)[i]);
                exchange->respond({200, {{"Content-Type", "application/json"}}, text + "]}", {}});
            });
        return {};
    }
    const int kept = deletion.propagation_policy == "Foreground" ? 202 : 200;
    delete_object(core_, context, std::move(deletion),
                  [this, exchange, context, style, kept](Outcome<Written> written) {
                      const Target& what = context->target;
                      if (!written) return answer_failure(*exchange, written.error());
                      if (written->removed && !shows_deleted(*what.kind))
                          return answer_json(*exchange, 200,
                                             success_status(resource_of(*what.kind), what.name,
                                                            written->object->uid()));
                      answer_object(*exchange, written->removed ? 200 : kept, *what.kind, style,
                                    written->json, core_.now());
                  });
    return {};
}

Outcome<> HttpApi::serve_subresource(const ExchangePointer& exchange, const Target& target) {
    const std::string_view name = target.subresource->name;
    if (name == "log") return serve_logs(core_, exchange, target);
    if (name == "exec") return serve_exec(core_, exchange, target);
    if (name == "scale") return serve_scale(exchange, target);
    if (name == "finalize") {
        auto context = NEED(write_context(exchange->request(), target));
        Body body = NEED(read_body(exchange->request(), target.verb)).first;
        NEED(conform(*target.kind, body, context->options.field_validation, context->warnings));
        finalize_namespace(core_, context, std::move(body.value),
                           answer_written(core_, exchange, context, {}, 200));
        return {};
    }
    if (target.verb == Verb::create) return serve_post(exchange, target);
    return refuse(method_not_allowed());
}

Outcome<> HttpApi::serve_scale(const ExchangePointer& exchange, const Target& target) {
    if (target.verb == Verb::get) {
        answer_json(*exchange, 200, NEED(read_scale(core_, target)));
        return {};
    }
    auto context = NEED(write_context(exchange->request(), target));
    auto [body, type] = NEED(read_body(exchange->request(), target.verb));
    const auto patch = patch_kind(type);
    if (!patch)
        NEED(conform(*target.subresource, body, context->options.field_validation,
                     context->warnings));
    write_scale(core_, context, std::move(body.value), patch,
                answer_computed(exchange, context, 200));
    return {};
}

Outcome<> HttpApi::serve_post(const ExchangePointer& exchange, const Target& target) {
    const std::string_view name = target.subresource->name;
    auto context = NEED(write_context(exchange->request(), target));
    auto decoded = read_body(exchange->request(), target.verb);
    if (!decoded && decoded.error().code == 415 && name == "token")
        return refuse(no_protobuf_token(target)); // kubectl create token writes no file
    if (!decoded) return refuse(std::move(decoded.error()));
    Body body = std::move(decoded->first);
    NEED(conform(*target.subresource, body, context->options.field_validation, context->warnings));
    JsonDone done = answer_computed(exchange, context, 201);
    if (name == "binding")
        bind_pod(core_, context, std::move(body.value), std::move(done));
    else if (name == "eviction")
        evict_pod(core_, context, std::move(body.value), std::move(done));
    else if (name == "token")
        done(request_token(core_, target, std::move(body.value)));
    else
        return refuse(method_not_allowed());
    return {};
}

} // namespace cloudlet::kube::server
