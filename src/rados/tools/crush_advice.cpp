#include "crush_advice.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "osd_map/rule_blocks.h"

namespace cloudlet::rados {
namespace {

bool has_living_device(const CrushMap& map, int32_t item, std::span<const uint32_t> weights) {
    auto devices = reachable_devices(map, item);
    return std::any_of(devices.begin(), devices.end(), [&](const auto& device) {
        auto index = static_cast<size_t>(device.first);
        return index < weights.size() && weights[index] > 0;
    });
}

CrushAdvice lifeless(const CrushMap& map, int32_t root) {
    std::string name = map.item_name(root);
    if (map.devices_below(root).empty())
        return {fmt::format("{} holds no device", name),
                "add devices below it (--add-item ID WEIGHT NAME --loc TYPE BUCKET), or let the "
                "rule take another bucket"};
    return {fmt::format("all devices below {} have weight 0 or are out, so CRUSH cannot spread "
                        "data over them",
                        name),
            "weigh each by the size of its disk in TiB (--reweight-item NAME WEIGHT), and take it "
            "in again (--weight DEVICE 1)"};
}

std::optional<CrushAdvice> examine(const CrushMap& map, const RuleBlock& block,
                                   std::span<const uint32_t> weights) {
    if (!has_living_device(map, block.root, weights)) return lifeless(map, block.root);
    if (!block.has_choice) return std::nullopt;
    int32_t usable = 0;
    std::string names;
    for (int32_t place : items_of_type(map, block.root, block.domain)) {
        if (!has_living_device(map, place, weights)) continue;
        if (++usable <= 3) names += (names.empty() ? "" : ", ") + map.item_name(place);
    }
    if (usable >= block.domains) return std::nullopt;
    std::string type = map.type_name(block.domain), root = map.item_name(block.root);
    std::string smaller;
    if (block.domain != 0)
        smaller = fmt::format("make a rule that chooses a smaller type "
                              "(--create-replicated-rule NAME {} {}), or ",
                              root.substr(0, root.find('~')), map.type_name(0));
    return CrushAdvice{
        fmt::format("it needs {} of type {} below {}, but only {} {} a device of weight above 0{}",
                    block.domains, type, root, usable, usable == 1 ? "has" : "have",
                    usable == 0 ? "" : fmt::format(" ({}{})", names, usable > 3 ? ", ..." : "")),
        fmt::format("add {} more of type {}, or {}ask for fewer replicas", block.domains - usable,
                    type, smaller)};
}

bool gives_up_early(const CrushTunables& tunables) {
    return tunables.choose_total_tries < 50 || tunables.choose_local_tries > 0 ||
           tunables.choose_local_fallback_tries > 0 || tunables.chooseleaf_descend_once == 0;
}

} // namespace

std::vector<CrushAdvice> explain_shortfall(const CrushMap& map, int32_t rule, int32_t replicas,
                                           std::span<const uint32_t> weights) {
    std::vector<CrushAdvice> advice;
    const auto* its_rule = map.rule(rule);
    if (!its_rule) return advice;
    for (const auto& block : blocks_of(*its_rule, replicas))
        if (auto found = examine(map, block, weights)) advice.push_back(std::move(*found));
    if (!advice.empty()) return advice;
    if (gives_up_early(map.tunables))
        return {{fmt::format("the tunables are old (profile {}): where there are few buckets of a "
                             "type, CRUSH gives up after {} tries before it finds another",
                             map.tunables.profile_name(), map.tunables.choose_total_tries),
                 "set the optimal ones (--set-choose-local-tries 0 "
                 "--set-choose-local-fallback-tries 0 --set-choose-total-tries 50 "
                 "--set-chooseleaf-descend-once 1 --set-chooseleaf-vary-r 1 "
                 "--set-chooseleaf-stable 1); some data will move"}};
    return {{fmt::format("CRUSH gave up after {} tries", map.tunables.choose_total_tries),
             "allow more (--set-choose-total-tries), make the buckets more alike in weight, or ask "
             "for fewer replicas"}};
}

std::vector<CrushAdvice> explain_lifeless_trees(const CrushMap& map, int32_t rule,
                                                std::span<const uint32_t> weights) {
    std::vector<CrushAdvice> advice;
    const auto* its_rule = map.rule(rule);
    if (!its_rule) return advice;
    for (const auto& block : blocks_of(*its_rule, 1))
        if (!has_living_device(map, block.root, weights))
            advice.push_back(lifeless(map, block.root));
    return advice;
}

} // namespace cloudlet::rados
