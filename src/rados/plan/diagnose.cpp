#include "cloudlet/rados/diagnose.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "osd_map/rule_blocks.h"

namespace cloudlet::rados {
namespace {

/// The first ones: they try the same host again and again before another one.
bool are_legacy(const CrushTunables& tunables) {
    return tunables.choose_local_tries || tunables.choose_local_fallback_tries ||
           !tunables.chooseleaf_descend_once;
}

/// Before firefly a retry in a host asked for the same device again, though it was out.
bool are_old(const CrushTunables& tunables) {
    return are_legacy(tunables) || !tunables.chooseleaf_vary_r;
}

uint32_t count_short(const Pool& pool, const PoolPlacement& placement) {
    uint32_t count = 0;
    for (uint32_t pg = 0; pg < placement.pg_num(); ++pg) {
        auto walk = placement.walk[pg];
        auto holes = std::count(walk.begin(), walk.end(), osd_none);
        count += walk.size() - static_cast<size_t>(holes) < pool.size;
    }
    return count;
}

/// The findings of one pool, from the roots of its rule down to single PGs. It stops at the first
/// cause: what follows from it would only be noise.
class PoolExam {
public:
    PoolExam(const OsdMap& map, PoolId id, const Pool& pool, const PoolPlacement& placement)
        : map_(map), crush_(*map.crush), pool_(pool), placement_(placement),
          name_(map.pool_name(id)) {}

    std::optional<Finding> examine() const {
        int32_t id = rule_of_pool(crush_, pool_);
        if (id < 0) return no_rule();
        auto blocks = blocks_of(*crush_.rule(id), pool_.size);
        for (const RuleBlock& block : blocks)
            if (auto finding = root_without_devices(id, block)) return finding;
        for (const RuleBlock& block : blocks)
            if (auto finding = too_few_domains(id, block)) return finding;
        return gives_up(blocks);
    }

private:
    std::string rule_name(int32_t id) const {
        auto named = crush_.rule_names.find(id);
        return named == crush_.rule_names.end() ? std::to_string(id) : named->second;
    }

    Finding finding(const std::string& cause, std::string remedy) const {
        return {fmt::format("pool '{}': {}", name_, cause), std::move(remedy)};
    }

    Finding no_rule() const {
        return finding(fmt::format("no CRUSH rule serves it (rule {}, {}, size {}), so none of its "
                                   "PGs has a place",
                                   pool_.crush_rule,
                                   pool_.can_shift() ? "replicated" : "erasure-coded", pool_.size),
                       fmt::format("ceph osd pool set {} crush_rule RULE, with a rule of 'ceph osd "
                                   "crush rule ls' whose type and sizes fit",
                                   name_));
    }

    bool is_in(int32_t osd) const { return map_.exists(osd) && !map_.is_out(osd); }

    std::optional<Finding> root_without_devices(int32_t rule, const RuleBlock& block) const {
        std::string root = crush_.item_name(block.root);
        auto devices = crush_.devices_below(block.root);
        if (devices.empty())
            return finding(
                fmt::format("its rule '{}' takes '{}', which holds no devices", rule_name(rule),
                            root),
                fmt::format("ceph osd crush add osd.N WEIGHT root={} host=HOST, for each "
                            "OSD that shall serve it",
                            root.substr(0, root.find('~'))));
        std::string first = crush_.item_name(devices.front());
        auto reachable = reachable_devices(crush_, block.root);
        if (reachable.empty())
            return finding(
                fmt::format("every device below '{}' has CRUSH weight 0 (or stands in a bucket of "
                            "weight 0), so no draw can choose one",
                            root),
                fmt::format("ceph osd crush reweight {} 1.0, and so on for each of the {} devices; "
                            "a weight is customarily the disk's size in TiB",
                            first, devices.size()));
        auto in = std::count_if(reachable.begin(), reachable.end(),
                                [&](const auto& entry) { return is_in(entry.first); });
        if (in == 0)
            return finding(fmt::format("every device below '{}' is out (or does not exist)", root),
                           fmt::format("ceph osd in {}, and so on", first));
        return {};
    }

    /// Domains of a block that hold at least one device that can be chosen.
    int32_t usable_domains(const RuleBlock& block) const {
        int32_t count = 0;
        for (int32_t item : items_of_type(crush_, block.root, block.domain)) {
            auto devices = reachable_devices(crush_, item);
            count += std::any_of(devices.begin(), devices.end(),
                                 [&](const auto& entry) { return is_in(entry.first); });
        }
        return count;
    }

