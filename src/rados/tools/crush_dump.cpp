#include "crush_dump.h"

#include <algorithm>

#include <fmt/format.h>

namespace cloudlet::rados {
namespace {

void dump_devices(ReportNode& devices, const CrushMap& map) {
    for (int32_t id = 0; id < map.max_devices; ++id) {
        auto name = map.item_names.find(id);
        auto& device = devices.add_object("device");
        device.add_number("id", int64_t{id});
        device.add_text("name",
                        name == map.item_names.end() ? fmt::format("device{}", id) : name->second);
        if (auto class_name = map.class_name_of_item(id); !class_name.empty())
            device.add_text("class", class_name);
    }
}

void dump_types(ReportNode& types, const CrushMap& map) {
    auto dump = [&](int32_t id, std::string_view name) {
        auto& type = types.add_object("type");
        type.add_number("type_id", int64_t{id});
        type.add_text("name", name);
    };
    if (!map.type_names.empty() && !map.type_names.contains(0)) dump(0, "device");
    for (const auto& [id, name] : map.type_names) dump(id, name);
}

void dump_bucket(ReportNode& node, const CrushMap& map, const CrushBucket& bucket) {
    node.add_number("id", int64_t{bucket.id});
    if (auto name = map.item_names.find(bucket.id); name != map.item_names.end())
        node.add_text("name", name->second);
    node.add_number("type_id", int64_t{bucket.type});
    if (auto type = map.type_names.find(bucket.type); type != map.type_names.end())
        node.add_text("type_name", type->second);
    node.add_number("weight", int64_t{bucket.weight});
    node.add_text("alg", name_of(bucket.alg));
    node.add_text("hash", bucket.hash == 0 ? "rjenkins1" : "unknown");
    auto& items = node.add_array("items");
    for (size_t i = 0; i < bucket.items.size(); ++i) {
        auto& item = items.add_object("item");
        item.add_number("id", int64_t{bucket.items[i]});
        item.add_number("weight", int64_t{bucket.item_weight(i)});
        item.add_number("pos", static_cast<int64_t>(i));
    }
}

void dump_choose(ReportNode& node, std::string_view op, const CrushMap& map,
                 const CrushStep& step) {
    node.add_text("op", op);
    node.add_number("num", int64_t{step.arg1});
    auto type = map.type_names.find(step.arg2);
    node.add_text("type", type == map.type_names.end() ? "" : type->second);
}

void dump_step(ReportNode& node, const CrushMap& map, const CrushStep& step) {
    switch (step.op) {
    case RuleOp::noop: return node.add_text("op", "noop");
    case RuleOp::emit: return node.add_text("op", "emit");
    case RuleOp::take: {
        node.add_text("op", "take");
        node.add_number("item", int64_t{step.arg1});
        auto name = map.item_names.find(step.arg1);
        return node.add_text("item_name", name == map.item_names.end() ? "" : name->second);
    }
    case RuleOp::choose_firstn: return dump_choose(node, "choose_firstn", map, step);
    case RuleOp::choose_indep: return dump_choose(node, "choose_indep", map, step);
    case RuleOp::chooseleaf_firstn: return dump_choose(node, "chooseleaf_firstn", map, step);
    case RuleOp::chooseleaf_indep: return dump_choose(node, "chooseleaf_indep", map, step);
    case RuleOp::set_choose_tries:
    case RuleOp::set_chooseleaf_tries:
        node.add_text("op", step.op == RuleOp::set_choose_tries ? "set_choose_tries"
                                                                : "set_chooseleaf_tries");
        return node.add_number("num", int64_t{step.arg1});
    default: // Ceph has no words for the other settings
        node.add_number("opcode", static_cast<int64_t>(step.op));
        node.add_number("arg1", int64_t{step.arg1});
        return node.add_number("arg2", int64_t{step.arg2});
    }
}

void dump_rule(ReportNode& node, const CrushMap& map, int32_t id, const CrushRule& rule) {
    node.add_number("rule_id", int64_t{id});
    if (auto name = map.rule_names.find(id); name != map.rule_names.end())
        node.add_text("rule_name", name->second);
    node.add_number("ruleset", int64_t{rule.ruleset});
    node.add_number("type", int64_t{rule.type});
    node.add_number("min_size", int64_t{rule.min_size});
    node.add_number("max_size", int64_t{rule.max_size});
    auto& steps = node.add_array("steps");
    for (const auto& step : rule.steps) dump_step(steps.add_object("step"), map, step);
}

// What a client must understand to walk the map.
struct Demands {
    bool tunables = false, tunables2 = false, tunables3 = false, tunables5 = false;
    bool v2_rules = false, v3_rules = false, v4_buckets = false, v5_rules = false;

