#pragma once
// One draw for each of sixteen inputs, side by side where their buckets allow it.

#include <array>
#include <cstdint>

#include "crush_layout.h"
#include "crush_work.h"

namespace cloudlet::rados {

class LaneDraws {
public:
    using Buckets = std::array<const PreparedBucket*, draw_lanes>; // nullptr: nothing to draw
    using Items = std::array<int32_t, draw_lanes>;

    LaneDraws(const CrushLayout& layout, CrushWorkspace::State& work)
        : layout_(layout), input_(work.draw_input(layout)) {}

    /// Draws at straw2 buckets. The item of a lane is crush_item_undef where its bucket is missing,
    /// empty or of another algorithm.
    void draw(const Buckets& at, const uint32_t* x, const uint32_t* r, Items& items) const;

private:
    void draw_same(const Straw2View& view, const uint32_t* x, const uint32_t* r,
                   Items& items) const;
    void draw_mixed(const Buckets& at, const uint32_t* x, const uint32_t* r, Items& items) const;
    void draw_simple(const PreparedBucket& bucket, uint32_t x, uint32_t r, int32_t& item) const;
    static bool is_shareable(const PreparedBucket* bucket) {
        return bucket && bucket->view.count > 1 && bucket->view.count <= draw_side_by_side_limit;
    }

    const CrushLayout& layout_;
    const DrawInput input_;
};

} // namespace cloudlet::rados
