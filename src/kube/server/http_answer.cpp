#include "http_answer.h"

#include "cloudlet/codec/yaml.h"

namespace cloudlet::kube::server {

namespace {

constexpr size_t warning_limit = 32;

net::Headers plain_headers(std::string_view content_type) {
    return {{"Content-Type", std::string(content_type)}, {"Cache-Control", "no-cache, private"}};
}

/// RFC 7234 section 5.5, as kube-apiserver spells it: 299, no agent, quoted text.
void add_warnings(net::Headers& headers, const std::vector<std::string>& warnings) {
    for (size_t i = 0; i < warnings.size() && i < warning_limit; ++i) {
        std::string text = "299 - \"";
        for (char c : warnings[i]) {
            if (c == '"' || c == '\\') text += '\\';
            text += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
        }
        headers.add("Warning", text + "\"");
    }
}

std::string as_yaml(std::string json) {
    auto parsed = codec::parse_json(json, {.max_depth = 256, .max_bytes = size_t{1} << 30});
    return parsed ? codec::dump_yaml(*parsed) : json;
}

Json list_as(const api::Kind& kind, const EventStyle& style, const Listing& listing, WallTime now) {
    std::vector<Json> objects;
    objects.reserve(listing.objects.size());
    for (const ObjectPointer& object : listing.objects)
        if (auto parsed = codec::parse_json(*object->json())) objects.push_back(std::move(*parsed));
    const Representation& representation = style.representation;
    if (representation.form == Representation::Form::table)
        return api::make_table(kind, objects, listing.metadata(),
                               {style.include, representation.version, now});
    Json items = Json::array();
    for (const Json& object : objects)
        items.push_back(api::partial_metadata(object, representation.version));
    return Json::object({{"kind", "PartialObjectMetadataList"},
                         {"apiVersion", "meta.k8s.io/" + representation.version},
                         {"metadata", listing.metadata()},
                         {"items", std::move(items)}});
}

} // namespace

net::Response failure_response(const Failure& failure) {
    net::Response response{
        failure.code, plain_headers("application/json"), failure.to_status().dump(), {}};
    if (failure.retry_after_seconds > 0)
        response.headers.set("Retry-After", std::to_string(failure.retry_after_seconds));
    return response;
}

void answer_failure(net::Exchange& exchange, const Failure& failure) {
    exchange.respond(failure_response(failure));
}

void answer_json(net::Exchange& exchange, int status, const Json& json,
                 const std::vector<std::string>& warnings) {
    net::Response response{status, plain_headers("application/json"), json.dump(), {}};
    add_warnings(response.headers, warnings);
    exchange.respond(std::move(response));
}

void answer_text(net::Exchange& exchange, int status, std::string text) {
    net::Response response{status, plain_headers("text/plain; charset=utf-8"), std::move(text), {}};
    response.headers.add("X-Content-Type-Options", "nosniff");
    exchange.respond(std::move(response));
}

void answer_object(net::Exchange& exchange, int status, const api::Kind& kind,
                   const EventStyle& style, const SharedBytes& json, WallTime now,
                   const std::vector<std::string>& warnings) {
    net::Response response{status, plain_headers(style.representation.content_type()), {}, {}};
    add_warnings(response.headers, warnings);
    const bool plain = style.representation.form == Representation::Form::object;
    if (plain && !style.representation.yaml)
        response.shared_body = json;
    else
        response.body = encode_object(kind, style, *json, now, true);
    if (style.representation.yaml) response.body = as_yaml(std::move(response.body));
    exchange.respond(std::move(response));
}

void answer_list(net::Exchange& exchange, const api::Kind& kind, const EventStyle& style,
                 const Listing& listing, WallTime now) {
    const bool plain = style.representation.form == Representation::Form::object;
    net::Response response{200, plain_headers(style.representation.content_type()), {}, {}};
    response.body = plain ? encode_list(kind, listing) : list_as(kind, style, listing, now).dump();
    if (style.representation.yaml) response.body = as_yaml(std::move(response.body));
    exchange.respond(std::move(response));
}

} // namespace cloudlet::kube::server
