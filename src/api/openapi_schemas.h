#pragma once
// Schemas as OpenAPI v3 publishes them, collected by what a document refers to.

#include <map>

#include "cloudlet/api/kind.h"

namespace cloudlet::api {

inline constexpr std::string_view patch_schema_name = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
inline constexpr std::string_view status_schema_name =
    "io.k8s.apimachinery.pkg.apis.meta.v1.Status";

/// {"$ref":"#/components/schemas/<name>"}
Json schema_reference(std::string_view full_name);

/// The full name of a kind's list type: "io.k8s.api.core.v1.PodList".
std::string list_schema_name(const Kind& kind);

class SchemaPublisher {
public:
    /// Adds a kind, its list, and everything they refer to.
    void add_kind(const Kind& kind);
    /// components.schemas, sorted by name.
    Json take();

private:
    void add(const Schema& schema);
    Json published(const Schema& schema); // the body of a named object type
    Json property(const Field& field);    // a field with its rules
    Json type_of(const Schema& schema);   // without description
    Json standard(std::string_view full_name, Json body);

    std::map<std::string, Json, std::less<>> schemas_;
};

} // namespace cloudlet::api
