#pragma once
// The form of the compiled kinds (kinds/compile.py writes the rows). Texts are places in one pool,
// so the tables hold no pointer and need no relocation.

#include <cstdint>
#include <span>
#include <string_view>

namespace cloudlet::api::tables {

struct Text {
    uint32_t at;
    uint16_t size;
};

struct NodeRow { // one Schema
    uint8_t type;
    uint8_t atomic;
    int16_t items;
    uint16_t first_field, field_count;
    Text name, full_name, description;
};

struct FieldRow {
    uint16_t schema;
    uint16_t proto_number, proto_embedded_in;
    uint16_t flags; // required 1, present 2, inert 4, immutable 8, merge 16, retainKeys 32, replace
                    // 64, zero 128, unique 256
    uint8_t list_type;
    uint8_t bounds; // minimum 1, maximum 2
    int64_t minimum, maximum;
    Text name, description;
    Text default_value;                     // JSON text
    Text enums, check, map_keys, merge_key; // lists are joined by "|"
};

struct KindRow {
    uint8_t flags; // namespaced 1, stored 2, internal 4
    uint16_t schema;
    uint16_t first_subresource, subresource_count, first_column, column_count;
    Text group, version, kind, plural, singular, short_names, categories, verbs, select;
};

struct SubresourceRow {
    int16_t schema;
    Text name, verbs, group, version, kind;
};

struct ColumnRow {
    uint8_t priority;
    Text name, type, format, description, source;
};

struct Tables {
    const char* text;
    std::span<const NodeRow> nodes;
    std::span<const FieldRow> fields;
    std::span<const KindRow> kinds;
    std::span<const SubresourceRow> subresources;
    std::span<const ColumnRow> columns;

    std::string_view view(Text place) const { return {text + place.at, place.size}; }
};

const Tables& builtin();

} // namespace cloudlet::api::tables
