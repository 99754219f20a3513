#include "cloudlet/api/kind.h"

#include <algorithm>

#include <fmt/format.h>

#include "builtin_schemas.h"
#include "kind_hooks.h"

namespace cloudlet::api {

/// Makes the registry of the built-in kinds from the compiled tables.
class KindsBuilder {
public:
    KindsBuilder(const tables::Tables& tables, SchemaBuilder& schemas)
        : tables_(tables), schemas_(schemas) {}

    Kinds build() {
        Kinds kinds;
        for (const tables::KindRow& row : tables_.kinds) kinds.kinds_.push_back(make_kind(row));
        for (const Kind& kind : kinds.kinds_) {
            if (kind.internal) continue;
            if (kinds.groups_.empty() || kinds.groups_.back().name != kind.group)
                kinds.groups_.push_back({kind.group, {}});
            auto& versions = kinds.groups_.back().versions;
            if (std::ranges::find(versions, kind.version) == versions.end())
                versions.push_back(kind.version);
        }
        return kinds;
    }

private:
    std::vector<std::string_view> list(tables::Text text) {
        auto parts = schemas_.list(text);
        return {parts.begin(), parts.end()};
    }

    Kind make_kind(const tables::KindRow& row) {
        Kind kind;
        kind.group = tables_.view(row.group);
        kind.version = tables_.view(row.version);
        kind.kind = tables_.view(row.kind);
        kind.plural = tables_.view(row.plural);
        kind.singular = tables_.view(row.singular);
        kind.short_names = list(row.short_names);
        kind.categories = list(row.categories);
        kind.verbs = list(row.verbs);
        kind.namespaced = row.flags & 1;
        kind.stored = row.flags & 2;
        kind.internal = row.flags & 4;
        kind.selectable_fields = list(row.select);
        kind.schema = schemas_.node(row.schema);
        for (const auto& sub :
             tables_.subresources.subspan(row.first_subresource, row.subresource_count))
            kind.subresources.push_back({tables_.view(sub.name), list(sub.verbs),
                                         tables_.view(sub.group), tables_.view(sub.version),
                                         tables_.view(sub.kind), schemas_.node(sub.schema)});
        for (const auto& column : tables_.columns.subspan(row.first_column, row.column_count))
            kind.columns.push_back({tables_.view(column.name), tables_.view(column.type),
                                    tables_.view(column.format), tables_.view(column.description),
                                    column.priority, tables_.view(column.source)});
        return kind;
    }

    const tables::Tables& tables_;
    SchemaBuilder& schemas_;
};

const Kinds& builtin_kinds() {
    static const auto* kinds =
        new Kinds(KindsBuilder(tables::builtin(), builtin_schema_graph()).build());
    return *kinds;
}

std::string Kind::group_version() const {
    return group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
}
std::string Kind::list_kind() const { return std::string(kind) + "List"; }

const Subresource* Kind::subresource(std::string_view name) const {
    auto found = std::ranges::find(subresources, name, &Subresource::name);
    return found == subresources.end() ? nullptr : &*found;
}

bool Kind::has_verb(std::string_view verb) const {
    return std::ranges::find(verbs, verb) != verbs.end();
}

bool Kind::is_selectable(std::string_view field) const {
    if (field == "metadata.name" || (field == "metadata.namespace" && namespaced)) return true;
    return std::ranges::find(selectable_fields, field) != selectable_fields.end();
}

const Kind* Kinds::find(std::string_view group, std::string_view version,
                        std::string_view plural) const {
    for (const Kind& kind : kinds_)
        if (kind.plural == plural && kind.group == group && kind.version == version &&
            !kind.internal)
            return &kind;
    return nullptr;
}

const Kind* Kinds::find_kind(std::string_view group, std::string_view version,
                             std::string_view kind) const {
    for (const Kind& one : kinds_)
        if (one.kind == kind && one.group == group && one.version == version) return &one;
    return nullptr;
}

const Kind* Kinds::find_object(std::string_view api_version, std::string_view kind) const {
    size_t slash = api_version.find('/');
    if (slash == api_version.npos) return find_kind("", api_version, kind);
    return find_kind(api_version.substr(0, slash), api_version.substr(slash + 1), kind);
}

std::vector<std::string> inert_warnings(const Kind& kind, const Json& object) {
    std::vector<std::string> warnings = kind.schema->inert_fields(object);
    for (std::string& warning : warnings)
        warning += ": accepted, but this server does nothing with it yet";
    if (auto find = hooks_of(kind).idle_values) find(object, warnings);
    return warnings;
}

std::string field_value(const Kind& kind, const Json& object, std::string_view field) {
    if (kind.kind == "Event" && field == "source")
        return std::string(object.at({"source", "component"}).as_string());
    const Json* value = &object;
    for (std::string_view rest = field; !rest.empty();) {
        size_t dot = std::min(rest.find('.'), rest.size());
        value = &(*value)[rest.substr(0, dot)];
        rest.remove_prefix(std::min(dot + 1, rest.size()));
    }
    if (value->is_string()) return std::string(value->as_string());
    if (!value->is_null()) return value->dump();
    // Absent booleans and numbers have the zero value of their type, as in Go.
    const Field* known = kind.schema->find_path(field);
    if (!known) return {};
    if (known->schema->type() == Schema::Type::boolean) return "false";
    bool number = known->schema->type() == Schema::Type::int32 ||
                  known->schema->type() == Schema::Type::int64;
    return number ? "0" : "";
}

std::string decode_error_message(const Kind& kind, std::string_view detail) {
    return fmt::format("{0} in version \"{1}\" cannot be handled as a {0}: {2}", kind.kind,
                       kind.version, detail);
}

} // namespace cloudlet::api
