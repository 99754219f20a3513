// Schema::check_types: what Go's JSON decoder (sigs.k8s.io/json into k8s.io/api structs) refuses,
// said in its words.

#include <limits>

#include <fmt/format.h>

#include "cloudlet/api/quantity.h"
#include "cloudlet/api/schema.h"
#include "cloudlet/base/bytes.h"
#include "cloudlet/base/clock.h"

namespace cloudlet::api {

namespace {

std::string_view json_type(const Json& value) {
    if (value.is_bool()) return "bool";
    if (value.is_number()) return "number";
    if (value.is_string()) return "string";
    return value.is_array() ? "array" : "object";
}

/// Where the walk is: Go names the innermost struct and the dotted path of fields, without indices.
struct Place {
    const Place* parent = nullptr;
    std::string_view struct_name; // the struct that holds the field
    std::string_view field;
    size_t depth = 0;

    std::string path() const {
        std::string above = parent ? parent->path() : std::string();
        if (field.empty()) return above;
        return above.empty() ? std::string(field) : above + "." + std::string(field);
    }
};

tl::unexpected<Error> mismatch(const Place& place, std::string_view got, std::string_view type) {
    std::string where;
    if (!place.struct_name.empty())
        where = fmt::format("Go struct field {}.{} of type ", place.struct_name, place.path());
    else
        where = "Go value of type ";
    return fail(Code::invalid,
                fmt::format("json: cannot unmarshal {} into {}{}", got, where, type));
}

Result<> check_integer(const Json& value, const Place& place, const Schema& schema) {
    if (!value.is_number()) return mismatch(place, json_type(value), schema.go_type());
    bool wide =
        schema.type() == Schema::Type::int64; // Go decodes an IntOrString's number into an int32
    int64_t low = wide ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int32_t>::min();
    int64_t high = wide ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int32_t>::max();
    int64_t number = value.as_int();
    bool exact = value.is_int() && value == Json(number); // an unsigned one above INT64_MAX is not
    if (!exact || number < low || number > high)
        return mismatch(place, "number " + value.dump(), wide ? "int64" : "int32");
    return {};
}

Result<> check_text(const Json& value, const Place& place, const Schema& schema) {
    if (!value.is_string()) return mismatch(place, json_type(value), schema.go_type());
    std::string_view text = value.as_string();
    switch (schema.type()) {
    case Schema::Type::bytes:
        if (!from_base64(text))
            return fail(Code::invalid, "illegal base64 data in field " + place.path());
        return {};
    case Schema::Type::time:
    case Schema::Type::micro_time:
        if (!parse_time(text))
            return fail(Code::invalid,
                        fmt::format("parsing time {} as \"2006-01-02T15:04:05Z07:00\" in field {}",
                                    value.dump(), place.path()));
        return {};
    default: return {};
    }
}

Result<> check_quantity(const Json& value, const Place& place, const Schema& schema) {
    if (!value.is_string() && !value.is_number())
        return mismatch(place, json_type(value), schema.go_type());
    std::string text = value.is_string() ? std::string(value.as_string()) : value.dump();
    TRY(Quantity::parse(text));
    return {};
}

Result<> check_value(const Schema& schema, const Json& value, const Place& place);

Result<> check_object(const Schema& schema, const Json& value, const Place& place) {
    if (!value.is_object()) return mismatch(place, json_type(value), schema.go_type());
    for (const auto& member : value.members()) {
        const Field* field = schema.find(member.key);
        if (!field) continue;
        Place here{&place, schema.name(), field->name, place.depth + 1};
        TRY(check_value(*field->schema, member.value, here));
    }
    return {};
}

Result<> check_value(const Schema& schema, const Json& value, const Place& place) {
    using Type = Schema::Type;
    if (value.is_null()) return {}; // as if absent
    switch (schema.type()) {
    case Type::any: return {};
    case Type::object: return check_object(schema, value, place);
    case Type::map:
        if (!value.is_object()) return mismatch(place, json_type(value), schema.go_type());
        for (const auto& member : value.members())
            TRY(check_value(*schema.items(), member.value, place));
        return {};
    case Type::list:
        if (!value.is_array()) return mismatch(place, json_type(value), schema.go_type());
        for (const Json& item : value.items()) TRY(check_value(*schema.items(), item, place));
        return {};
    case Type::int32:
    case Type::int64: return check_integer(value, place, schema);
    case Type::number:
        if (!value.is_number()) return mismatch(place, json_type(value), schema.go_type());
        return {};
    case Type::boolean:
        if (!value.is_bool()) return mismatch(place, json_type(value), schema.go_type());
        return {};
    case Type::int_or_string:
        if (value.is_string()) return {};
        return check_integer(value, place, schema);
    case Type::quantity: return check_quantity(value, place, schema);
    case Type::string:
    case Type::bytes:
    case Type::time:
    case Type::micro_time: return check_text(value, place, schema);
    }
    return {};
}

} // namespace

Result<> Schema::check_types(const Json& value) const { return check_value(*this, value, Place{}); }

} // namespace cloudlet::api
