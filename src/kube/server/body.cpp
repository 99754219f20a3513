#include "body.h"

#include <charconv>

#include <fmt/format.h>

#include "cloudlet/codec/yaml.h"

namespace cloudlet::kube::server {

namespace {

constexpr codec::JsonLimits body_limits{.max_depth = 128, .max_bytes = size_t{3} << 20};

/// Too many bytes were refused before: what is too large here is the depth or what aliases become,
/// and a client that sends it is not helped by "too large".
Failure undecodable(const Error& error) {
    return bad_request("error decoding the body: " + error.to_string());
}

/// What conform() needs of a kind or a subresource.
struct Expected {
    std::string group_version;
    std::string_view kind;
    const api::Schema* schema;
};

std::string decode_error(const Expected& expected, std::string_view detail) {
    const std::string_view version =
        std::string_view(expected.group_version).substr(expected.group_version.find('/') + 1);
    return fmt::format("{} in version \"{}\" cannot be handled as a {}: {}", expected.kind, version,
                       expected.kind, detail);
}

Outcome<> check_kind(const Expected& expected, Json& value) {
    if (!value.is_object())
        return refuse(bad_request(
            decode_error(expected, "json: cannot unmarshal a value that is no object")));
    const std::string_view version = value["apiVersion"].as_string();
    const std::string_view kind = value["kind"].as_string();
    if ((!version.empty() && version != expected.group_version))
        return refuse(bad_request(fmt::format(
            "the API version in the data ({}) does not match the expected API version ({})",
            version, expected.group_version)));
    if (!kind.empty() && kind != expected.kind)
        return refuse(bad_request(
            fmt::format("{} in version \"{}\" cannot be handled as a {}: the kind of the data "
                        "does not match the collection",
                        kind, expected.group_version, expected.kind)));
    return {};
}

Outcome<> conform_to(const Expected& expected, Body& body, FieldValidation validation,
                     std::vector<std::string>& warnings) {
    NEED(check_kind(expected, body.value));
    if (!expected.schema) return {};
    if (auto fits = expected.schema->check_types(body.value); !fits)
        return refuse(bad_request(decode_error(expected, fits.error().message)));
    std::vector<std::string> unknown;
    expected.schema->prune(body.value, &unknown);
    if (validation == FieldValidation::strict) {
        const std::string complaint = api::strict_decoding_error(unknown, body.duplicates);
        if (!complaint.empty()) return refuse(bad_request(decode_error(expected, complaint)));
    }
    if (validation == FieldValidation::warn) {
        for (const std::string& path : unknown)
            warnings.push_back(fmt::format("unknown field \"{}\"", path));
        for (const std::string& path : body.duplicates)
            warnings.push_back(fmt::format("duplicate field \"{}\"", path));
    }
    return {};
}

/// A condition that cannot be read must not become a deletion without conditions.
Outcome<> check_delete_options(const Json& body) {
    if (body.is_null()) return {};
    static const api::Schema* schema =
        api::find_schema("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
    const Expected expected{"v1", "DeleteOptions", schema};
    if (!body.is_object())
        return refuse(bad_request(
            decode_error(expected, "json: cannot unmarshal a value that is no object")));
    if (auto fits = schema->check_types(body); !fits)
        return refuse(bad_request(decode_error(expected, fits.error().message)));
    for (const Json& value : body["dryRun"].items())
        if (value.as_string() != "All")
            return refuse(bad_request(
                fmt::format("dryRun: Unsupported value: \"{}\": supported values: \"All\"",
                            value.as_string())));
    return {};
}

} // namespace

Outcome<Body> decode_body(std::string_view bytes, BodyType type) {
    if (bytes.size() > body_limits.max_bytes)
        return refuse(
            too_large(fmt::format("Request entity too large: limit is {}", body_limits.max_bytes)));
    if (type != BodyType::yaml) {
        auto parsed = codec::parse_json_noting_duplicates(bytes, body_limits);
        if (!parsed) return refuse(undecodable(parsed.error()));
        return Body{std::move(parsed->value), std::move(parsed->duplicate_keys)};
    }
    auto documents = codec::parse_yaml(bytes, body_limits);
    if (!documents) return refuse(undecodable(documents.error()));
    if (documents->size() != 1)
        return refuse(bad_request(
            fmt::format("the body must hold one YAML document, not {}", documents->size())));
    return Body{std::move(documents->front().value), std::move(documents->front().duplicate_keys)};
}

Outcome<> conform(const api::Kind& kind, Body& body, FieldValidation validation,
                  std::vector<std::string>& warnings) {
    return conform_to({kind.group_version(), kind.kind, kind.schema}, body, validation, warnings);
}

Outcome<> conform(const api::Subresource& subresource, Body& body, FieldValidation validation,
                  std::vector<std::string>& warnings) {
    std::string group_version(subresource.version);
    if (!subresource.group.empty())
        group_version = std::string(subresource.group) + "/" + group_version;
    return conform_to({group_version, subresource.kind, subresource.schema}, body, validation,
                      warnings);
}

Outcome<DeleteRequest> read_delete_request(const Json& body, const net::Query& query) {
    NEED(check_delete_options(body));
    DeleteRequest request;
    if (body["gracePeriodSeconds"].is_int())
        request.grace_period_seconds = body["gracePeriodSeconds"].as_int();
    request.propagation_policy = body["propagationPolicy"].as_string();
    if (body["orphanDependents"].is_bool())
        request.propagation_policy = body["orphanDependents"].as_bool() ? "Orphan" : "Background";
    request.uid = body.at({"preconditions", "uid"}).as_string();
    request.resource_version = body.at({"preconditions", "resourceVersion"}).as_string();
    for (const Json& value : body["dryRun"].items()) request.dry_run |= value.as_string() == "All";

    if (const std::string_view text = query.get("gracePeriodSeconds"); !text.empty()) {
        int64_t seconds = 0;
        auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
        if (error != std::errc() || end != text.data() + text.size())
            return refuse(bad_request("gracePeriodSeconds: Invalid value: must be a whole number"));
        request.grace_period_seconds = seconds;
    }
    if (query.has("propagationPolicy")) request.propagation_policy = query.get("propagationPolicy");
    const std::string& policy = request.propagation_policy;
    if (!policy.empty() && policy != "Background" && policy != "Foreground" && policy != "Orphan")
        return refuse(bad_request(
            fmt::format("propagationPolicy: Unsupported value: \"{}\": supported values: "
                        "\"Background\", \"Foreground\", \"Orphan\"",
                        policy)));
    if (request.grace_period_seconds && *request.grace_period_seconds < 0)
        request.grace_period_seconds = 1;
    request.dry_run |= NEED(read_write_options(query)).dry_run;
    return request;
}

} // namespace cloudlet::kube::server