    std::optional<Finding> too_few_domains(int32_t rule, const RuleBlock& block) const {
        if (!block.has_choice) return {};
        int32_t usable = usable_domains(block);
        if (usable >= block.domains) return {};
        std::string type = crush_.type_name(block.domain);
        std::string root = crush_.item_name(block.root);
        std::string found = usable == 0 ? fmt::format("no {} below '{}' has", type, root)
                            : usable == 1
                                ? fmt::format("only one {} below '{}' has", type, root)
                                : fmt::format("only {} {}s below '{}' have", usable, type, root);
        int32_t homeless = block.domains - usable;
        std::string cause =
            fmt::format("its rule '{}' puts each of {} copies into another {}, and {} devices that "
                        "are in: {}",
                        rule_name(rule), block.domains, type, found,
                        homeless == 1 ? "one copy has no place"
                                      : fmt::format("{} copies have no place", homeless));
        std::string base = root.substr(0, root.find('~'));
        std::string rule_command =
            pool_.can_shift()
                ? fmt::format("ceph osd crush rule create-replicated by-osd {} osd", base)
                : "a rule from a profile with crush-failure-domain=osd";
        if (block.domain == 0)
            return finding(cause,
                           fmt::format("add OSDs, or keep fewer copies: ceph osd pool set {} "
                                       "size {}",
                                       name_, std::max(usable, 1)));
        return finding(
            cause, fmt::format("add a {0} with OSDs; or, when copies may share a {0}: {1}, then "
                               "ceph osd pool set {2} crush_rule by-osd",
                               type, rule_command, name_));
    }

    std::optional<Finding> gives_up(const std::vector<RuleBlock>& blocks) const {
        uint32_t lacking = count_short(pool_, placement_);
        int32_t domains = 0;
        bool few = false;
        for (const RuleBlock& block : blocks) {
            domains = usable_domains(block);
            few = few || domains <= 2 * block.domains;
        }
        std::string effect = lacking
                                 ? fmt::format("{} of {} PGs get fewer than {} copies", lacking,
                                               placement_.pg_num(), pool_.size)
                                 : "PGs may get too few copies, or uneven ones, once an OSD is out";
        if ((are_old(crush_.tunables) && lacking) || (are_legacy(crush_.tunables) && few))
            return finding(
                fmt::format("{} tunables (profile {}) with few places to choose from give "
                            "up early: {}",
                            are_legacy(crush_.tunables) ? "legacy" : "old",
                            crush_.tunables.profile_name(), effect),
                "ceph osd crush tunables optimal; what that moves: cloudlet storage plan "
                "MAP tunables optimal");
        if (!lacking) return {};
        return finding(
            fmt::format("{} after {} tries (uneven weights make some places hard to find)", effect,
                        crush_.tunables.choose_total_tries + 1),
            "give the failure domains similar weights, or let CRUSH try longer: crushtool -i MAP "
            "--set-choose-total-tries 100 -o NEW, then ceph osd setcrushmap -i NEW");
    }

    const OsdMap& map_;
    const CrushMap& crush_;
    const Pool& pool_;
    const PoolPlacement& placement_;
    std::string name_;
};

} // namespace

std::vector<Finding> diagnose(const OsdMap& map, std::span<const PoolPlacement* const> placements) {
    std::vector<Finding> findings;
    for (const PoolPlacement* placement : placements) {
        const Pool* pool = map.pool(placement->pool);
        if (!pool) continue;
        if (auto found = PoolExam(map, placement->pool, *pool, *placement).examine())
            findings.push_back(*found);
    }
    return findings;
}

std::vector<Finding> diagnose(const OsdMap& map) {
    auto placer = Placer::prepare(std::make_shared<OsdMap>(map));
    if (!placer)
        return {{"the CRUSH hierarchy cannot be walked: " + placer.error().to_string(),
                 "repair the map: crushtool -d MAP -o TEXT, edit, crushtool -c TEXT -o MAP"}};
    CrushWorkspace work;
    std::vector<PoolPlacement> placements;
    for (const auto& [id, pool] : map.pools) placements.push_back(placer->place_pool(work, id));
    std::vector<const PoolPlacement*> pointers;
    for (const auto& placement : placements) pointers.push_back(&placement);
    return diagnose(map, pointers);
}

} // namespace cloudlet::rados
