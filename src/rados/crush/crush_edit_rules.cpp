#include <fmt/format.h>

#include "cloudlet/rados/crush_builder.h"
#include "cloudlet/rados/crush_edit.h"

namespace cloudlet::rados {

namespace {

Result<int32_t> start_of(const CrushMap& map, std::string_view root,
                         std::string_view device_class) {
    auto id = map.item_of(root);
    if (!id) {
        return fail(Code::not_found,
                    fmt::format("root item {} does not exist; name a bucket of the "
                                "map",
                                root));
    }
    if (device_class.empty()) return *id;
    auto class_id = map.class_of(device_class);
    if (!class_id) {
        return fail(Code::not_found, fmt::format("device class {} does not exist; give a device "
                                                 "that class first",
                                                 device_class));
    }
    auto shadows = map.class_buckets.find(*id);
    if (shadows == map.class_buckets.end() || !shadows->second.count(*class_id)) {
        return fail(Code::invalid,
                    fmt::format("root item {} has no devices with class {}; choose another of them",
                                root, device_class));
    }
    return shadows->second.at(*class_id);
}

} // namespace

Result<int32_t> create_simple_rule(CrushMap& map, std::string_view name, std::string_view root,
                                   std::string_view domain, std::string_view device_class,
                                   RuleMode mode, RuleType type) {
    if (map.rule_of(name)) {
        return fail(Code::already_exists, fmt::format("rule {} exists; choose another name", name));
    }
    int32_t start = TRY(start_of(map, root, device_class));
    int32_t domain_type = 0;
    if (!domain.empty()) {
        auto found = map.type_of(domain);
        if (!found) {
            return fail(Code::not_found,
                        fmt::format("unknown type {}; the map has no such type", domain));
        }
        domain_type = *found;
    }
    bool indep = mode == RuleMode::indep;
    CrushRule rule;
    rule.type = static_cast<uint8_t>(type);
    rule.min_size = indep ? 3 : 1;
    rule.max_size = indep ? 20 : 10;
    if (indep) {
        rule.steps.push_back({RuleOp::set_chooseleaf_tries, 5, 0});
        rule.steps.push_back({RuleOp::set_choose_tries, 100, 0});
    }
    rule.steps.push_back({RuleOp::take, start, 0});
    RuleOp leaf = indep ? RuleOp::chooseleaf_indep : RuleOp::chooseleaf_firstn;
    RuleOp flat = indep ? RuleOp::choose_indep : RuleOp::choose_firstn;
    rule.steps.push_back({domain_type ? leaf : flat, 0, domain_type});
    rule.steps.push_back({RuleOp::emit, 0, 0});
    int32_t id = TRY(add_rule(map, std::move(rule)));
    map.rules[static_cast<size_t>(id)]->ruleset = static_cast<uint8_t>(id);
    map.rule_names[id] = name;
    return id;
}

Result<void> remove_rule(CrushMap& map, std::string_view name) {
    auto id = map.rule_of(name);
    if (!id) return fail(Code::not_found, fmt::format("there is no rule {}", name));
    CrushMap changed = map;
    if (changed.rule(*id)) changed.rules[static_cast<size_t>(*id)].reset();
    changed.rule_names.erase(*id);
    TRY(rebuild_shadow_trees(changed)); // a class that only this rule took is gone with it
    map = std::move(changed);
    return {};
}

} // namespace cloudlet::rados
