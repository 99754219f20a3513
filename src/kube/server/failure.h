#pragma once
// What goes wrong in a request, as Kubernetes tells it: a metav1.Status with code, reason and
// details (k8s.io/apimachinery api/errors). client-go decides by reason and details, so they are
// exact.

#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "cloudlet/api/kind.h"
#include "cloudlet/api/resources.h"
#include "cloudlet/base/result.h"
#include "cloudlet/codec/json.h"

namespace cloudlet::kube::server {

using codec::Json;

/// One entry of details.causes.
struct Cause {
    std::string reason; // FieldValueRequired, FieldValueInvalid, ...
    std::string message;
    std::string field;
};

struct Failure {
    int code = 500;
    std::string reason = "InternalError";
    std::string message;
    std::string name;  // of the object
    std::string group; // details.group
    std::string kind;  // details.kind: the plural for most reasons, the kind for Invalid
    std::string uid;
    std::vector<Cause> causes;
    int retry_after_seconds = 0;
    std::string continue_token; // metadata.continue of an expired list

    Json to_status() const;
    /// For in-process callers, who know Codes.
    Error to_error() const;
};

template <typename T = void>
using Outcome = tl::expected<T, Failure>;

tl::unexpected<Failure> refuse(Failure failure);

Failure bad_request(std::string message);
Failure unauthorized(std::string message);
Failure not_found(const api::Resource& resource, std::string_view name);
Failure no_such_path();
Failure already_exists(const api::Resource& resource, std::string_view name);
Failure conflict(const api::Resource& resource, std::string_view name, std::string_view why);
/// The conflict of a changed resourceVersion.
Failure modified(const api::Resource& resource, std::string_view name);
Failure forbidden(const api::Resource& resource, std::string_view name, std::string_view why);
Failure invalid(const api::Kind& kind, std::string_view name,
                const std::vector<api::FieldError>& errors);
Failure method_not_allowed(
    std::string message = "the server does not allow this method on the requested resource");
Failure not_acceptable(std::string message);
Failure unsupported_media_type(std::string message);
Failure too_large(std::string message);
Failure expired(std::string message);
Failure unavailable(std::string message, int retry_after_seconds = 1);
Failure timeout(std::string message, int retry_after_seconds = 0);
Failure internal(std::string message);
/// An Error of a lower room in Kubernetes' words.
Failure from_error(const Error& error);

/// The name of a kind's collection.
api::Resource resource_of(const api::Kind& kind);

/// The Status of a request that succeeded and has no object to show.
Json success_status(const api::Resource& resource, std::string_view name, std::string_view uid);

} // namespace cloudlet::kube::server

/// Evaluates an Outcome expression; yields its value, or returns its failure from this function.
#define NEED(...)                                                                                  \
    __extension__({                                                                                \
        auto cloudlet_outcome = (__VA_ARGS__);                                                     \
        if (!cloudlet_outcome) [[unlikely]]                                                        \
            return ::tl::unexpected<::cloudlet::kube::server::Failure>(                            \
                ::cloudlet::kube::server::as_failure(std::move(cloudlet_outcome.error())));        \
        ::cloudlet::kube::server::take_outcome(cloudlet_outcome);                                  \
    })

namespace cloudlet::kube::server {
inline Failure as_failure(Failure failure) { return failure; }
inline Failure as_failure(const Error& error) { return from_error(error); }
template <typename T, typename E>
T take_outcome(tl::expected<T, E>& outcome) {
    return std::move(*outcome);
}
template <typename E>
void take_outcome(tl::expected<void, E>&) {}
} // namespace cloudlet::kube::server
