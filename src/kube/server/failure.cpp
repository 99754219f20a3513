#include "failure.h"

#include <fmt/format.h>

namespace cloudlet::kube::server {

namespace {

Failure about(int code, std::string reason, const api::Resource& resource, std::string_view name) {
    Failure failure;
    failure.code = code;
    failure.reason = std::move(reason);
    failure.name = name;
    failure.group = resource.group;
    failure.kind = resource.plural;
    return failure;
}

Failure plain(int code, std::string reason, std::string message) {
    Failure failure;
    failure.code = code;
    failure.reason = std::move(reason);
    failure.message = std::move(message);
    return failure;
}

Json details_of(const Failure& failure) {
    Json details = Json::object();
    if (!failure.name.empty()) details.set("name", failure.name);
    if (!failure.group.empty()) details.set("group", failure.group);
    if (!failure.kind.empty()) details.set("kind", failure.kind);
    if (!failure.uid.empty()) details.set("uid", failure.uid);
    for (const Cause& cause : failure.causes) {
        Json entry = Json::object();
        if (!cause.reason.empty()) entry.set("reason", cause.reason);
        if (!cause.message.empty()) entry.set("message", cause.message);
        if (!cause.field.empty()) entry.set("field", cause.field);
        details.ensure("causes").push_back(std::move(entry));
    }
    if (failure.retry_after_seconds > 0)
        details.set("retryAfterSeconds", failure.retry_after_seconds);
    return details;
}

} // namespace

Json Failure::to_status() const {
    Json metadata = Json::object();
    if (!continue_token.empty()) metadata.set("continue", continue_token);
    Json status =
        Json::object({{"kind", "Status"}, {"apiVersion", "v1"}, {"metadata", std::move(metadata)}});
    status.set("status", "Failure").set("message", message).set("reason", reason);
    // Also when there are none: clients look into details without asking whether they are there
    // (kubectl debug ends with a segmentation fault).
    status.set("details", details_of(*this)).set("code", code);
    return status;
}

Error Failure::to_error() const {
    Error error;
    error.message = message;
    error.code = Code::internal;
    if (reason == "NotFound")
        error.code = Code::not_found;
    else if (reason == "AlreadyExists")
        error.code = Code::already_exists;
    else if (reason == "Conflict")
        error.code = Code::conflict;
    else if (code == 400 || code == 422 || code == 405 || code == 406)
        error.code = Code::invalid;
    else if (code == 401)
        error.code = Code::unauthenticated;
    else if (code == 403)
        error.code = Code::forbidden;
    else if (code == 410)
        error.code = Code::expired;
    else if (code == 413)
        error.code = Code::too_large;
    else if (code == 415)
        error.code = Code::unsupported;
    else if (code == 429 || code == 503)
        error.code = Code::unavailable;
    else if (code == 504)
        error.code = Code::timeout;
    return error;
}

tl::unexpected<Failure> refuse(Failure failure) {
    return tl::unexpected<Failure>(std::move(failure));
}

Failure bad_request(std::string message) { return plain(400, "BadRequest", std::move(message)); }
Failure unauthorized(std::string message) { return plain(401, "Unauthorized", std::move(message)); }
Failure method_not_allowed(std::string message) {
    return plain(405, "MethodNotAllowed", std::move(message));
}
Failure not_acceptable(std::string message) {
    return plain(406, "NotAcceptable", std::move(message));
}
Failure unsupported_media_type(std::string message) {
    return plain(415, "UnsupportedMediaType", std::move(message));
}
Failure too_large(std::string message) {
    return plain(413, "RequestEntityTooLarge", std::move(message));
}
Failure expired(std::string message) { return plain(410, "Expired", std::move(message)); }
Failure internal(std::string message) {
    return plain(500, "InternalError", "Internal error occurred: " + message);
}

Failure unavailable(std::string message, int retry_after_seconds) {
    Failure failure = plain(503, "ServiceUnavailable", std::move(message));
    failure.retry_after_seconds = retry_after_seconds;
    return failure;
}

Failure timeout(std::string message, int retry_after_seconds) {
    Failure failure = plain(504, "Timeout", std::move(message));
    failure.retry_after_seconds = retry_after_seconds;
    return failure;
}

Failure not_found(const api::Resource& resource, std::string_view name) {
    Failure failure = about(404, "NotFound", resource, name);
    failure.message = fmt::format("{} \"{}\" not found", resource.qualified(), name);
    return failure;
}

Failure no_such_path() {
    return plain(404, "NotFound", "the server could not find the requested resource");
}

Failure already_exists(const api::Resource& resource, std::string_view name) {
    Failure failure = about(409, "AlreadyExists", resource, name);
    failure.message = fmt::format("{} \"{}\" already exists", resource.qualified(), name);
    return failure;
}

Failure conflict(const api::Resource& resource, std::string_view name, std::string_view why) {
    Failure failure = about(409, "Conflict", resource, name);
    failure.message = fmt::format("Operation cannot be fulfilled on {} \"{}\": {}",
                                  resource.qualified(), name, why);
    return failure;
}

Failure modified(const api::Resource& resource, std::string_view name) {
    return conflict(resource, name,
                    "the object has been modified; please apply your changes to the latest version "
                    "and try again");
}

Failure forbidden(const api::Resource& resource, std::string_view name, std::string_view why) {
    Failure failure = about(403, "Forbidden", resource, name);
    failure.message =
        name.empty() ? fmt::format("{} is forbidden: {}", resource.qualified(), why)
                     : fmt::format("{} \"{}\" is forbidden: {}", resource.qualified(), name, why);
    return failure;
}

Failure invalid(const api::Kind& kind, std::string_view name,
                const std::vector<api::FieldError>& errors) {
    Failure failure = about(422, "Invalid", resource_of(kind), name);
    failure.kind = kind.kind;
    failure.message = api::invalid_message(kind.group, kind.kind, name, errors);
    for (const api::FieldError& error : errors)
        failure.causes.push_back(
            {std::string(api::name_of(error.reason)), error.body(), error.path});
    return failure;
}

api::Resource resource_of(const api::Kind& kind) {
    return {std::string(kind.group), std::string(kind.version), std::string(kind.plural)};
}

Failure from_error(const Error& error) {
    const std::string text = error.to_string();
    switch (error.code) {
    case Code::invalid: return bad_request(text);
    case Code::not_found: return plain(404, "NotFound", text);
    case Code::already_exists: return plain(409, "AlreadyExists", text);
    case Code::conflict: return plain(409, "Conflict", text);
    case Code::expired: return expired(text);
    case Code::unauthenticated: return unauthorized(text);
    case Code::forbidden: return plain(403, "Forbidden", text);
    case Code::too_large: return too_large(text);
    case Code::unsupported: return unsupported_media_type(text);
    case Code::unavailable:
    case Code::cancelled: return unavailable(text);
    case Code::timeout: return timeout(text);
    case Code::exhausted: return plain(507, "InternalError", text);
    case Code::io:
    case Code::internal: break;
    }
    return internal(text);
}

Json success_status(const api::Resource& resource, std::string_view name, std::string_view uid) {
    Json details = Json::object({{"name", name}});
    if (!resource.group.empty()) details.set("group", resource.group);
    details.set("kind", resource.plural).set("uid", uid);
    Json status =
        Json::object({{"kind", "Status"}, {"apiVersion", "v1"}, {"metadata", Json::object()}});
    return status.set("status", "Success").set("details", std::move(details));
}

} // namespace cloudlet::kube::server