    explicit Demands(const CrushMap& map) {
        const auto old = *CrushTunables::profile("legacy");
        const auto& t = map.tunables;
        tunables = t.choose_local_tries != old.choose_local_tries ||
                   t.choose_local_fallback_tries != old.choose_local_fallback_tries ||
                   t.choose_total_tries != old.choose_total_tries;
        tunables2 = t.chooseleaf_descend_once != 0;
        tunables3 = t.chooseleaf_vary_r != 0;
        tunables5 = t.chooseleaf_stable != 0;
        for (const auto& bucket : map.buckets)
            v4_buckets |= bucket && bucket->alg == BucketAlg::straw2;
        for (const auto& rule : map.rules)
            for (const auto& step : rule ? rule->steps : std::vector<CrushStep>()) look_at(step.op);
    }

    void look_at(RuleOp op) {
        v2_rules |= op == RuleOp::choose_indep || op == RuleOp::chooseleaf_indep ||
                    op == RuleOp::set_choose_tries || op == RuleOp::set_chooseleaf_tries;
        v3_rules |= op == RuleOp::set_chooseleaf_vary_r;
        v5_rules |= op == RuleOp::set_chooseleaf_stable;
    }

    std::string_view version() const {
        if (v5_rules || tunables5) return "jewel";
        if (v4_buckets) return "hammer";
        if (tunables3) return "firefly";
        return tunables2 || tunables ? "bobtail" : "argonaut";
    }
};

void dump_tunables(ReportNode& node, const CrushMap& map) {
    const auto& t = map.tunables;
    Demands demands(map);
    auto profile = t.profile_name();
    auto flag = [&](std::string_view name, bool value) { node.add_number(name, int64_t{value}); };
    node.add_number("choose_local_tries", int64_t{t.choose_local_tries});
    node.add_number("choose_local_fallback_tries", int64_t{t.choose_local_fallback_tries});
    node.add_number("choose_total_tries", int64_t{t.choose_total_tries});
    node.add_number("chooseleaf_descend_once", int64_t{t.chooseleaf_descend_once});
    node.add_number("chooseleaf_vary_r", int64_t{t.chooseleaf_vary_r});
    node.add_number("chooseleaf_stable", int64_t{t.chooseleaf_stable});
    node.add_number("straw_calc_version", int64_t{t.straw_calc_version});
    node.add_number("allowed_bucket_algs", int64_t{t.allowed_bucket_algs});
    node.add_text("profile", profile);
    flag("optimal_tunables", profile == "jewel");
    flag("legacy_tunables", profile == "argonaut");
    node.add_text("minimum_required_version", demands.version());
    flag("require_feature_tunables", demands.tunables);
    flag("require_feature_tunables2", demands.tunables2);
    flag("has_v2_rules", demands.v2_rules);
    flag("require_feature_tunables3", demands.tunables3);
    flag("has_v3_rules", demands.v3_rules);
    flag("has_v4_buckets", demands.v4_buckets);
    flag("require_feature_tunables5", demands.tunables5);
    flag("has_v5_rules", demands.v5_rules);
}

void dump_choose_arg(ReportNode& node, int32_t bucket, const CrushChooseArg& arg) {
    node.add_number("bucket_id", int64_t{bucket});
    if (!arg.weight_sets.empty()) {
        auto& sets = node.add_array("weight_set");
        for (const auto& written : arg.weight_sets) {
            auto& set = sets.add_array("weights");
            for (uint32_t weight : written)
                set.add_number("weight", static_cast<double>(weight) / crush_weight_one);
        }
    }
    if (arg.ids.empty()) return;
    auto& ids = node.add_array("ids");
    for (int32_t id : arg.ids) ids.add_number("id", int64_t{id});
}

} // namespace

ReportNode crush_dump(const CrushMap& map) {
    auto root = ReportNode::object();
    dump_devices(root.add_array("devices"), map);
    dump_types(root.add_array("types"), map);
    auto& buckets = root.add_array("buckets");
    for (const auto& bucket : map.buckets)
        if (bucket) dump_bucket(buckets.add_object("bucket"), map, *bucket);
    auto& rules = root.add_array("rules");
    for (size_t id = 0; id < map.rules.size(); ++id)
        if (map.rules[id])
            dump_rule(rules.add_object("rule"), map, static_cast<int32_t>(id), *map.rules[id]);
    dump_tunables(root.add_object("tunables"), map);
    auto& sets = root.add_object("choose_args");
    for (const auto& [pool, args] : map.choose_args) {
        auto& set = sets.add_array(std::to_string(pool));
        for (const auto& [bucket, arg] : args)
            dump_choose_arg(set.add_object("choose_args"), bucket, arg);
    }
    return root;
}

} // namespace cloudlet::rados
