#pragma once
// Tables: what `kubectl get` prints. The server renders each object into cells by the columns of
// its kind, so that a client needs to know nothing of the kind (meta.k8s.io/v1, kind Table).
//
// Cells of age depend on the time of rendering; every other cell on the object alone.

#include "cloudlet/api/kind.h"
#include "cloudlet/base/clock.h"

namespace cloudlet::api {

/// What each row carries beside its cells (query parameter includeObject).
enum class IncludeObject : uint8_t { metadata, object, none };

/// "Metadata" (and the empty default), "Object", "None". Error: Code::invalid.
Result<IncludeObject> parse_include_object(std::string_view text);

struct TableOptions {
    IncludeObject include = IncludeObject::metadata;
    std::string_view version = "v1"; // of meta.k8s.io: "v1" or "v1beta1"
    WallTime now{};
};

/// The columnDefinitions array of a kind.
Json table_columns(const Kind& kind);

/// One row: cells, and `object` as the options ask.
Json table_row(const Kind& kind, const Json& object, const TableOptions& options);

/// A whole Table of `objects`; `list_metadata` (resourceVersion, continue, remainingItemCount)
/// becomes its metadata. With `with_columns` false the columnDefinitions are left empty, as in
/// later watch events.
Json make_table(const Kind& kind, std::span<const Json> objects, const Json& list_metadata,
                const TableOptions& options, bool with_columns = true);

/// The PartialObjectMetadata of an object (apiVersion meta.k8s.io/<version>, kind, metadata).
Json partial_metadata(const Json& object, std::string_view version = "v1");

} // namespace cloudlet::api
