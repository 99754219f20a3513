// Schema::prune, default_into and inert_fields: walks that bring an object into shape.

#include "cloudlet/api/quantity.h"
#include "cloudlet/api/schema.h"
#include "cloudlet/base/clock.h"
#include "field_path.h"

namespace cloudlet::api {

namespace {

void prune_value(const Schema& schema, Json& value, const FieldPath& path,
                 std::vector<std::string>* unknown);

void prune_object(const Schema& schema, Json& value, const FieldPath& path,
                  std::vector<std::string>* unknown) {
    auto& members = value.mutable_members();
    members.erase_if([&](const Json::Member& member) {
        if (schema.find(member.key)) return member.value.is_null();
        if (unknown) unknown->push_back(path.field(member.key).to_string());
        return true;
    });
    for (auto& member : members)
        prune_value(*schema.find(member.key)->schema, member.value, path.field(member.key),
                    unknown);
}

/// Go reads a null inside a list or a map as the zero value of the element.
void replace_null(const Schema& schema, Json& value) {
    if (!value.is_null()) return;
    switch (schema.type()) {
    case Schema::Type::string:
    case Schema::Type::bytes: value = ""; break;
    case Schema::Type::quantity: value = "0"; break;
    case Schema::Type::object: value = Json::object(); break;
    case Schema::Type::int32:
    case Schema::Type::int64: value = 0; break;
    default: break;
    }
}

/// The one spelling that a typed object would print again: "1Gi" for 1024Mi, "500m" for 0.5, times
/// in UTC. Comparisons of objects, and of what a client applied with what is stored, rest on it.
void canonicalize(Schema::Type type, Json& value) {
    if (type == Schema::Type::quantity && (value.is_string() || value.is_number())) {
        auto amount =
            Quantity::parse(value.is_string() ? std::string(value.as_string()) : value.dump());
        if (amount) value = amount->to_string();
    } else if ((type == Schema::Type::time || type == Schema::Type::micro_time) &&
               value.is_string()) {
        auto time = parse_time(value.as_string());
        if (time)
            value = type == Schema::Type::time ? format_time(*time) : format_micro_time(*time);
    }
}

void prune_value(const Schema& schema, Json& value, const FieldPath& path,
                 std::vector<std::string>* unknown) {
    if (schema.type() == Schema::Type::object && value.is_object())
        return prune_object(schema, value, path, unknown);
    canonicalize(schema.type(), value);
    if (schema.type() == Schema::Type::list && value.is_array()) {
        size_t index = 0;
        for (Json& item : value.mutable_items()) {
            replace_null(*schema.items(), item);
            prune_value(*schema.items(), item, path.index(index++), unknown);
        }
    } else if (schema.type() == Schema::Type::map && value.is_object()) {
        for (auto& member : value.mutable_members()) {
            replace_null(*schema.items(), member.value);
            prune_value(*schema.items(), member.value, path.key(member.key), unknown);
        }
    }
}

bool wants_default(const Field& field, const Json* value) {
    if (!value || value->is_null()) return true;
    if (value->is_string())
        return value->as_string().empty() && field.schema->type() == Schema::Type::string;
    return field.default_replaces_zero && value->is_int() && value->as_int() == 0;
}

void default_value_of(const Schema& schema, Json& value) {
    if (schema.type() == Schema::Type::object && value.is_object()) {
        for (const Field& field : schema.fields()) {
            Json* member = value.find_mutable(field.name);
            if (field.default_value && wants_default(field, member)) {
                value.set(field.name, *field.default_value);
                member = value.find_mutable(field.name);
            }
            if (member && (!field.schema->fields().empty() || field.schema->items()))
                default_value_of(*field.schema, *member);
        }
        return;
    }
    const Schema* items = schema.items();
    if (!items || (items->fields().empty() && !items->items())) return;
    if (value.is_array())
        for (Json& item : value.mutable_items()) default_value_of(*items, item);
    else if (value.is_object())
        for (auto& member : value.mutable_members()) default_value_of(*items, member.value);
}

/// A value that asks for nothing: false, 0, "", or an empty container.
bool is_blank(const Json& value) {
    if (value.is_null()) return true;
    if (value.is_bool()) return !value.as_bool();
    if (value.is_string()) return value.as_string().empty();
    if (value.is_number()) return value == Json(0);
    return value.size() == 0;
}

void find_inert(const Schema& schema, const Json& value, const FieldPath& path,
                std::vector<std::string>& found) {
    if (schema.type() == Schema::Type::object && value.is_object()) {
        for (const auto& member : value.members()) {
            const Field* field = schema.find(member.key);
            if (!field || (path.is_root() && member.key == "status")) continue;
            if (field->inert && !is_blank(member.value))
                found.push_back(path.field(member.key).to_string());
            else
                find_inert(*field->schema, member.value, path.field(member.key), found);
        }
        return;
    }
    if (!schema.items()) return;
    size_t index = 0;
    for (const Json& item : value.items())
        find_inert(*schema.items(), item, path.index(index++), found);
    for (const auto& member : value.members())
        find_inert(*schema.items(), member.value, path.key(member.key), found);
}

} // namespace

void Schema::prune(Json& value, std::vector<std::string>* unknown) const {
    prune_value(*this, value, FieldPath{}, unknown);
}

void Schema::default_into(Json& value) const { default_value_of(*this, value); }

std::vector<std::string> Schema::inert_fields(const Json& value) const {
    std::vector<std::string> found;
    find_inert(*this, value, FieldPath{}, found);
    return found;
}

} // namespace cloudlet::api
