#include "cloudlet/api/schema.h"

#include <algorithm>

#include "builtin_schemas.h"
#include "cloudlet/base/check.h"

namespace cloudlet::api {

namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (!text.empty()) {
        size_t end = std::min(text.find(separator), text.size());
        parts.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

} // namespace

SchemaBuilder::SchemaBuilder(const tables::Tables& tables)
    : tables_(tables), nodes_(tables.nodes.size()) {
    for (size_t i = 0; i < nodes_.size(); ++i) {
        const tables::NodeRow& row = tables.nodes[i];
        Schema& schema = nodes_[i];
        schema.type_ = static_cast<Schema::Type>(row.type);
        schema.atomic_ = row.atomic != 0;
        schema.name_ = tables.view(row.name);
        schema.full_name_ = tables.view(row.full_name);
        schema.description_ = tables.view(row.description);
        schema.items_ = node(row.items);
        schema.fields_.reserve(row.field_count);
        for (size_t f = 0; f < row.field_count; ++f)
            schema.fields_.push_back(make_field(tables.fields[row.first_field + f]));
        if (!schema.full_name_.empty()) named_.push_back(&schema);
    }
    std::ranges::sort(named_, {}, &Schema::full_name);
}

std::span<const std::string_view> SchemaBuilder::list(tables::Text text) {
    if (text.size == 0) return {};
    return lists_.emplace_back(split(tables_.view(text), '|'));
}

Field SchemaBuilder::make_field(const tables::FieldRow& row) {
    Field field;
    field.name = tables_.view(row.name);
    field.description = tables_.view(row.description);
    field.schema = node(row.schema);
    field.proto_number = row.proto_number;
    field.proto_embedded_in = row.proto_embedded_in;
    field.required = row.flags & 1;
    field.always_present = row.flags & 2;
    field.inert = row.flags & 4;
    field.immutable = row.flags & 8;
    field.patch = {.merge = (row.flags & 16) != 0,
                   .retain_keys = (row.flags & 32) != 0,
                   .replace = (row.flags & 64) != 0};
    field.default_replaces_zero = row.flags & 128;
    field.unique = row.flags & 256;
    field.list_type = static_cast<ListType>(row.list_type);
    if (row.bounds & 1) field.minimum = row.minimum;
    if (row.bounds & 2) field.maximum = row.maximum;
    field.enums = list(row.enums);
    field.list_map_keys = list(row.map_keys);
    field.format_check = tables_.view(row.check);
    field.merge_key = tables_.view(row.merge_key);
    if (row.default_value.size > 0) {
        auto value = codec::parse_json(tables_.view(row.default_value));
        check(value.has_value(), "a default in the compiled kinds is no JSON");
        field.default_value = &defaults_.emplace_back(std::move(*value));
    }
    return field;
}

SchemaBuilder& builtin_schema_graph() {
    static auto* graph =
        new SchemaBuilder(tables::builtin()); // never freed: views into it are everywhere
    return *graph;
}

const Field* Schema::find(std::string_view field) const {
    auto found = std::ranges::lower_bound(fields_, field, {}, &Field::name);
    return found != fields_.end() && found->name == field ? &*found : nullptr;
}

const Field* Schema::find_path(std::string_view path) const {
    const Schema* schema = this;
    const Field* field = nullptr;
    for (std::string_view step : split(path, '.')) {
        while (schema->items_) schema = schema->items_;
        field = schema->find(step);
        if (!field) return nullptr;
        schema = field->schema;
    }
    return field;
}

std::string Schema::go_type() const {
    switch (type_) {
    case Type::map: return "map[string]" + items_->go_type();
    case Type::list: return "[]" + items_->go_type();
    case Type::string: return "string";
    case Type::int32: return "int32";
    case Type::int64: return "int64";
    case Type::number: return "float64";
    case Type::boolean: return "bool";
    case Type::bytes: return "[]uint8";
    case Type::int_or_string: return "intstr.IntOrString";
    case Type::quantity: return "resource.Quantity";
    case Type::time: return "v1.Time";
    case Type::micro_time: return "v1.MicroTime";
    case Type::any:
        if (name_.empty()) return "interface {}";
        break;
    case Type::object: break;
    }
    auto parts = split(full_name_, '.'); // io.k8s.api.core.v1.PodSpec -> v1.PodSpec
    return parts.size() < 2 ? std::string(name_)
                            : std::string(parts[parts.size() - 2]) + "." + std::string(name_);
}

const Schema* find_schema(std::string_view full_name) {
    auto named = builtin_schemas();
    auto found = std::ranges::lower_bound(named, full_name, {}, &Schema::full_name);
    return found != named.end() && (*found)->full_name() == full_name ? *found : nullptr;
}

std::span<const Schema* const> builtin_schemas() { return builtin_schema_graph().named(); }

std::string strict_decoding_error(std::span<const std::string> unknown,
                                  std::span<const std::string> duplicates) {
    if (unknown.empty() && duplicates.empty()) return {};
    std::string text = "strict decoding error: ";
    bool first = true;
    auto add = [&](std::string_view what, std::span<const std::string> paths) {
        for (const std::string& path : paths) {
            if (!first) text += ", ";
            first = false;
            text += std::string(what) + " field \"" + path + "\"";
        }
    };
    add("duplicate", duplicates);
    add("unknown", unknown);
    return text;
}

} // namespace cloudlet::api
