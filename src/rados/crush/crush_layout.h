#pragma once
// A CRUSH map laid out for walking: flat arrays, no pointers to chase, straw2 weights as
// reciprocals. Built once by CrushMapper::prepare(), then only read.

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "cloudlet/rados/crush_map.h"
#include "crush_draw.h"

namespace cloudlet::rados {

struct PreparedBucket {
    int32_t id = 0; // 0 for an empty slot
    int32_t type = 0;
    BucketAlg alg = BucketAlg::straw2;
    uint32_t size = 0;
    uint32_t first = 0; // of its items in `items`, and of its words in `weights` and `derived`
    uint32_t nodes = 0; // where a tree's nodes start in `nodes`
    uint32_t node_count = 0;
    Straw2View view; // straw2 only
};

/// Where choose_args speak of a bucket: one view for each position of the result.
struct PreparedArgs {
    uint32_t first_view = 0;
    uint32_t positions = 0; // 0: the bucket's own view
};

struct CrushLayout {
    uint64_t serial = 0; // differs between any two layouts of a process
    int32_t max_devices = 0;
    CrushTunables tunables;
    std::vector<std::optional<CrushRule>> rules;
    std::vector<PreparedBucket> buckets; // by slot
    std::vector<int32_t> items;          // of all buckets
    std::vector<uint32_t> weights;       // parallel to items; list and straw
    std::vector<uint32_t> derived;       // parallel to items; list sums, straw lengths
    std::vector<uint32_t> nodes;         // of all trees
    const DrawKernels* kernels = nullptr;
    bool all_straw2 = true;
    Straw2Tables draws;
    std::vector<int32_t> draw_items; // what a straw2 winner stands for, parallel to draws.ids
    std::vector<Straw2View> views;   // of choose_args
    std::map<int64_t, std::vector<PreparedArgs>> choose_args;

    const PreparedBucket* bucket(int32_t id) const {
        size_t slot = static_cast<size_t>(-1 - int64_t{id});
        if (id >= 0 || slot >= buckets.size() || buckets[slot].id == 0) return nullptr;
        return &buckets[slot];
    }
    const std::vector<PreparedArgs>* choose_args_for(int64_t pool) const;
};

/// The map must have passed check_crush_map().
CrushLayout lay_out(const CrushMap& map);

} // namespace cloudlet::rados
