#include "cloudlet/api/table.h"

#include <fmt/format.h>

#include "table_cells.h"

namespace cloudlet::api {

namespace {

/// Kinds that name no columns show what every object has.
constexpr Column plain_columns[] = {
    {"Name", "string", "name", "Name of the object.", 0, "metadata.name"},
    {"Created At", "date", "", "When it was created.", 0, "metadata.creationTimestamp"},
};

std::span<const Column> columns_of(const Kind& kind) {
    if (kind.columns.empty()) return plain_columns;
    return kind.columns;
}

/// Rows of finished pods carry a condition, by which clients may hide them.
Json row_conditions(const Kind& kind, const Json& object) {
    if (kind.kind != "Pod") return {};
    std::string_view phase = object["status"]["phase"].as_string();
    if (phase != "Succeeded" && phase != "Failed") return {};
    return Json::array(
        {Json::object({{"type", "Completed"},
                       {"status", "True"},
                       {"reason", phase},
                       {"message", phase == "Failed" ? "The pod ended with a failure."
                                                     : "The pod ran to its end."}})});
}

} // namespace

Result<IncludeObject> parse_include_object(std::string_view text) {
    if (text.empty() || text == "Metadata") return IncludeObject::metadata;
    if (text == "Object") return IncludeObject::object;
    if (text == "None") return IncludeObject::none;
    return fail(Code::invalid, fmt::format("unrecognized includeObject value: \"{}\"", text));
}

Json table_columns(const Kind& kind) {
    Json result = Json::array();
    for (const Column& column : columns_of(kind))
        result.push_back(Json::object({{"name", column.name},
                                       {"type", column.type},
                                       {"format", column.format},
                                       {"description", column.description},
                                       {"priority", column.priority}}));
    return result;
}

Json partial_metadata(const Json& object, std::string_view version) {
    return Json::object({{"kind", "PartialObjectMetadata"},
                         {"apiVersion", "meta.k8s.io/" + std::string(version)},
                         {"metadata", object["metadata"]}});
}

Json table_row(const Kind& kind, const Json& object, const TableOptions& options) {
    Json cells = Json::array();
    for (const Column& column : columns_of(kind))
        cells.push_back(table_cell(column.source, object, options.now));
    Json row = Json::object({{"cells", std::move(cells)}});
    Json conditions = row_conditions(kind, object);
    if (!conditions.is_null()) row.set("conditions", std::move(conditions));
    switch (options.include) {
    case IncludeObject::metadata:
        row.set("object", partial_metadata(object, options.version));
        break;
    case IncludeObject::object: row.set("object", object); break;
    case IncludeObject::none: break;
    }
    return row;
}

Json make_table(const Kind& kind, std::span<const Json> objects, const Json& list_metadata,
                const TableOptions& options, bool with_columns) {
    Json rows = Json::array();
    for (const Json& object : objects) rows.push_back(table_row(kind, object, options));
    return Json::object({{"kind", "Table"},
                         {"apiVersion", "meta.k8s.io/" + std::string(options.version)},
                         {"metadata", list_metadata.is_object() ? list_metadata : Json::object()},
                         {"columnDefinitions", with_columns ? table_columns(kind) : Json::array()},
                         {"rows", std::move(rows)}});
}

} // namespace cloudlet::api
