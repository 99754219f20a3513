#pragma once
// From the bytes of a body to an object that its schema knows.

#include <string>
#include <string_view>
#include <vector>

#include "negotiation.h"
#include "request.h"

namespace cloudlet::kube::server {

/// A decoded body; `duplicates` are paths of keys that stood twice.
struct Body {
    Json value;
    std::vector<std::string> duplicates;
};

/// Failures: 400 with line and column of what is wrong, 413.
Outcome<Body> decode_body(std::string_view bytes, BodyType type);

/// Checks types, removes fields that the schema does not know, and treats unknown and duplicate
/// fields as the client asked: 400 when strict, else texts for Warning headers. Says the kind, too:
/// an object of another kind is a 400.
Outcome<> conform(const api::Kind& kind, Body& body, FieldValidation validation,
                  std::vector<std::string>& warnings);
/// The same for the body of a subresource (Binding, Scale, ...).
Outcome<> conform(const api::Subresource& subresource, Body& body, FieldValidation validation,
                  std::vector<std::string>& warnings);

/// metav1.DeleteOptions from a body (may be empty) and the query.
struct DeleteRequest {
    std::optional<int64_t> grace_period_seconds;
    std::string propagation_policy; // Background, Foreground, Orphan or empty
    std::string uid;
    std::string resource_version;
    bool dry_run = false;
};
Outcome<DeleteRequest> read_delete_request(const Json& body, const net::Query& query);

} // namespace cloudlet::kube::server
