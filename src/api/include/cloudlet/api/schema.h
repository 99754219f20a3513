#pragma once
// Schemas: what the fields of a Kubernetes object are, held as data.
//
// A Schema is one node of a structural schema (OpenAPI v3 with the x-kubernetes extensions and
// protobuf field numbers). The nodes of built-in kinds come from src/api/kinds/*.schema, compiled
// into tables at build time and linked once at first use; they live until the process ends. Named
// object types are shared and may refer to themselves, so the whole is a graph, not a tree.
// Everything here is immutable after loading and safe to read from any thread.
//
// The order in which the API server uses it: check_types (what Go's decoder would refuse), prune
// (unknown fields), then the kind's defaults and validation in kind.h, which call default_into and
// validate_into here and add what a schema cannot say.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/api/field_error.h"
#include "cloudlet/base/result.h"
#include "cloudlet/codec/json.h"

namespace cloudlet::api {

class Schema;

/// How a list behaves in merges (x-kubernetes-list-type).
enum class ListType : uint8_t { atomic, set, map };

/// x-kubernetes-patch-strategy of a field.
struct PatchStrategy {
    bool merge = false; // lists merge by merge_key (or as a set of primitives), objects by field
    bool retain_keys = false; // an object is cut to the keys that the patch names in $retainKeys
    bool replace = false;     // an object is replaced whole
};

/// One field of an object type: its schema and the rules that hold at this place.
struct Field {
    std::string_view name;
    std::string_view description; // our own words; `kubectl explain` prints it
    const Schema* schema = nullptr;
    uint32_t proto_number = 0;   // protobuf field number; 0: not in the protobuf message
    bool required = false;       // validated: absent or empty gives "Required value"
    bool always_present = false; // published as required, never validated (server-filled)
    bool inert = false;          // accepted, but does nothing yet: a Warning header tells so
    bool immutable = false;      // an update may not change it
    bool unique = false;         // a list whose items may not share their map keys
    uint32_t proto_embedded_in =
        0; // the message that holds it in protobuf, when JSON has it inline
    const Json* default_value = nullptr;     // applied when absent (strings: or empty); null: none
    bool default_replaces_zero = false;      // an explicit 0 gets the default too
    std::span<const std::string_view> enums; // allowed strings; empty: any
    std::optional<int64_t> minimum, maximum; // numbers, inclusive
    std::string_view format_check;           // a named syntax check, e.g. "dns_label"; empty: none
    ListType list_type = ListType::atomic;
    std::span<const std::string_view> list_map_keys;
    PatchStrategy patch;
    std::string_view merge_key; // of a strategic merge
};

class Schema {
public:
    enum class Type : uint8_t {
        object, // named fields
        map,    // string keys, values of one schema
        list,
        string,
        int32,
        int64,
        number, // float64
        boolean,
        bytes, // base64 in JSON
        int_or_string,
        quantity,
        time, // RFC 3339, whole seconds
        micro_time,
        any, // anything; nothing below is pruned or checked
    };

    Type type() const { return type_; }
    /// The bare name of a named object type ("PodSpec"); empty for others.
    std::string_view name() const { return name_; }
    /// As OpenAPI publishes it: "io.k8s.api.core.v1.PodSpec".
    std::string_view full_name() const { return full_name_; }
    std::string_view description() const { return description_; }
    /// The type as Go's error messages print it: "int32", "[]v1.Container", "map[string]string".
    std::string go_type() const;

    std::span<const Field> fields() const { return fields_; } // sorted by name
    const Field* find(std::string_view field) const;
    /// The schema of a list's elements or a map's values; null for other types.
    const Schema* items() const { return items_; }
    bool is_object_atomic() const { return atomic_; } // x-kubernetes-map-type: atomic

    /// The field at a dotted path ("spec.template.spec"), lists and maps passed through.
    const Field* find_path(std::string_view path) const;

    /// What Go's JSON decoder would refuse: a string where a number belongs, an integer out of
    /// range, a malformed quantity, time or base64. Error: Code::invalid with the stock text, e.g.
    /// `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type
    /// int32`.
    Result<> check_types(const Json& value) const;

    /// Removes every field that the schema does not know, and null members, and spells quantities
    /// and times canonically, as decoding into typed objects and printing them again does. Appends
    /// the path of each unknown field ("spec.containers[0].imag") to `unknown`.
    void prune(Json& value, std::vector<std::string>* unknown = nullptr) const;

    /// Sets absent fields that have a default, in every object that is present. Never fails on
    /// input that passed check_types; other input is left alone where it does not fit.
    void default_into(Json& value) const;

    /// Required fields, enums, ranges, named syntax checks, set and map keys. `status` at the top
    /// is skipped. Paths start with `path` (empty: the root).
    std::vector<FieldError> validate(const Json& value, std::string_view path = {}) const;

    /// Fields marked immutable whose value differs between two versions of one object.
    std::vector<FieldError> validate_immutable(const Json& now, const Json& before) const;

    /// Paths of fields that are set and do nothing yet, lists unfolded, e.g.
    /// "spec.containers[0].lifecycle".
    std::vector<std::string> inert_fields(const Json& value) const;

private:
    friend class SchemaBuilder;
    Type type_ = Type::any;
    bool atomic_ = false;
    std::string_view name_, full_name_, description_;
    std::vector<Field> fields_;
    const Schema* items_ = nullptr;
};

/// The named object type of the built-in schemas ("io.k8s.api.core.v1.PodSpec"); null when unknown.
const Schema* find_schema(std::string_view full_name);
/// Every named object type of the built-in schemas, sorted by full name.
std::span<const Schema* const> builtin_schemas();

/// `strict decoding error: unknown field "a", duplicate field "b"`; empty when both lists are.
std::string strict_decoding_error(std::span<const std::string> unknown,
                                  std::span<const std::string> duplicates);

} // namespace cloudlet::api
