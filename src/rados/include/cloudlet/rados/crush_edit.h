#pragma once
// Changes to a whole CRUSH map, as an operator speaks of them: put an item there, take it out,
// weigh it anew. Each keeps the weights of all ancestors, the weight sets of choose_args and the
// shadow trees of the device classes in step, and leaves the map as it was when it fails. Messages
// name the item and say what to do. A map belongs to one thread while it changes.
//
// Results are crushtool's, byte for byte, also where that surprises: a uniform bucket that loses an
// item weighs 0 afterwards. Only where crushtool crashes or leaves old memory (trees that grow) do
// we go our own way.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/crush_map.h"

namespace cloudlet::rados {

/// (type name, bucket name), in any order: {{"host", "a"}, {"root", "default"}}.
using CrushLocation = std::vector<std::pair<std::string, std::string>>;

/// 16.16 from a written weight, as Ceph converts its float: (uint32_t)(value * 65536).
uint32_t crush_weight_of(float value);
inline float crush_weight_to_float(uint32_t weight) {
    return static_cast<float>(weight) / static_cast<float>(crush_weight_one);
}

/// Puts a device (or bucket) at a location; missing buckets of the location are made, up to the
/// first that exists. Error: Code::invalid (name, location, loop), Code::already_exists (name of
/// another item).
Result<void> insert_item(CrushMap& map, int32_t item, std::string_view name, uint32_t weight,
                         const CrushLocation& location);
/// Moves and reweights an item that is already in the map, or inserts it.
Result<void> update_item(CrushMap& map, int32_t item, std::string_view name, uint32_t weight,
                         const CrushLocation& location);
/// An empty bucket of the map's best allowed algorithm, at a location when one is given. Gives its
/// id.
Result<int32_t> insert_bucket(CrushMap& map, std::string_view name, std::string_view type,
                              const CrushLocation& location);
/// Moves a bucket with everything below it, or a device; its weight stays.
Result<void> move_item(CrushMap& map, std::string_view name, const CrushLocation& location);
/// Removes an item everywhere, with its name and class. Error: Code::conflict for a bucket that
/// holds items or that a rule takes.
Result<void> remove_item(CrushMap& map, int32_t item);
/// Removes a bucket and all buckets below it; devices stay, homeless. Error: Code::conflict when a
/// rule takes one of them.
Result<void> remove_subtree(CrushMap& map, int32_t root);

/// Weighs an item anew, wherever it stands.
Result<void> reweight_item(CrushMap& map, int32_t item, uint32_t weight);
/// Every bucket's weight becomes the sum of what is below it, bottom up (`crushtool --reweight`).
Result<void> reweight_all(CrushMap& map);

Result<void> rename_item(CrushMap& map, std::string_view from, std::string_view to);

/// Gives a device a class, made when new; shadow trees follow.
Result<void> set_device_class(CrushMap& map, int32_t device, std::string_view class_name);
Result<void> remove_device_class(CrushMap& map, int32_t device);
/// Makes a class id for a name, or finds it. Shadow trees do not follow.
int32_t class_id_for(CrushMap& map, std::string_view name);
/// Makes all shadow trees anew; a shadow bucket keeps the id it had, a new one gets the first id
/// that is free now and was free before. Classes without a device are dropped unless a rule takes
/// them.
Result<void> rebuild_shadow_trees(CrushMap& map);

enum class RuleMode { firstn, indep };

/// "take ROOT[~class]; chooseleaf MODE 0 type DOMAIN; emit"; an empty domain (or the devices' type)
/// chooses devices. indep gets set_chooseleaf_tries 5 and set_choose_tries 100. Gives the rule's
/// id.
Result<int32_t> create_simple_rule(CrushMap& map, std::string_view name, std::string_view root,
                                   std::string_view domain, std::string_view device_class,
                                   RuleMode mode, RuleType type);
Result<void> remove_rule(CrushMap& map, std::string_view name);

/// Letters, digits, '_', '-' and '.': what Ceph lets a name be.
bool is_valid_crush_name(std::string_view name);

} // namespace cloudlet::rados
