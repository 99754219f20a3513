#pragma once
// A CRUSH map as a value: the tree of devices and buckets, the rules that walk it, and everything
// that a binary map file holds. Plain data, copied like any other value, compared with ==.
//
// A map is read by crush_codec.h (binary) and crush_text.h (text), made by crush_builder.h, changed
// by crush_edit.h, and walked by crush_mapper.h, which first prepares it for speed.
//
// Ids: a device (OSD) has an id >= 0, a bucket an id < 0; bucket `id` sits in slot -1-id.
// Weights are 16.16 fixed point: 0x10000 is 1.0.
//
// Sources: Weil, Brandt, Miller, Maltzahn, "CRUSH: Controlled, Scalable, Decentralized Placement of
// Replicated Data" (2006); the published map format; the behaviour of Ceph 16.2's crushtool.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cloudlet::rados {

inline constexpr int32_t crush_item_none = 0x7fffffff;  // a hole in an indep result
inline constexpr int32_t crush_item_undef = 0x7ffffffe; // not chosen yet; never in a result
inline constexpr uint32_t crush_weight_one = 0x10000;
inline constexpr int64_t crush_default_choose_args = -1; // the set for pools without their own

enum class BucketAlg : uint8_t { uniform = 1, list = 2, tree = 3, straw = 4, straw2 = 5 };
std::string_view name_of(BucketAlg alg); // "straw2"
std::optional<BucketAlg> bucket_alg_of(std::string_view name);

/// One inner node. `weights` holds one weight per item for list, straw and straw2; a uniform bucket
/// has `uniform_weight` for all its items, a tree keeps its items' weights in its nodes. Read a
/// weight with item_weight(). `derived` is what the algorithm precomputes, as in the file:
/// list: sums of the weights up to each item; tree: the nodes' weights; straw: the straws' lengths.
/// Make and change one with crush_builder.h, which keeps these in step.
struct CrushBucket {
    int32_t id = 0;
    uint16_t type = 0;
    BucketAlg alg = BucketAlg::straw2;
    uint8_t hash = 0;    // 0 is rjenkins1, the only one there is
    uint32_t weight = 0; // sum of the items' weights
    std::vector<int32_t> items;
    std::vector<uint32_t> weights;
    std::vector<uint32_t> derived;
    uint32_t uniform_weight = 0;

    uint32_t item_weight(size_t index) const;
    /// Position of an item in `items`.
    std::optional<size_t> find(int32_t item) const;
    bool operator==(const CrushBucket&) const = default;
};

enum class RuleOp : uint32_t {
    noop = 0,
    take = 1,          // arg1: device or bucket
    choose_firstn = 2, // arg1: how many (<= 0: result_max + arg1), arg2: type
    choose_indep = 3,  // the same
    emit = 4,
    chooseleaf_firstn = 6,
    chooseleaf_indep = 7,
    set_choose_tries = 8, // arg1: value; these six override a tunable for the steps that follow
    set_chooseleaf_tries = 9,
    set_choose_local_tries = 10,
    set_choose_local_fallback_tries = 11,
    set_chooseleaf_vary_r = 12,
    set_chooseleaf_stable = 13,
};

struct CrushStep {
    RuleOp op = RuleOp::noop;
    int32_t arg1 = 0;
    int32_t arg2 = 0;
    bool operator==(const CrushStep&) const = default;
};

enum class RuleType : uint8_t { replicated = 1, erasure = 3 };

/// A rule's id is its index in CrushMap::rules.
struct CrushRule {
    uint8_t ruleset = 0; // equals the id in every map of today
    uint8_t type = 1;    // a RuleType; files may hold others
    uint8_t min_size = 1;
    uint8_t max_size = 10;
    std::vector<CrushStep> steps;
    bool operator==(const CrushRule&) const = default;
};

/// How hard a walk tries; the defaults are the profile "jewel", which is also "optimal" and
/// "default".
struct CrushTunables {
    uint32_t choose_local_tries = 0;
    uint32_t choose_local_fallback_tries = 0;
    uint32_t choose_total_tries = 50;
    uint32_t chooseleaf_descend_once = 1;
    uint8_t chooseleaf_vary_r = 1;
    uint8_t chooseleaf_stable = 1;
    uint8_t straw_calc_version = 1;
    uint32_t allowed_bucket_algs = 54; // a bit (1 << alg) for each algorithm; 22 in old maps
    bool operator==(const CrushTunables&) const = default;

