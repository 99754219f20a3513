#include "cloudlet/api/field_error.h"

#include <fmt/format.h>

namespace cloudlet::api {

using Reason = FieldError::Reason;

namespace {

std::string_view title(Reason reason) {
    switch (reason) {
    case Reason::required: return "Required value";
    case Reason::invalid: return "Invalid value";
    case Reason::not_supported: return "Unsupported value";
    case Reason::duplicate: return "Duplicate value";
    case Reason::not_found: return "Not found";
    case Reason::forbidden: return "Forbidden";
    case Reason::too_long: return "Too long";
    case Reason::too_many: return "Too many";
    case Reason::type_invalid: return "Invalid value";
    }
    return {};
}

bool shows_value(Reason reason) {
    return reason != Reason::required && reason != Reason::forbidden && reason != Reason::too_long;
}

} // namespace

std::string_view name_of(Reason reason) {
    switch (reason) {
    case Reason::required: return "FieldValueRequired";
    case Reason::invalid: return "FieldValueInvalid";
    case Reason::not_supported: return "FieldValueNotSupported";
    case Reason::duplicate: return "FieldValueDuplicate";
    case Reason::not_found: return "FieldValueNotFound";
    case Reason::forbidden: return "FieldValueForbidden";
    case Reason::too_long: return "FieldValueTooLong";
    case Reason::too_many: return "FieldValueTooMany";
    case Reason::type_invalid: return "FieldValueTypeInvalid";
    }
    return {};
}

std::string FieldError::body() const {
    std::string text(title(reason));
    if (shows_value(reason)) text += ": " + value;
    if (!detail.empty()) text += ": " + detail;
    return text;
}

std::string FieldError::to_string() const { return path.empty() ? body() : path + ": " + body(); }

FieldError FieldError::required(std::string path, std::string detail) {
    return {std::move(path), Reason::required, {}, std::move(detail)};
}
FieldError FieldError::invalid(std::string path, const Json& value, std::string detail) {
    return {std::move(path), Reason::invalid, printed(value), std::move(detail)};
}
FieldError FieldError::forbidden(std::string path, std::string detail) {
    return {std::move(path), Reason::forbidden, {}, std::move(detail)};
}
FieldError FieldError::duplicate(std::string path, const Json& value) {
    return {std::move(path), Reason::duplicate, printed(value), {}};
}
FieldError FieldError::not_found(std::string path, const Json& value) {
    return {std::move(path), Reason::not_found, printed(value), {}};
}
FieldError FieldError::too_long(std::string path, size_t limit) {
    return {
        std::move(path), Reason::too_long, {}, fmt::format("may not be more than {} bytes", limit)};
}
FieldError FieldError::not_supported(std::string path, const Json& value,
                                     std::span<const std::string_view> allowed) {
    std::string list;
    for (std::string_view one : allowed)
        list += (list.empty() ? "\"" : ", \"") + std::string(one) + "\"";
    return {std::move(path), Reason::not_supported, printed(value), "supported values: " + list};
}

std::string printed(const Json& value) {
    constexpr size_t limit = 2000; // a message is read by people
    std::string text = value.dump();
    if (text.size() > limit) text = text.substr(0, limit) + "...";
    return text;
}

std::string invalid_message(std::string_view group, std::string_view kind, std::string_view name,
                            std::span<const FieldError> errors) {
    std::string list;
    for (const FieldError& error : errors) list += (list.empty() ? "" : ", ") + error.to_string();
    if (errors.size() > 1) list = "[" + list + "]";
    return fmt::format("{}{}{} \"{}\" is invalid: {}", kind, group.empty() ? "" : ".", group, name,
                       list);
}

Json invalid_status(std::string_view group, std::string_view kind, std::string_view name,
                    std::span<const FieldError> errors) {
    Json causes = Json::array();
    for (const FieldError& error : errors)
        causes.push_back(Json::object(
            {{"reason", name_of(error.reason)}, {"message", error.body()}, {"field", error.path}}));
    Json details = Json::object({{"name", name}});
    if (!group.empty()) details.set("group", group);
    details.set("kind", kind).set("causes", std::move(causes));
    return Json::object({{"kind", "Status"},
                         {"apiVersion", "v1"},
                         {"metadata", Json::object()},
                         {"status", "Failure"},
                         {"message", invalid_message(group, kind, name, errors)},
                         {"reason", "Invalid"},
                         {"details", std::move(details)},
                         {"code", 422}});
}

} // namespace cloudlet::api
