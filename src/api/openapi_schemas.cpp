#include "openapi_schemas.h"

namespace cloudlet::api {

namespace {

constexpr std::string_view list_metadata = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

Json any_of_texts(std::span<const std::string_view> list) {
    Json result = Json::array();
    for (std::string_view one : list) result.push_back(one);
    return result;
}

Json group_version_kind(const Kind& kind, const std::string& name) {
    return Json::array(
        {Json::object({{"group", kind.group}, {"kind", name}, {"version", kind.version}})});
}

std::string strategy_text(const PatchStrategy& patch) {
    std::string text;
    auto add = [&](bool wanted, std::string_view word) {
        if (wanted) text += (text.empty() ? "" : ",") + std::string(word);
    };
    add(patch.merge, "merge");
    add(patch.replace, "replace");
    add(patch.retain_keys, "retainKeys");
    return text;
}

} // namespace

Json schema_reference(std::string_view full_name) {
    return Json::object({{"$ref", "#/components/schemas/" + std::string(full_name)}});
}

std::string list_schema_name(const Kind& kind) {
    return std::string(kind.schema->full_name()) + "List";
}

Json SchemaPublisher::standard(std::string_view full_name, Json body) {
    schemas_.try_emplace(std::string(full_name), std::move(body));
    return Json::object({{"allOf", Json::array({schema_reference(full_name)})}});
}

Json SchemaPublisher::type_of(const Schema& schema) {
    using Type = Schema::Type;
    auto simple = [](std::string_view type, std::string_view format = {}) {
        Json result = Json::object({{"type", type}});
        if (!format.empty()) result.set("format", format);
        return result;
    };
    auto number_or_text = [&] { return Json::array({simple("string"), simple("number")}); };
    switch (schema.type()) {
    case Type::string: return simple("string");
    case Type::int32: return simple("integer", "int32");
    case Type::int64: return simple("integer", "int64");
    case Type::number: return simple("number", "double");
    case Type::boolean: return simple("boolean");
    case Type::bytes: return simple("string", "byte");
    case Type::time:
        return standard(
            "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
            simple("string", "date-time").set("description", "A time of RFC 3339, to the second."));
    case Type::micro_time:
        return standard("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
                        simple("string", "date-time")
                            .set("description", "A time of RFC 3339, to the microsecond."));
    case Type::quantity:
        return standard("io.k8s.apimachinery.pkg.api.resource.Quantity",
                        Json::object({{"description", "An amount such as 100m, 1.5Gi or 2e3."},
                                      {"oneOf", number_or_text()}}));
    case Type::int_or_string:
        return standard(
            "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
            Json::object({{"description", "A number or a text."},
                          {"format", "int-or-string"},
                          {"oneOf", Json::array({simple("integer"), simple("string")})}}));
    case Type::list: return Json::object({{"type", "array"}, {"items", type_of(*schema.items())}});
    case Type::map:
        return Json::object(
            {{"type", "object"}, {"additionalProperties", type_of(*schema.items())}});
    case Type::object:
    case Type::any: break;
    }
    if (schema.full_name().empty())
        return Json::object({{"x-kubernetes-preserve-unknown-fields", true}});
    add(schema);
    return Json::object({{"allOf", Json::array({schema_reference(schema.full_name())})}});
}

Json SchemaPublisher::property(const Field& field) {
    Json result = type_of(*field.schema);
    result.set("description", field.description);
    if (field.default_value) result.set("default", *field.default_value);
    if (!field.enums.empty()) {
        Json* items = result.find_mutable("items");
        (items ? *items : result).set("enum", any_of_texts(field.enums));
    }
    if (field.schema->type() == Schema::Type::list &&
        (field.list_type != ListType::atomic || !field.patch.merge))
        result.set("x-kubernetes-list-type", field.list_type == ListType::map   ? "map"
                                             : field.list_type == ListType::set ? "set"
                                                                                : "atomic");
    if (!field.list_map_keys.empty())
        result.set("x-kubernetes-list-map-keys", any_of_texts(field.list_map_keys));
    if (std::string strategy = strategy_text(field.patch); !strategy.empty())
        result.set("x-kubernetes-patch-strategy", strategy);
    if (!field.merge_key.empty()) result.set("x-kubernetes-patch-merge-key", field.merge_key);
    if (field.inert) result.set("x-cloudlet-inert", true);
    return result;
}

Json SchemaPublisher::published(const Schema& schema) {
    Json result = Json::object({{"description", schema.description()}, {"type", "object"}});
    if (schema.type() == Schema::Type::any) return result;
    Json properties = Json::object();
    Json required = Json::array();
    for (const Field& field : schema.fields()) {
        properties.set(field.name, property(field));
        if (field.required || field.always_present) required.push_back(field.name);
    }
    if (!required.empty()) result.set("required", std::move(required));
    result.set("properties", std::move(properties));
    if (schema.is_object_atomic()) result.set("x-kubernetes-map-type", "atomic");
    return result;
}

void SchemaPublisher::add(const Schema& schema) {
    if (!schemas_.try_emplace(std::string(schema.full_name())).second)
        return; // there, or being made
    Json body = published(schema);
    schemas_.find(schema.full_name())->second = std::move(body);
}

void SchemaPublisher::add_kind(const Kind& kind) {
    add(*kind.schema);
    schemas_.find(kind.schema->full_name())
        ->second.set("x-kubernetes-group-version-kind",
                     group_version_kind(kind, std::string(kind.kind)));
    for (std::string_view shared :
         {status_schema_name,
          std::string_view("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions")})
        if (const Schema* schema = find_schema(shared)) add(*schema);
    schemas_.try_emplace(std::string(patch_schema_name),
                         Json::object({{"type", "object"},
                                       {"description", "A patch, in one of the patch formats."}}));
    if (!kind.stored) return;
    if (const Schema* schema = find_schema(list_metadata)) add(*schema);
    auto text = [](std::string_view description) {
        return Json::object({{"type", "string"}, {"description", description}});
    };
    auto reference = [](std::string_view name) {
        return Json::object({{"allOf", Json::array({schema_reference(name)})}});
    };
    Json items = Json::object({{"type", "array"},
                               {"items", reference(kind.schema->full_name())},
                               {"description", "The objects."}});
    Json properties = Json::object(
        {{"apiVersion", text("Group and version of the list.")},
         {"items", std::move(items)},
         {"kind", text("The type of the list.")},
         {"metadata", reference(list_metadata).set("description", "Where the list stands.")}});
    schemas_.insert_or_assign(
        list_schema_name(kind),
        Json::object(
            {{"description", "A list of objects of kind " + std::string(kind.kind) + "."},
             {"type", "object"},
             {"required", Json::array({"items"})},
             {"properties", std::move(properties)},
             {"x-kubernetes-group-version-kind", group_version_kind(kind, kind.list_kind())}}));
}

Json SchemaPublisher::take() {
    Json result = Json::object();
    for (auto& [name, body] : schemas_) result.set(name, std::move(body));
    schemas_.clear();
    return result;
}

} // namespace cloudlet::api
