// One change, applied to a map as the monitors apply the command of the same name.

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "plan_steps.h"

namespace cloudlet::rados {
namespace {

struct NamedFlag {
    std::string_view name;
    uint32_t bit;
};

constexpr NamedFlag flags[] = {
    {"noup", map_noup},
    {"nodown", map_nodown},
    {"noout", map_noout},
    {"noin", map_noin},
    {"nobackfill", map_nobackfill},
    {"norebalance", map_norebalance},
    {"norecover", map_norecover},
    {"noscrub", map_noscrub},
    {"nodeep-scrub", map_nodeep_scrub},
    {"nosnaptrim", map_nosnaptrim},
    {"notieragent", map_notieragent},
    {"pause", map_pauserd | map_pausewr},
};

size_t at(int32_t osd) { return static_cast<size_t>(osd); }

std::string osd_name(int32_t osd) { return fmt::format("osd.{}", osd); }

/// One copy of a map with one change; every method is one kind of change.
class Edit {
public:
    explicit Edit(const OsdMap& map) : map_(map) {}

    Result<OsdMap> apply(const Change& change) {
        using enum ChangeKind;
        switch (change.kind) {
        case out: TRY(weigh_osd(change.subject, 0)); break;
        case in: TRY(weigh_osd(change.subject, 1)); break;
        case reweight: TRY(weigh_osd(change.subject, change.number)); break;
        case crush_reweight: TRY(crush_reweight_item(change)); break;
        case add: TRY(add_osd(change)); break;
        case remove: TRY(remove_osd(change)); break;
        case replace: TRY(replace_osd(change)); break;
        case move: TRY(relocate(change)); break;
        case rule: TRY(set_rule(change)); break;
        case tunables: TRY(set_tunables(change)); break;
        case size: TRY(set_size(change)); break;
        case pg_num: TRY(set_pg_num(change)); break;
        case set:
        case unset: TRY(set_flags(change)); break;
        }
        ++map_.epoch;
        return std::move(map_);
    }

private:
    Result<int32_t> osd_of(const std::string& name) const {
        auto id = parse_osd_name(name);
        if (id && map_.exists(*id)) return *id;
        int32_t last = map_.max_osd() - 1;
        while (last >= 0 && !map_.exists(last)) --last;
        return fail(Code::not_found,
                    last < 0
                        ? fmt::format("{} is not in the map, which has no OSDs", name)
                        : fmt::format("{} is not in the map; its last OSD is osd.{}", name, last));
    }

