#include "crush_dump.h"

#include <algorithm>

#include <fmt/format.h>

namespace cloudlet::rados {
namespace {

void dump_devices(DumpWriter& out, const CrushMap& map) {
    out.open_array("devices");
    for (int32_t id = 0; id < map.max_devices; ++id) {
        auto name = map.item_names.find(id);
        out.open_object("device");
        out.number("id", id);
        out.text("name", name == map.item_names.end() ? fmt::format("device{}", id) : name->second);
        if (auto class_name = map.class_name_of_item(id); !class_name.empty())
            out.text("class", class_name);
        out.close();
    }
    out.close();
}

void dump_types(DumpWriter& out, const CrushMap& map) {
    out.open_array("types");
    auto dump = [&](int32_t id, std::string_view name) {
        out.open_object("type");
        out.number("type_id", id);
        out.text("name", name);
        out.close();
    };
    if (!map.type_names.empty() && !map.type_names.contains(0)) dump(0, "device");
    for (const auto& [id, name] : map.type_names) dump(id, name);
    out.close();
}

void dump_bucket(DumpWriter& out, const CrushMap& map, const CrushBucket& bucket) {
    out.open_object("bucket");
    out.number("id", bucket.id);
    if (auto name = map.item_names.find(bucket.id); name != map.item_names.end())
        out.text("name", name->second);
    out.number("type_id", bucket.type);
    if (auto type = map.type_names.find(bucket.type); type != map.type_names.end())
        out.text("type_name", type->second);
    out.number("weight", bucket.weight);
    out.text("alg", name_of(bucket.alg));
    out.text("hash", bucket.hash == 0 ? "rjenkins1" : "unknown");
    out.open_array("items");
    for (size_t i = 0; i < bucket.items.size(); ++i) {
        out.open_object("item");
        out.number("id", bucket.items[i]);
        out.number("weight", bucket.item_weight(i));
        out.number("pos", static_cast<int64_t>(i));
        out.close();
    }
    out.close();
    out.close();
}

void dump_choose(DumpWriter& out, std::string_view op, const CrushMap& map, const CrushStep& step) {
    out.text("op", op);
    out.number("num", step.arg1);
    auto type = map.type_names.find(step.arg2);
    out.text("type", type == map.type_names.end() ? "" : type->second);
}

void dump_step(DumpWriter& out, const CrushMap& map, const CrushStep& step) {
    switch (step.op) {
    case RuleOp::noop: return out.text("op", "noop");
    case RuleOp::emit: return out.text("op", "emit");
    case RuleOp::take: {
        out.text("op", "take");
        out.number("item", step.arg1);
        auto name = map.item_names.find(step.arg1);
        return out.text("item_name", name == map.item_names.end() ? "" : name->second);
    }
    case RuleOp::choose_firstn: return dump_choose(out, "choose_firstn", map, step);
    case RuleOp::choose_indep: return dump_choose(out, "choose_indep", map, step);
    case RuleOp::chooseleaf_firstn: return dump_choose(out, "chooseleaf_firstn", map, step);
    case RuleOp::chooseleaf_indep: return dump_choose(out, "chooseleaf_indep", map, step);
    case RuleOp::set_choose_tries:
    case RuleOp::set_chooseleaf_tries:
        out.text("op",
                 step.op == RuleOp::set_choose_tries ? "set_choose_tries" : "set_chooseleaf_tries");
        return out.number("num", step.arg1);
    default: // Ceph has no words for the other settings
        out.number("opcode", static_cast<int64_t>(step.op));
        out.number("arg1", step.arg1);
        return out.number("arg2", step.arg2);
    }
}

void dump_rule(DumpWriter& out, const CrushMap& map, int32_t id, const CrushRule& rule) {
    out.open_object("rule");
    out.number("rule_id", id);
    if (auto name = map.rule_names.find(id); name != map.rule_names.end())
        out.text("rule_name", name->second);
    out.number("ruleset", rule.ruleset);
    out.number("type", rule.type);
    out.number("min_size", rule.min_size);
    out.number("max_size", rule.max_size);
    out.open_array("steps");
    for (const auto& step : rule.steps) {
        out.open_object("step");
        dump_step(out, map, step);
        out.close();
    }
    out.close();
    out.close();
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

void dump_tunables(DumpWriter& out, const CrushMap& map) {
    const auto& t = map.tunables;
    Demands demands(map);
    out.open_object("tunables");
    auto profile = t.profile_name();
    auto flag = [&](std::string_view name, bool value) { out.number(name, value); };
    out.number("choose_local_tries", t.choose_local_tries);
    out.number("choose_local_fallback_tries", t.choose_local_fallback_tries);
    out.number("choose_total_tries", t.choose_total_tries);
    out.number("chooseleaf_descend_once", t.chooseleaf_descend_once);
    out.number("chooseleaf_vary_r", t.chooseleaf_vary_r);
    out.number("chooseleaf_stable", t.chooseleaf_stable);
    out.number("straw_calc_version", t.straw_calc_version);
    out.number("allowed_bucket_algs", t.allowed_bucket_algs);
    out.text("profile", profile);
    flag("optimal_tunables", profile == "jewel");
    flag("legacy_tunables", profile == "argonaut");
    out.text("minimum_required_version", demands.version());
    flag("require_feature_tunables", demands.tunables);
    flag("require_feature_tunables2", demands.tunables2);
    flag("has_v2_rules", demands.v2_rules);
    flag("require_feature_tunables3", demands.tunables3);
    flag("has_v3_rules", demands.v3_rules);
    flag("has_v4_buckets", demands.v4_buckets);
    flag("require_feature_tunables5", demands.tunables5);
    flag("has_v5_rules", demands.v5_rules);
    out.close();
}

void dump_choose_arg(DumpWriter& out, int32_t bucket, const CrushChooseArg& arg) {
    out.open_object("choose_args");
    out.number("bucket_id", bucket);
    if (!arg.weight_sets.empty()) {
        out.open_array("weight_set");
        for (const auto& set : arg.weight_sets) {
            out.open_array("weights");
            for (uint32_t weight : set)
                out.real("weight", static_cast<double>(weight) / crush_weight_one);
            out.close();
        }
        out.close();
    }
    if (!arg.ids.empty()) {
        out.open_array("ids");
        for (int32_t id : arg.ids) out.number("id", id);
        out.close();
    }
    out.close();
}

} // namespace

void dump_crush_map(const CrushMap& map, DumpWriter& out) {
    out.open_object("crush_map");
    dump_devices(out, map);
    dump_types(out, map);
    out.open_array("buckets");
    for (const auto& bucket : map.buckets)
        if (bucket) dump_bucket(out, map, *bucket);
    out.close();
    out.open_array("rules");
    for (size_t id = 0; id < map.rules.size(); ++id)
        if (map.rules[id]) dump_rule(out, map, static_cast<int32_t>(id), *map.rules[id]);
    out.close();
    dump_tunables(out, map);
    out.open_object("choose_args");
    for (const auto& [pool, args] : map.choose_args) {
        out.open_array(std::to_string(pool));
        for (const auto& [bucket, arg] : args) dump_choose_arg(out, bucket, arg);
        out.close();
    }
    out.close();
    out.close();
}

} // namespace cloudlet::rados
