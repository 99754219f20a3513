#pragma once
// What is wrong with one field of an object, in the words that Kubernetes uses.
//
// Validation returns a list of FieldErrors; the API server turns the list into one `Invalid` Status
// (HTTP 422) whose message and causes clients parse and people search the web for. The wording
// follows k8s.io/apimachinery's field package.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/codec/json.h"

namespace cloudlet::api {

using codec::Json;

struct FieldError {
    enum class Reason : uint8_t {
        required,      // FieldValueRequired
        invalid,       // FieldValueInvalid
        not_supported, // FieldValueNotSupported
        duplicate,     // FieldValueDuplicate
        not_found,     // FieldValueNotFound
        forbidden,     // FieldValueForbidden
        too_long,      // FieldValueTooLong
        too_many,      // FieldValueTooMany
        type_invalid,  // FieldValueTypeInvalid
    };
    std::string path; // "spec.containers[0].image"
    Reason reason = Reason::invalid;
    std::string
        value; // the value as printed: "-1", "\"x\"", a map; empty for required and forbidden
    std::string detail;

    /// "Invalid value: -1: must be greater than or equal to 0".
    std::string body() const;
    /// path and body: "spec.replicas: Invalid value: -1: must be greater than or equal to 0".
    std::string to_string() const;
    bool operator==(const FieldError&) const = default;

    static FieldError required(std::string path, std::string detail = {});
    static FieldError invalid(std::string path, const Json& value, std::string detail);
    static FieldError forbidden(std::string path, std::string detail);
    static FieldError duplicate(std::string path, const Json& value);
    static FieldError not_found(std::string path, const Json& value);
    static FieldError too_long(std::string path, size_t limit);
    static FieldError not_supported(std::string path, const Json& value,
                                    std::span<const std::string_view> allowed);
};

/// The reason as it appears in Status causes: "FieldValueInvalid".
std::string_view name_of(FieldError::Reason reason);

/// A JSON value as Go's %#v-like printing shows it in these messages: strings quoted, maps as JSON.
std::string printed(const Json& value);

/// The message of an Invalid Status: `Deployment.apps "web" is invalid: spec.x: ...`, or
/// `... is invalid: [a, b]` for several.
std::string invalid_message(std::string_view group, std::string_view kind, std::string_view name,
                            std::span<const FieldError> errors);

/// A complete Status object (v1, code 422, reason Invalid, details with one cause per error).
Json invalid_status(std::string_view group, std::string_view kind, std::string_view name,
                    std::span<const FieldError> errors);

} // namespace cloudlet::api
