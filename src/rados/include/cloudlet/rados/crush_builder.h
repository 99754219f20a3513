#pragma once
// Makes buckets and keeps what their algorithms precompute in step: list sums, tree nodes, straws.
// The arithmetic is Ceph's, integer by integer, and double by double where straws are computed.
//
// These work on one bucket or slot. Changes that concern the whole tree (weights of ancestors,
// shadow trees) are in crush_edit.h. Pure; a map belongs to one thread while it changes.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/crush_map.h"

namespace cloudlet::rados {

/// A bucket of these items without an id. A uniform bucket takes the first weight for all.
/// Error: Code::invalid when the weights' sum leaves 32 bits, or a tree has more than 64 items.
Result<CrushBucket> make_bucket(BucketAlg alg, uint16_t type, std::span<const int32_t> items,
                                std::span<const uint32_t> weights, uint8_t straw_calc_version);

/// Puts a bucket into the slot of its id, or for id 0 into the first free one; the slots grow 8,
/// 16, 32 ... as Ceph's do. Gives the id. Error: Code::already_exists, Code::too_large.
Result<int32_t> add_bucket(CrushMap& map, CrushBucket bucket);

/// Puts a rule into slot `id`, or for -1 into the first free one. Gives the id.
Result<int32_t> add_rule(CrushMap& map, CrushRule rule, int32_t id = -1);

/// Items of one bucket; `bucket.weight` follows, the parents do not. Error: Code::invalid for a
/// uniform bucket and another weight, Code::not_found.
Result<void> append_item(CrushBucket& bucket, int32_t item, uint32_t weight,
                         uint8_t straw_calc_version);
Result<void> erase_item(CrushBucket& bucket, int32_t item, uint8_t straw_calc_version);
/// A uniform bucket changes the weight of all its items.
Result<void> set_item_weight(CrushBucket& bucket, int32_t item, uint32_t weight,
                             uint8_t straw_calc_version);

/// The nodes of a tree of `leaves` items, and the node of leaf i (2i + 1).
size_t tree_node_count(size_t leaves);
inline size_t tree_leaf(size_t index) { return index * 2 + 1; }

/// One layer of `crushtool --build`: "host straw2 2" groups the items below by two; size 0 takes
/// all.
struct CrushLayer {
    std::string type_name;
    BucketAlg alg = BucketAlg::straw2;
    uint32_t size = 0;
};

/// `crushtool --build --num_osds N LAYER...`: devices osd.0 ... of weight 1, layers bottom up,
/// named host0, host1 ... (a layer of size 0 is named by its type alone), and a rule
/// "replicated_rule" over the top when there is one root. Tunables are jewel's unless given.
Result<CrushMap> build_crush_map(uint32_t devices, std::span<const CrushLayer> layers,
                                 const CrushTunables& tunables = {});

} // namespace cloudlet::rados
