#pragma once
// What a request asks, read off its method and path (Kubernetes API concepts, "Resource URIs").

#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/api/kind.h"
#include "cloudlet/api/selector.h"
#include "cloudlet/net/http_message.h"
#include "failure.h"

namespace cloudlet::kube::server {

enum class Verb { get, list, watch, create, update, patch, remove, remove_collection };
std::string_view name_of(Verb verb); // "get", "deletecollection"

/// Where a path of the resource API leads.
struct Target {
    const api::Kind* kind = nullptr;
    const api::Subresource* subresource = nullptr;
    std::string ns;
    std::string name;
    Verb verb = Verb::get;
};

/// True for /api/<version>/... and /apis/<group>/<version>/...: a path below which resources lie.
bool is_resource_path(std::string_view path);

/// Resolves path and method. Failures: 404 for a path that leads nowhere, 405 for a method that the
/// resource does not have.
Outcome<Target> resolve(const api::Kinds& kinds, const net::Request& request);

/// How a body that is not quite right is treated (query parameter fieldValidation).
enum class FieldValidation { ignore, warn, strict };

struct WriteOptions {
    bool dry_run = false;
    FieldValidation field_validation = FieldValidation::warn;
};
Outcome<WriteOptions> read_write_options(const net::Query& query);

/// metav1.ListOptions as far as they are parsed once.
struct ListQuery {
    api::LabelSelector labels;
    api::FieldSelector fields;
    int64_t limit = 0;
    std::string continue_token;
    std::string resource_version;
    std::string match; // resourceVersionMatch
    bool bookmarks = false;
    bool send_initial_events = false;
    int64_t timeout_seconds = 0; // 0: the server's choice
};
/// Failures: 400 with the field that is wrong.
Outcome<ListQuery> read_list_query(const api::Kind& kind, const net::Query& query, bool watch);

/// The revision that a resourceVersion names; "" and "0" are 0. Failure: 400.
Outcome<int64_t> parse_revision(std::string_view text);

} // namespace cloudlet::kube::server