    /// "legacy" (= "argonaut"), "bobtail", "firefly", "hammer", "jewel" (= "optimal", "default").
    /// A profile sets the six tunables of a walk and the allowed algorithms; of straw_calc_version
    /// only "legacy" (0), "optimal" and "default" (1) speak, the others leave what `base` has.
    static std::optional<CrushTunables> profile(std::string_view name, const CrushTunables& base);
    static std::optional<CrushTunables> profile(std::string_view name);
    /// The name of the profile whose walk these are ("jewel"), or "unknown".
    std::string_view profile_name() const;
};

/// Other weights and ids for one straw2 bucket, one weight set for each position of the result (the
/// last serves all later positions). Empty `ids` or `weight_sets` mean the bucket's own.
struct CrushChooseArg {
    std::vector<int32_t> ids;
    std::vector<std::vector<uint32_t>> weight_sets;
    bool operator==(const CrushChooseArg&) const = default;
};
/// By bucket id, in the order of the file (slot 0, that is bucket -1, first).
using CrushChooseArgs = std::map<int32_t, CrushChooseArg, std::greater<>>;

struct CrushMap {
    std::vector<std::optional<CrushBucket>> buckets; // slot -1-id; size is the file's max_buckets
    std::vector<std::optional<CrushRule>> rules;     // slot is the rule's id
    int32_t max_devices = 0;                         // above every device's id
    CrushTunables tunables;
    std::map<int32_t, std::string> type_names; // 0 is the devices' type
    std::map<int32_t, std::string>
        item_names; // devices, buckets and shadow buckets ("default~ssd")
    std::map<int32_t, std::string> rule_names;
    std::map<int32_t, std::string> class_names;
    std::map<int32_t, int32_t> item_classes;                     // device or shadow bucket -> class
    std::map<int32_t, std::map<int32_t, int32_t>> class_buckets; // bucket -> class -> shadow bucket
    std::map<int64_t, CrushChooseArgs> choose_args;              // by pool, or the default set

    const CrushBucket* bucket(int32_t id) const; // nullptr when there is none
    CrushBucket* bucket(int32_t id);
    const CrushRule* rule(int32_t id) const;
    /// The set of a pool, else the default one, else nullptr.
    const CrushChooseArgs* choose_args_for(int64_t pool) const;

    std::optional<int32_t> item_of(std::string_view name) const;
    std::optional<int32_t> type_of(std::string_view name) const;
    std::optional<int32_t> rule_of(std::string_view name) const;
    std::optional<int32_t> class_of(std::string_view name) const;
    /// The item's name, else "osd.3" or "bucket-3" (which is how tools print nameless ones).
    std::string item_name(int32_t id) const;
    std::string type_name(int32_t type) const;               // the name, else the number
    std::string_view class_name_of_item(int32_t item) const; // "" without a class

    bool is_shadow(int32_t item) const; // a bucket of a class's tree: its name has a '~'
    /// (bucket, class) that a shadow bucket stands for.
    std::optional<std::pair<int32_t, int32_t>> origin_of_shadow(int32_t shadow) const;
    /// Buckets that no bucket holds, in ascending order of id (-9 before -1).
    std::vector<int32_t> roots() const;
    std::vector<int32_t> roots_without_shadows() const;
    /// The first non-shadow bucket that holds an item, searched from slot 0 up.
    std::optional<int32_t> parent_of(int32_t item) const;
    /// Whether `item` is `root` or lies below it.
    bool subtree_contains(int32_t root, int32_t item) const;
    /// (type name, bucket name) from the item's parent up to the root.
    std::vector<std::pair<std::string, std::string>> location_of(int32_t item) const;
    /// Devices below an item, in order of the walk, each once; shadow trees as they are.
    std::vector<int32_t> devices_below(int32_t item) const;
    /// Type of an item: 0 for a device, the bucket's type else; nothing when it does not exist.
    std::optional<int32_t> type_of_item(int32_t item) const;

    bool operator==(const CrushMap&) const = default;
};

} // namespace cloudlet::rados
