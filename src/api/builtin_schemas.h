#pragma once
// The linked form of the compiled tables: every Schema node, by number. Built once, never freed.

#include <deque>
#include <vector>

#include "cloudlet/api/schema.h"
#include "kind_tables.h"

namespace cloudlet::api {

/// Makes Schema nodes from table rows; owns the lists and default values that Fields point to.
class SchemaBuilder {
public:
    explicit SchemaBuilder(const tables::Tables& tables);

    const Schema* node(int number) const {
        return number < 0 ? nullptr : &nodes_[static_cast<size_t>(number)];
    }
    std::span<const Schema* const> named() const { return named_; }
    /// Splits a "|"-joined text; the list lives as long as the builder.
    std::span<const std::string_view> list(tables::Text text);

private:
    Field make_field(const tables::FieldRow& row);

    const tables::Tables& tables_;
    std::vector<Schema> nodes_;
    std::vector<const Schema*> named_; // sorted by full name
    std::deque<std::vector<std::string_view>> lists_;
    std::deque<Json> defaults_;
};

SchemaBuilder& builtin_schema_graph();

} // namespace cloudlet::api