    Result<PoolId> pool_of(const std::string& name) const {
        for (const auto& [id, pool_name] : map_.pool_names)
            if (pool_name == name && map_.pool(id)) return id;
        for (const auto& [id, pool] : map_.pools)
            if (std::to_string(id) == name) return id;
        std::vector<std::string_view> names;
        for (const auto& [id, pool_name] : map_.pool_names) names.push_back(pool_name);
        return fail(
            Code::not_found,
            fmt::format("no pool '{}'; the map has {}", name,
                        names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
    }

    /// `ceph osd out`, `in` and `reweight`: the OSD's own weight, which the tree does not see.
    Result<> weigh_osd(const std::string& name, double weight) {
        if (weight < 0 || weight > 1)
            return fail(
                Code::invalid,
                fmt::format("reweight {}: {} is not between 0 and 1; a device's size is its "
                            "crush-reweight",
                            name, weight));
        map_.osd_weight[at(TRY(osd_of(name)))] = crush_weight_of(static_cast<float>(weight));
        return {};
    }

    Result<> crush_reweight_item(const Change& change) {
        CrushMap crush = *map_.crush;
        auto item = crush.item_of(change.subject);
        if (!item)
            return fail(Code::not_found,
                        fmt::format("'{}' is not in the CRUSH hierarchy", change.subject));
        // `ceph osd crush reweight-subtree` weighs the devices below a bucket.
        auto devices = *item < 0 ? crush.devices_below(*item) : std::vector{*item};
        for (int32_t device : devices)
            TRY(reweight_item(crush, device, crush_weight_of(static_cast<float>(change.number))));
        map_.set_crush(std::move(crush));
        return {};
    }

    Result<> add_osd(const Change& change) {
        auto id = parse_osd_name(change.subject);
        constexpr int32_t furthest = 1 << 16; // a gap this wide is a slip of the finger
        if (!id || *id >= std::min(max_osd_limit, map_.max_osd() + furthest))
            return fail(Code::invalid, fmt::format("{} is far above the map's {} OSDs",
                                                   change.subject, map_.max_osd()));
        if (map_.exists(*id))
            return fail(Code::already_exists,
                        fmt::format("{0} exists; for a new disk under its id: replace {0}",
                                    change.subject));
        if (*id >= map_.max_osd()) map_.resize_osds(*id + 1);
        map_.osd_state[at(*id)] = osd_exists | osd_up;
        map_.osd_weight[at(*id)] = crush_weight_one;
        CrushMap crush = *map_.crush;
        TRY(update_item(crush, *id, osd_name(*id),
                        crush_weight_of(static_cast<float>(change.number)),
                        complete_location(*map_.crush, change.location)));
        if (!change.device_class.empty()) TRY(set_device_class(crush, *id, change.device_class));
        map_.set_crush(std::move(crush));
        return {};
    }

    /// The monitors forget exceptions that name an OSD when it goes.
    void forget_upmaps(int32_t osd) {
        auto names_it = [&](const auto& entry) {
            return std::find(entry.second.begin(), entry.second.end(), osd) != entry.second.end();
        };
        std::erase_if(map_.pg_upmap, names_it);
        for (auto& [pg, items] : map_.pg_upmap_items)
            std::erase_if(
                items, [&](const auto& item) { return item.first == osd || item.second == osd; });
        std::erase_if(map_.pg_upmap_items, [](const auto& entry) { return entry.second.empty(); });
    }

    Result<> remove_osd(const Change& change) {
        int32_t osd = TRY(osd_of(change.subject));
        if (map_.crush->parent_of(osd)) {
            CrushMap crush = *map_.crush;
            TRY(remove_item(crush, osd));
            map_.set_crush(std::move(crush));
        }
        map_.osd_state[at(osd)] = 0;
        map_.osd_weight[at(osd)] = 0;
        forget_upmaps(osd);
        return {};
    }

    Result<> replace_osd(const Change& change) {
        int32_t osd = TRY(osd_of(change.subject));
        if (!map_.crush->parent_of(osd))
            return fail(Code::not_found,
                        fmt::format("{0} is not in the CRUSH hierarchy; give it a place: add {0} "
                                    "weight WEIGHT host=NAME",
                                    change.subject));
        map_.osd_state[at(osd)] = osd_exists | osd_up;
        if (map_.osd_weight[at(osd)] == 0) map_.osd_weight[at(osd)] = crush_weight_one;
        if (change.number < 0) return {};
        CrushMap crush = *map_.crush;
        TRY(reweight_item(crush, osd, crush_weight_of(static_cast<float>(change.number))));
        map_.set_crush(std::move(crush));
        return {};
    }

    Result<> relocate(const Change& change) {
        CrushMap crush = *map_.crush;
        if (!crush.item_of(change.subject))
            return fail(Code::not_found,
                        fmt::format("'{}' is not in the CRUSH hierarchy", change.subject));
        TRY(move_item(crush, change.subject, complete_location(*map_.crush, change.location)));
        map_.set_crush(std::move(crush));
        return {};
    }

    Result<> check_rule(const Pool& pool, const std::string& subject) const {
        if (rule_of_pool(*map_.crush, pool) >= 0) return {};
        return fail(Code::invalid,
                    fmt::format("pool '{}': rule {} does not serve {} pools of size {}; see its "
                                "type, min_size and max_size",
                                subject, pool.crush_rule,
                                pool.can_shift() ? "replicated" : "erasure-coded", pool.size));
    }

    Result<> set_rule(const Change& change) {
        Pool& pool = map_.pools[TRY(pool_of(change.subject))];
        const CrushMap& crush = *map_.crush;
        auto id = crush.rule_of(change.rule);
        auto number = parse_osd_name(change.rule);
        if (!id && number && crush.rule(*number)) id = *number;
        if (!id) {
            std::vector<std::string_view> names;
            for (const auto& [rule, name] : crush.rule_names) names.push_back(name);
            return fail(Code::not_found, fmt::format("no CRUSH rule '{}'; the map has {}",
                                                     change.rule, fmt::join(names, ", ")));
        }
        pool.crush_rule = crush.rule(*id)->ruleset;
        return check_rule(pool, change.subject);
    }

    Result<> set_tunables(const Change& change) {
        CrushMap crush = *map_.crush;
        auto profile = CrushTunables::profile(change.subject, crush.tunables);
        if (!profile)
            return fail(
                Code::not_found,
                fmt::format("no tunables profile '{}'; there are legacy (argonaut), bobtail, "
                            "firefly, hammer, jewel (optimal, default)",
                            change.subject));
        crush.tunables = *profile;
        map_.set_crush(std::move(crush));
        return {};
    }

    Result<> set_size(const Change& change) {
        Pool& pool = map_.pools[TRY(pool_of(change.subject))];
        if (pool.is_erasure())
            return fail(Code::invalid,
                        fmt::format("pool '{}' is erasure-coded: its size is its profile's k + m",
                                    change.subject));
        if (change.number < 1 || change.number > 10)
            return fail(Code::invalid,
                        fmt::format("a pool keeps 1 to 10 copies, not {}", change.number));
        pool.size = static_cast<uint8_t>(change.number);
        pool.min_size = static_cast<uint8_t>(pool.size - pool.size / 2);
        return check_rule(pool, change.subject);
    }

    Result<> set_pg_num(const Change& change) {
        Pool& pool = map_.pools[TRY(pool_of(change.subject))];
        if (change.number < 1 || change.number > max_pg_num)
            return fail(Code::invalid,
                        fmt::format("a pool has 1 to {} PGs, not {}", max_pg_num, change.number));
        auto pgs = static_cast<uint32_t>(change.number);
        pool.set_pg_num(pgs, pgs);
        return {};
    }

    Result<> set_flags(const Change& change) {
        std::string_view names = change.subject;
        while (!names.empty()) {
            size_t end = std::min(names.find(','), names.size());
            auto bit = flag_bit(names.substr(0, end));
            if (!bit) return fail(Code::invalid, fmt::format("no flag '{}'", names.substr(0, end)));
            map_.flags = change.kind == ChangeKind::set ? map_.flags | *bit : map_.flags & ~*bit;
            names.remove_prefix(std::min(end + 1, names.size()));
        }
        return {};
    }

    OsdMap map_;
};

} // namespace

std::optional<uint32_t> flag_bit(std::string_view name) {
    for (const NamedFlag& flag : flags)
        if (flag.name == name) return flag.bit;
    return std::nullopt;
}

std::vector<std::string> flag_names() {
    std::vector<std::string> names;
    for (const NamedFlag& flag : flags) names.emplace_back(flag.name);
    return names;
}

CrushLocation complete_location(const CrushMap& crush, CrushLocation location) {
    for (const auto& [type, name] : location)
        if (crush.item_of(name)) return location; // stands somewhere already
    auto roots = crush.roots_without_shadows();
    auto standard = crush.item_of("default");
    int32_t root = standard ? *standard : roots.size() == 1 ? roots.front() : 0;
    if (auto type = crush.type_of_item(root); root < 0 && type)
        location.emplace_back(crush.type_name(*type), crush.item_name(root));
    return location;
}

Result<OsdMap> apply_change(const OsdMap& map, const Change& change) {
    return with_context(Edit(map).apply(change), change.to_string());
}

} // namespace cloudlet::rados
