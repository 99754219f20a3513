// Schema::validate: what holds field by field, in the words of Kubernetes' own validation.

#include <set>

#include <fmt/format.h>

#include "cloudlet/api/names.h"
#include "cloudlet/api/schema.h"
#include "field_path.h"

namespace cloudlet::api {

namespace {

using Errors = std::vector<FieldError>;
using Type = Schema::Type;

bool is_missing(const Json* value, const Schema& schema) {
    if (!value || value->is_null()) return true;
    if (value->is_string()) return value->as_string().empty();
    return schema.type() == Type::list && value->size() == 0;
}

void check_range(const Field& field, const Json& value, const FieldPath& path, Errors& errors) {
    if (!field.minimum || !value.is_int()) return;
    int64_t number = value.as_int();
    int64_t low = *field.minimum;
    if (number >= low && (!field.maximum || number <= *field.maximum)) return;
    std::string detail;
    if (field.maximum && low == 0 && *field.maximum == 0777)
        detail = "must be a number between 0 and 0777 (octal), both inclusive";
    else if (field.maximum && !(low == 0 && number < 0))
        detail = fmt::format("must be between {} and {}, inclusive",
                             low == 0 && *field.maximum == 65535 ? 1 : low, *field.maximum);
    else
        detail = low == 1 ? "must be greater than 0"
                          : fmt::format("must be greater than or equal to {}", low);
    errors.push_back(FieldError::invalid(path.to_string(), value, std::move(detail)));
}

void check_text(const Field& field, const Json& value, const FieldPath& path, Errors& errors) {
    if (!value.is_string() || value.as_string().empty()) return;
    std::string_view text = value.as_string();
    if (!field.enums.empty() && std::ranges::find(field.enums, text) == field.enums.end())
        errors.push_back(FieldError::not_supported(path.to_string(), value, field.enums));
    if (field.format_check.empty()) return;
    if (auto complaint = run_named_check(field.format_check, text))
        errors.push_back(FieldError::invalid(path.to_string(), value, std::move(*complaint)));
}

/// Two items of a list with map keys (or merge key) may not have equal keys.
void check_unique(const Field& field, const Json& list, const FieldPath& path, Errors& errors) {
    if (!field.unique) return;
    std::set<std::string> seen;
    size_t index = 0;
    for (const Json& item : list.items()) {
        std::string key;
        if (field.list_type == ListType::set) key = item.dump();
        for (std::string_view name : field.list_map_keys) {
            const Json* part = item.find(name);
            key += (part ? part->dump() : std::string("null")) + ",";
        }
        if (!seen.insert(key).second) {
            FieldPath here = path.index(index);
            bool one_key = field.list_map_keys.size() == 1;
            if (one_key)
                errors.push_back(FieldError::duplicate(
                    here.field(field.list_map_keys[0]).to_string(), item[field.list_map_keys[0]]));
            else
                errors.push_back(FieldError::duplicate(here.to_string(), item));
        }
        ++index;
    }
}

void check_object(const Schema& schema, const Json& value, const FieldPath& path, Errors& errors);

void check_below(const Schema& schema, const Json& value, const FieldPath& path, Errors& errors) {
    if (schema.type() == Type::object) return check_object(schema, value, path, errors);
    if (!schema.items() || (schema.items()->type() != Type::object && !schema.items()->items()))
        return;
    size_t index = 0;
    for (const Json& item : value.items())
        check_below(*schema.items(), item, path.index(index++), errors);
    for (const auto& member : value.members())
        check_below(*schema.items(), member.value, path.key(member.key), errors);
}

void check_field(const Field& field, const Json& value, const FieldPath& path, Errors& errors) {
    if (value.is_array()) {
        check_unique(field, value, path, errors);
        size_t index = 0;
        if (!field.enums.empty() || !field.format_check.empty())
            for (const Json& item : value.items())
                check_text(field, item, path.index(index++), errors);
    }
    check_range(field, value, path, errors);
    check_text(field, value, path, errors);
    check_below(*field.schema, value, path, errors);
}

void check_object(const Schema& schema, const Json& value, const FieldPath& path, Errors& errors) {
    if (!value.is_object()) return;
    for (const Field& field : schema.fields()) {
        if (path.is_root() && (field.name == "status" || field.name == "metadata")) continue;
        const Json* member = value.find(field.name);
        FieldPath here = path.field(field.name);
        if (is_missing(member, *field.schema)) {
            if (field.required) errors.push_back(FieldError::required(here.to_string()));
            continue;
        }
        check_field(field, *member, here, errors);
    }
}

void check_unchanged(const Schema& schema, const Json& now, const Json& before,
                     const FieldPath& path, Errors& errors) {
    for (const Field& field : schema.fields()) {
        const Json& a = now[field.name];
        const Json& b = before[field.name];
        FieldPath here = path.field(field.name);
        if (field.immutable) {
            if (a != b)
                errors.push_back(FieldError::invalid(here.to_string(), a, "field is immutable"));
        } else if (field.schema->type() == Type::object && a.is_object() && b.is_object() &&
                   !(path.is_root() && (field.name == "metadata" || field.name == "status"))) {
            check_unchanged(*field.schema, a, b, here, errors);
        }
    }
}

} // namespace

Errors Schema::validate(const Json& value, std::string_view path) const {
    Errors errors;
    FieldPath start = path.empty() ? FieldPath{} : FieldPath{path};
    check_below(*this, value, start, errors);
    return errors;
}

Errors Schema::validate_immutable(const Json& now, const Json& before) const {
    Errors errors;
    check_unchanged(*this, now, before, FieldPath{}, errors);
    return errors;
}

} // namespace cloudlet::api
