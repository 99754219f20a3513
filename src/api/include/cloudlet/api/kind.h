#pragma once
// Kinds: the resources that the API serves, as data, and what they do beyond their schema.
//
// A Kind joins a group-version-kind with its resource name, verbs, subresources, Table columns,
// selectable fields and schema. The built-in ones come from src/api/kinds/*.schema. What a schema
// cannot say (a probe has one handler, a selector matches its template) is a hook in C++, found by
// the kind's name. Everything is immutable after loading and safe to read from any thread.
//
// A create in the server:  check_types -> prune -> default_object -> prepare_create ->
// validate_create. An update:               check_types -> prune -> default_object ->
// prepare_update -> validate_update.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/api/schema.h"

namespace cloudlet::api {

/// One column of a Table (meta.k8s.io/v1). Columns with priority > 0 show with `-o wide` alone.
struct Column {
    std::string_view name;   // "Ready"
    std::string_view type;   // "string", "integer", "date"
    std::string_view format; // "name" for the first column, else empty
    std::string_view description;
    int priority = 0;
    std::string_view
        source; // "metadata.name", "age(metadata.creationTimestamp)", "hook(pod_ready)"
};

/// A subresource: "status", "scale", "log", "exec", "binding", "token", "eviction", "finalize".
struct Subresource {
    std::string_view name;
    std::vector<std::string_view> verbs;
    std::string_view group, version, kind; // of the object exchanged; "" / "v1" / "Pod"
    const Schema* schema = nullptr; // null for streams (log, exec carry options in the query)
};

struct Kind {
    std::string_view group;    // "" for core
    std::string_view version;  // "v1"
    std::string_view kind;     // "Deployment"
    std::string_view plural;   // "deployments"
    std::string_view singular; // "deployment"
    std::vector<std::string_view> short_names, categories, verbs;
    bool namespaced = true;
    bool stored = true;    // false: never kept (Binding, Scale, TokenRequest, Eviction)
    bool internal = false; // true: only the body of a subresource; no collection, not discovered
    std::vector<Subresource> subresources;
    std::vector<Column> columns;
    std::vector<std::string_view> selectable_fields; // beyond metadata.name and metadata.namespace
    const Schema* schema = nullptr;

    std::string group_version() const; // "apps/v1", "v1"
    std::string list_kind() const;     // "DeploymentList"
    const Subresource* subresource(std::string_view name) const;
    bool has_status() const { return subresource("status") != nullptr; }
    bool has_verb(std::string_view verb) const;
    bool is_selectable(std::string_view field) const; // metadata.name and .namespace included
};

/// All kinds of one server. Built-in ones now; a registry of one's own for tests.
class Kinds {
public:
    const Kind* find(std::string_view group, std::string_view version,
                     std::string_view plural) const;
    const Kind* find_kind(std::string_view group, std::string_view version,
                          std::string_view kind) const;
    /// By apiVersion ("apps/v1") and kind, as an object's own fields say it.
    const Kind* find_object(std::string_view api_version, std::string_view kind) const;
    std::span<const Kind> all() const { return kinds_; } // ordered by group, version, plural
    /// Groups with their versions, core ("") first, then by name: {"apps", {"v1"}}.
    struct Group {
        std::string_view name;
        std::vector<std::string_view> versions; // preferred first
    };
    std::span<const Group> groups() const { return groups_; }

private:
    friend class KindsBuilder;
    std::vector<Kind> kinds_;
    std::vector<Group> groups_;
};

/// The kinds compiled into the program. First call links the tables (well below 5 ms).
const Kinds& builtin_kinds();

/// Everything absent that Kubernetes 1.32 defaults, in `object` of this kind: the schema's defaults
/// and the conditional ones (imagePullPolicy by tag, requests from limits, targetPort from port,
/// ...). Secret's stringData is folded into data; a Namespace gets its kubernetes.io/metadata.name
/// label.
void default_object(const Kind& kind, Json& object);

/// What a create resets or derives before validation: status dropped (Pod: phase Pending and the
/// QoS class; Namespace: phase Active and the finalizer), metadata.generation 1 for kinds that
/// count it.
void prepare_create(const Kind& kind, Json& object);

/// What an update carries over from the stored object: uid when left out, creation and deletion
/// times, status for kinds with a status subresource, metadata.generation (raised when what is
/// wanted changed), a Namespace's finalizers, and a Service's allocated addresses and node ports
/// where the client left them out.
void prepare_update(const Kind& kind, Json& object, const Json& old);

/// An update through /status: everything but status is `old`'s (a Node may also change its
/// metadata); metadata.resourceVersion stays as the client sent it.
void prepare_status_update(const Kind& kind, Json& object, const Json& old);

/// Schema, metadata and semantic rules. An empty list: the object is good.
std::vector<FieldError> validate_create(const Kind& kind, const Json& object);
std::vector<FieldError> validate_update(const Kind& kind, const Json& object, const Json& old);
std::vector<FieldError> validate_status_update(const Kind& kind, const Json& object,
                                               const Json& old);

/// Whether the difference between two versions is one that raises metadata.generation (anything but
/// metadata and status, for kinds that count it). prepare_update has done so already.
bool changes_generation(const Kind& kind, const Json& object, const Json& old);

/// Warning header texts for fields that are accepted and do nothing yet, e.g.
/// "spec.containers[0].lifecycle: accepted, but this server does nothing with it yet".
std::vector<std::string> inert_warnings(const Kind& kind, const Json& object);

/// The value of a selectable field as a field selector compares it; absent gives "".
std::string field_value(const Kind& kind, const Json& object, std::string_view field);

/// `Deployment in version "v1" cannot be handled as a Deployment: <detail>`: the 400 of a bad body.
std::string decode_error_message(const Kind& kind, std::string_view detail);

/// QoS class of a pod spec: "Guaranteed", "Burstable" or "BestEffort".
std::string_view qos_class(const Json& pod_spec);

} // namespace cloudlet::api
