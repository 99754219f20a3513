#include "crushtool_changes.h"

#include <cerrno>

namespace cloudlet::rados {
namespace {

constexpr CrushChangeOutcome done = {0, false};

// crushtool ends with the negative errno of what went wrong.
int status_of(const Error& error) {
    switch (error.code) {
    case Code::not_found: return 256 - ENOENT;
    case Code::already_exists: return 256 - EEXIST;
    case Code::conflict: return 256 - ENOTEMPTY;
    default: return 256 - EINVAL;
    }
}

class Changes {
public:
    Changes(CrushMap& map, const CrushtoolOptions& options, ToolOutput& output)
        : map_(map), options_(options), output_(output) {}

    CrushChangeOutcome carry_out() {
        using Step = CrushChangeOutcome (Changes::*)();
        announce_rule();
        for (Step step :
             {&Changes::tunables, &Changes::reweight, &Changes::remove, &Changes::place_item,
              &Changes::add_bucket, &Changes::move, &Changes::add_rule, &Changes::delete_rule,
              &Changes::reweight_whole, &Changes::rebuild}) {
            auto outcome = (this->*step)();
            if (outcome.ends_command) return outcome;
        }
        return done;
    }

private:
    CrushChangeOutcome fails(const Error& error) {
        output_.error("crushtool: {}\n", error.to_string());
        return {status_of(error), true};
    }
    CrushChangeOutcome outcome_of(const Result<void>& result) {
        return result ? done : fails(result.error());
    }
    template <typename... Args>
    CrushChangeOutcome refuses(int status, fmt::format_string<Args...> format, Args&&... args) {
        output_.error("{}\n", fmt::format(format, std::forward<Args>(args)...));
        return {status, true};
    }

    CrushChangeOutcome tunables() {
        auto& t = map_.tunables;
        for (const auto& [name, value] : options_.tunables) {
            if (name == "choose_local_tries") t.choose_local_tries = value;
            if (name == "choose_local_fallback_tries") t.choose_local_fallback_tries = value;
            if (name == "choose_total_tries") t.choose_total_tries = value;
            if (name == "chooseleaf_descend_once") t.chooseleaf_descend_once = value;
            if (name == "allowed_bucket_algs") t.allowed_bucket_algs = value;
            if (name == "chooseleaf_vary_r") t.chooseleaf_vary_r = static_cast<uint8_t>(value);
            if (name == "chooseleaf_stable") t.chooseleaf_stable = static_cast<uint8_t>(value);
            if (name == "straw_calc_version") t.straw_calc_version = static_cast<uint8_t>(value);
        }
        return done;
    }

    CrushChangeOutcome place_item() {
        if (!options_.item) return done;
        const auto& item = *options_.item;
        auto place = item.update ? update_item : insert_item;
        return outcome_of(
            place(map_, item.id, item.name, crush_weight_of(item.weight), options_.location));
    }

    CrushChangeOutcome add_bucket() {
        if (!options_.bucket) return done;
        const auto& [name, type] = *options_.bucket;
        if (map_.item_of(name))
            return refuses(256 - EEXIST, "crushtool bucket '{}' already exists", name);
        if (!map_.type_of(type))
            return refuses(256 - EINVAL, "crushtool bad bucket type: {}; --dump lists the types",
                           type);
        auto made = insert_bucket(map_, name, type, options_.location);
        return made ? done : fails(made.error());
    }

    CrushChangeOutcome move() {
        if (!options_.moved) return done;
        if (!map_.item_of(*options_.moved))
            return refuses(256 - ENOENT, "crushtool item '{}' does not exist", *options_.moved);
        if (options_.location.empty())
            return refuses(256 - EINVAL, "crushtool expecting additional --loc argument to --move");
        int32_t item = *map_.item_of(*options_.moved);
        for (const auto& [type, name] : options_.location)
            if (auto above = map_.item_of(name); above && map_.subtree_contains(item, *above))
                return refuses(256 - ELOOP, "crushtool: {} lies below {} and cannot hold it", name,
                               *options_.moved);
        return outcome_of(move_item(map_, *options_.moved, options_.location));
    }

    void announce_rule() {
        if (!options_.rule) return;
        const auto& rule = *options_.rule;
        if (rule.mode.empty())
            output_.print("--create-replicated-rule: name={} root={} type={}\n", rule.name,
                          rule.root, rule.type);
        else
            output_.print("--create-simple-rule: name={} root={} type={} mode={}\n", rule.name,
                          rule.root, rule.type, rule.mode);
    }

    CrushChangeOutcome add_rule() {
        if (!options_.rule) return done;
        const auto& rule = *options_.rule;
        if (map_.rule_of(rule.name))
            return refuses(1, "rule {} already exists; choose another name", rule.name);
        if (!map_.item_of(rule.root))
            return refuses(1, "root item {} does not exist; --tree lists the buckets", rule.root);
        if (!map_.type_of(rule.type))
            return refuses(1, "unknown type {}; --dump lists the types", rule.type);
        if (!options_.device_class.empty() && !map_.class_of(options_.device_class))
            return refuses(1, "device class {} does not exist; give devices the class first",
                           options_.device_class);
        if (!rule.mode.empty() && rule.mode != "firstn" && rule.mode != "indep")
            return refuses(1, "unknown mode {}; use firstn or indep", rule.mode);
        auto mode = rule.mode == "indep" ? RuleMode::indep : RuleMode::firstn;
        auto made = create_simple_rule(map_, rule.name, rule.root, rule.type, options_.device_class,
                                       mode, RuleType::replicated);
        if (made) return done;
        return refuses(1, "{}", made.error().to_string());
    }

    CrushChangeOutcome delete_rule() {
        if (!options_.removed_rule) return done;
        if (!map_.rule_of(*options_.removed_rule))
            return refuses(0, "rule {} does not exist", *options_.removed_rule);
        return outcome_of(remove_rule(map_, *options_.removed_rule));
    }

    CrushChangeOutcome reweight_whole() {
        if (!options_.reweight_all) return done;
        auto result = cloudlet::rados::reweight_all(map_);
        return outcome_of(result ? rebuild_shadow_trees(map_) : result);
    }

    CrushChangeOutcome rebuild() {
        return options_.rebuild_class_roots ? outcome_of(rebuild_shadow_trees(map_)) : done;
    }

    CrushChangeOutcome remove() {
        if (!options_.removed) return done;
        output_.print("crushtool removing item {}\n", *options_.removed);
        auto item = map_.item_of(*options_.removed);
        if (!item) return refuses(256 - ENOENT, " name {} dne", *options_.removed);
        return outcome_of(remove_item(map_, *item));
    }

    CrushChangeOutcome reweight() {
        if (!options_.reweighted) return done;
        const auto& [name, weight] = *options_.reweighted;
        output_.print("crushtool reweighting item {} to {:g}\n", name, weight);
        auto item = map_.item_of(name);
        if (!item) return refuses(256 - ENOENT, " name {} dne", name);
        return outcome_of(reweight_item(map_, *item, crush_weight_of(weight)));
    }

    CrushMap& map_;
    const CrushtoolOptions& options_;
    ToolOutput& output_;
};

} // namespace

CrushChangeOutcome change_crush_map(CrushMap& map, const CrushtoolOptions& options,
                                    ToolOutput& output) {
    return Changes(map, options, output).carry_out();
}

} // namespace cloudlet::rados
