// Kubernetes' strategic merge patch, after k8s.io/apimachinery util/strategicpatch of 1.32.

#include <algorithm>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>

#include "cloudlet/api/patch.h"

namespace cloudlet::api {

namespace {

constexpr std::string_view patch_marker = "$patch";
constexpr std::string_view retain_keys = "$retainKeys";
constexpr std::string_view set_order = "$setElementOrder/";
constexpr std::string_view delete_list = "$deleteFromPrimitiveList/";

using Items = Json::Array;

bool is_directive(std::string_view key) {
    return key == patch_marker || key == retain_keys || key.starts_with(set_order) ||
           key.starts_with(delete_list);
}

/// A patch value that becomes content as it stands: without directives and without nulls.
Json content_of(const Json& patch) {
    if (patch.is_object()) {
        Json result = Json::object();
        for (const auto& member : patch.members())
            if (!is_directive(member.key) && !member.value.is_null())
                result.set(member.key, content_of(member.value));
        return result;
    }
    if (!patch.is_array()) return patch;
    Json result = Json::array();
    for (const Json& item : patch.items()) {
        std::string_view directive = item[patch_marker].as_string();
        if (directive == "delete" || directive == "replace") continue;
        result.push_back(content_of(item));
    }
    return result;
}

tl::unexpected<Error> no_merge_key(std::string_view key, const Json& item) {
    return fail(Code::invalid,
                fmt::format("map: {} does not contain declared merge key: {}", printed(item), key));
}

/// Where the items of a list stand, by merge key (or, without a key, by value): the first of
/// equals.
class KeyIndex {
public:
    explicit KeyIndex(std::string_view key) : key_(key) {}
    KeyIndex(std::string_view key, const Items& list) : key_(key) {
        for (size_t i = 0; i < list.size(); ++i) add(list[i], i);
    }
    /// False when an item with this key was there already.
    bool add(const Json& item, size_t position) {
        auto text = text_of(item);
        return text && places_.try_emplace(std::move(*text), position).second;
    }
    std::optional<size_t> find(const Json& item) const {
        auto text = text_of(item);
        auto found = text ? places_.find(*text) : places_.end();
        return found == places_.end() ? std::nullopt : std::optional(found->second);
    }

private:
    std::optional<std::string> text_of(const Json& item) const {
        const Json* value = key_.empty() ? &item : item.find(key_);
        return value ? std::optional(value->dump()) : std::nullopt;
    }
    std::string_view key_;
    std::unordered_map<std::string, size_t> places_;
};

using Ranked = std::vector<std::pair<std::optional<size_t>, Json>>; // place on the server, item

/// Two lists, each in its own order, woven by the places that both have on the server.
Json interleave(Ranked left, Ranked right) {
    Json result = Json::array();
    size_t i = 0, j = 0;
    while (i < left.size() || j < right.size()) {
        bool take_left = j >= right.size();
        if (i < left.size() && j < right.size())
            take_left = left[i].first && right[j].first && *left[i].first < *right[j].first;
        result.push_back(std::move(take_left ? left[i++].second : right[j++].second));
    }
    return result;
}

/// Items named by `order` stand in its order; the others keep their place relative to the list as
/// it was on the server, as far as both can hold.
Json ordered(const Items& merged, const Items& order, const Items& server, std::string_view key) {
    const KeyIndex wanted(key, order), before(key, server);
    std::vector<std::pair<size_t, size_t>> named; // place in `order`, place in `merged`
    Ranked patched, others;
    for (size_t i = 0; i < merged.size(); ++i) {
        if (auto place = wanted.find(merged[i]))
            named.emplace_back(*place, i);
        else
            others.emplace_back(before.find(merged[i]), merged[i]);
    }
    std::ranges::sort(named);
    for (auto [place, i] : named) patched.emplace_back(before.find(merged[i]), merged[i]);
    std::ranges::stable_sort(others, [](const auto& a, const auto& b) {
        return a.first.value_or(SIZE_MAX) < b.first.value_or(SIZE_MAX);
    });
    return interleave(std::move(others), std::move(patched));
}

Result<Json> merge_object(Json original, const Json& patch, const Schema* schema);

/// The patch's items without those that are only directives; what they say is done to `original`.
struct Special {
    Items patch;
    bool replace = false;
};
Result<Special> obey_special(Items& original, const Items& patch, std::string_view key) {
    Special result;
    for (const Json& item : patch) {
        const Json* directive = item.find(patch_marker);
        if (!directive) {
            result.patch.push_back(item);
            continue;
        }
        std::string_view text = directive->as_string();
        if (text == "replace") {
            result.replace = true;
        } else if (text == "delete") {
            if (!item.contains(key))
                return fail(Code::invalid, "delete patch type with no merge key defined");
            std::erase_if(original, [&](const Json& one) { return one[key] == item[key]; });
        } else if (text == "merge") {
            Json plain = item;
            plain.erase(patch_marker);
            result.patch.push_back(std::move(plain));
        } else {
            return fail(Code::invalid, fmt::format("unknown patch type: {} in map: {}",
                                                   directive->dump(), printed(item)));
        }
    }
    return result;
}

Result<Json> merge_objects_list(Items original, const Items& patch, const Schema* items,
                                std::string_view key) {
    if (key.empty())
        return fail(Code::invalid, "cannot merge lists without merge key for their items");
    for (const Json& item : patch)
        if (!item.is_object())
            return fail(Code::invalid,
                        fmt::format("expected a map in a patched list, got {}", printed(item)));
    const Items server = original;
    Special special = TRY(obey_special(original, patch, key));
    if (special.replace) return content_of(Json(special.patch));
    KeyIndex index(key, original);
    for (const Json& item : special.patch) {
        if (!item.contains(key)) return no_merge_key(key, item);
        if (auto found = index.find(item)) {
            original[*found] = TRY(merge_object(std::move(original[*found]), item, items));
        } else {
            index.add(item, original.size());
            original.push_back(content_of(item));
        }
    }
    return ordered(original, special.patch, server, key);
}

Json merge_primitives(const Items& original, const Items& patch) {
    Items merged;
    KeyIndex seen({});
    for (const Items* list : {&original, &patch})
        for (const Json& item : *list)
            if (seen.add(item, merged.size())) merged.push_back(item);
    return ordered(merged, patch, original, {});
}

Result<Json> merge_list(const Json& original, const Json& patch, const Field* field) {
    if (!field || !field->patch.merge) return content_of(patch);
    const Schema* items = field->schema->items();
    bool objects = items && items->type() == Schema::Type::object;
    if (!objects) return merge_primitives(original.items(), patch.items());
    return merge_objects_list(original.items(), patch.items(), items, field->merge_key);
}

const Field* field_of(const Schema* schema, std::string_view key) {
    return schema && schema->type() == Schema::Type::object ? schema->find(key) : nullptr;
}

Result<Json> merge_value(Json original, const Json& patch, const Schema* schema,
                         std::string_view key) {
    const Field* field = field_of(schema, key);
    if (original.is_array() && patch.is_array()) return merge_list(original, patch, field);
    if (!original.is_object() || !patch.is_object()) return content_of(patch);
    if (field && field->patch.replace) return content_of(patch);
    const Schema* below = field ? field->schema : nullptr;
    if (!field && schema && schema->type() == Schema::Type::map) below = schema->items();
    return merge_object(std::move(original), patch, below);
}

/// $setElementOrder/x: merges x and its order in one go; both keys are then done with.
Result<> obey_order(Json& original, Json& patch, const Schema* schema) {
    std::vector<std::string> names;
    for (const auto& member : patch.members())
        if (member.key.starts_with(set_order)) names.push_back(member.key.substr(set_order.size()));
    for (const std::string& name : names) {
        std::string directive = std::string(set_order) + name;
        const Json order = patch[directive];
        if (!order.is_array()) return fail(Code::invalid, directive + " must be a list");
        patch.erase(directive);
        const Field* field = field_of(schema, name);
        const Json* before = original.find(name);
        const Json* change = patch.find(name);
        bool usable = (before && before->is_array()) || (change && change->is_array());
        if (!field || !field->patch.merge || !usable || (change && !change->is_array())) continue;
        Json server = before && before->is_array() ? *before : Json::array();
        Json merged = change ? TRY(merge_list(server, *change, field)) : server;
        bool objects = field->schema->items()->type() == Schema::Type::object;
        for (const Json& item : order.items())
            if (objects && !item.contains(field->merge_key))
                return no_merge_key(field->merge_key, item);
        std::string_view key = objects ? field->merge_key : std::string_view();
        original.set(name, ordered(merged.items(), order.items(), server.items(), key));
        patch.erase(name);
    }
    return {};
}

/// $retainKeys: members it does not name are dropped; the patch may set none of those.
Result<> obey_retain_keys(Json& original, Json& patch) {
    const Json* found = patch.find(retain_keys);
    if (!found) return {};
    const Json keys = *found;
    patch.erase(retain_keys);
    if (!keys.is_array()) return fail(Code::invalid, "$retainKeys must be a list of names");
    auto named = [&](std::string_view key) {
        return std::ranges::any_of(keys.items(),
                                   [&](const Json& one) { return one.as_string() == key; });
    };
    for (const auto& member : patch.members())
        if (!member.value.is_null() && !is_directive(member.key) && !named(member.key))
            return fail(
                Code::invalid,
                fmt::format("invalid patch format of retainKeys: \"{}\" is set and not in the list",
                            member.key));
    original.mutable_members().erase_if(
        [&](const Json::Member& member) { return !named(member.key); });
    return {};
}

/// $deleteFromPrimitiveList/x: takes values out of a list.
Result<> obey_delete_list(Json& original, std::string_view name, const Json& values) {
    if (!values.is_array())
        return fail(Code::invalid, fmt::format("{}{} must be a list", delete_list, name));
    Json* list = original.find_mutable(name);
    if (!list || !list->is_array()) return {};
    std::erase_if(list->mutable_items(), [&](const Json& item) {
        return std::ranges::find(values.items(), item) != values.items().end();
    });
    return {};
}

Result<Json> merge_object(Json original, const Json& whole_patch, const Schema* schema) {
    if (const Json* directive = whole_patch.find(patch_marker)) {
        std::string_view text = directive->as_string();
        if (text == "replace") return content_of(whole_patch);
        if (text == "delete") return Json::object();
        if (text != "merge")
            return fail(Code::invalid, fmt::format("unknown patch type: {} in map: {}",
                                                   directive->dump(), printed(whole_patch)));
    }
    Json patch = whole_patch;
    patch.erase(patch_marker);
    TRY(obey_retain_keys(original, patch));
    TRY(obey_order(original, patch, schema));
    for (const auto& member : patch.members()) {
        if (member.key.starts_with(delete_list)) {
            TRY(obey_delete_list(original, std::string_view(member.key).substr(delete_list.size()),
                                 member.value));
        } else if (member.value.is_null()) {
            original.erase(member.key);
        } else if (Json* present = original.find_mutable(member.key)) {
            Json merged = TRY(merge_value(std::move(*present), member.value, schema, member.key));
            original.set(member.key, std::move(merged));
        } else {
            original.set(member.key, content_of(member.value));
        }
    }
    return original;
}

} // namespace

Result<Json> apply_strategic_patch(const Json& object, const Json& patch, const Schema& schema) {
    if (!patch.is_object()) return fail(Code::invalid, "a strategic merge patch is an object");
    return merge_object(object.is_object() ? object : Json::object(), patch, &schema);
}

} // namespace cloudlet::api
