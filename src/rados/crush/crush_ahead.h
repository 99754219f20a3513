#pragma once
// Draws made ahead: the first attempts of sixteen inputs are predicted from the rule and drawn side
// by side, level by level, before any input is walked. A wrong prediction is only wasted work.

#include <array>
#include <cstdint>
#include <vector>

#include "crush_lanes.h"

namespace cloudlet::rados {

class DrawAhead {
public:
    DrawAhead(const CrushLayout& layout, const CrushQuery& query, const CrushRule& rule,
              CrushWorkspace::State& work);

    /// Fills the memos of the workspace for these draw_lanes inputs (64-byte aligned).
    void draw(const uint32_t* x);

private:
    using Lanes = LaneDraws::Buckets;

    struct Choose {
        bool firstn, leaf;
        int32_t type;
        uint32_t wanted;
    };
    // Sixteen descents of one attempt, in step.
    struct Descent {
        Lanes at;
        MemoKey memo;
        uint32_t r;
    };

    void choose(const Choose& step);
    void attempt(const Choose& step, Descent descent, uint32_t number, Lanes& reached);
    void descend_to_device(Descent descent);
    /// Draws once in each lane and notes what was drawn.
    void draw_level(const Descent& descent, LaneDraws::Items& items);
    uint32_t leaf_attempt(const Choose& step, uint32_t number, uint32_t r) const;

    const CrushLayout& layout_;
    const CrushRule& rule_;
    CrushWorkspace::State& work_;
    const uint32_t result_max_;
    const LaneDraws draws_;
    const uint32_t* x_ = nullptr;
    std::vector<Lanes> fronts_, next_;
    uint32_t vary_r_, stable_;
};

} // namespace cloudlet::rados
