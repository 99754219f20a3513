#include "crush_lanes.h"

#include <algorithm>

namespace cloudlet::rados {

void LaneDraws::draw(const Buckets& at, const uint32_t* x, const uint32_t* r, Items& items) const {
    bool same = is_shareable(at[0]);
    for (const PreparedBucket* bucket : at) same &= bucket == at[0];
    if (same) return draw_same(at[0]->view, x, r, items);
    draw_mixed(at, x, r, items);
    for (size_t lane = 0; lane < draw_lanes; ++lane) {
        if (is_shareable(at[lane])) continue;
        items[lane] = crush_item_undef;
        if (at[lane]) draw_simple(*at[lane], x[lane], r[lane], items[lane]);
    }
}

void LaneDraws::draw_same(const Straw2View& view, const uint32_t* x, const uint32_t* r,
                          Items& items) const {
    alignas(64) uint32_t winners[draw_lanes];
    layout_.kernels->same(input_, view, x, r, winners);
    for (size_t lane = 0; lane < draw_lanes; ++lane) {
        items[lane] = layout_.draw_items[winners[lane]];
    }
}

void LaneDraws::draw_mixed(const Buckets& at, const uint32_t* x, const uint32_t* r,
                           Items& items) const {
    auto any = std::find_if(at.begin(), at.end(), is_shareable);
    if (any == at.end()) return;
    MixedDraws draws;
    draws.by_key = 1;
    for (size_t lane = 0; lane < draw_lanes; ++lane) {
        const Straw2View& view = is_shareable(at[lane]) ? at[lane]->view : (*any)->view;
        draws.x[lane] = x[lane];
        draws.r[lane] = r[lane];
        draws.first[lane] = view.first;
        draws.count[lane] = view.count;
        draws.by_key &= view.by_key;
        draws.largest = std::max(draws.largest, view.count);
    }
    layout_.kernels->mixed(input_, draws);
    for (size_t lane = 0; lane < draw_lanes; ++lane) {
        items[lane] = layout_.draw_items[draws.winner[lane]];
    }
}

void LaneDraws::draw_simple(const PreparedBucket& bucket, uint32_t x, uint32_t r,
                            int32_t& item) const {
    if (bucket.alg != BucketAlg::straw2 || bucket.size == 0) return;
    const Straw2View& view = bucket.view;
    if (view.count == 0) {
        item = layout_.items[bucket.first];
    } else if (view.count == 1) {
        item = layout_.draw_items[view.first];
    } else {
        item = layout_.draw_items[layout_.kernels->one(input_, view, x, r)];
    }
}

} // namespace cloudlet::rados
