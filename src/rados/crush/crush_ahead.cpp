#include "crush_ahead.h"

#include <algorithm>

namespace cloudlet::rados {

namespace {

constexpr size_t max_fronts = 16; // starts of one step that are worth predicting
constexpr uint32_t max_levels = 8;

} // namespace

DrawAhead::DrawAhead(const CrushLayout& layout, const CrushQuery& query, const CrushRule& rule,
                     CrushWorkspace::State& work)
    : layout_(layout), rule_(rule), work_(work),
      result_max_(static_cast<uint32_t>(query.result_max)), draws_(layout, work),
      vary_r_(layout.tunables.chooseleaf_vary_r), stable_(layout.tunables.chooseleaf_stable) {
    work_.memos.resize(draw_lanes);
}

void DrawAhead::draw(const uint32_t* x) {
    x_ = x;
    vary_r_ = layout_.tunables.chooseleaf_vary_r;
    stable_ = layout_.tunables.chooseleaf_stable;
    fronts_.clear();
    for (const CrushStep& step : rule_.steps) {
        bool firstn = step.op == RuleOp::choose_firstn || step.op == RuleOp::chooseleaf_firstn;
        bool leaf = step.op == RuleOp::chooseleaf_firstn || step.op == RuleOp::chooseleaf_indep;
        int64_t wanted = step.arg1 > 0 ? step.arg1 : int64_t{step.arg1} + result_max_;
        switch (step.op) {
        case RuleOp::take:
            fronts_.resize(1);
            fronts_[0].fill(layout_.bucket(step.arg1));
            break;
        case RuleOp::choose_firstn:
        case RuleOp::choose_indep:
        case RuleOp::chooseleaf_firstn:
        case RuleOp::chooseleaf_indep:
            if (wanted > 0) {
                choose({firstn, leaf, step.arg2,
                        static_cast<uint32_t>(std::min<int64_t>(wanted, result_max_))});
            }
            break;
        case RuleOp::set_chooseleaf_vary_r:
            if (step.arg1 >= 0) vary_r_ = static_cast<uint32_t>(step.arg1);
            break;
        case RuleOp::set_chooseleaf_stable:
            if (step.arg1 >= 0) stable_ = static_cast<uint32_t>(step.arg1);
            break;
        default: break;
        }
    }
}

void DrawAhead::choose(const Choose& step) {
    next_.clear();
    uint32_t attempts = std::min(step.wanted + work_.ahead, DrawMemo::attempts);
    for (size_t i = 0; i < fronts_.size(); ++i) {
        for (uint32_t number = 0; number < attempts; ++number) {
            Lanes reached = {};
            auto salt = static_cast<uint32_t>(i) * step.wanted;
            attempt(step, {fronts_[i], {0, salt}, number}, number, reached);
            if (number < step.wanted && next_.size() < max_fronts) next_.push_back(reached);
        }
    }
    if (step.leaf) next_.clear(); // devices: nothing is below them
    std::swap(fronts_, next_);
}

uint32_t DrawAhead::leaf_attempt(const Choose& step, uint32_t number, uint32_t r) const {
    if (!step.firstn) return number % step.wanted + r;
    uint32_t varied = vary_r_ ? r >> ((vary_r_ - 1) & 31) : 0;
    return varied + (stable_ ? 0 : number);
}

void DrawAhead::attempt(const Choose& step, Descent descent, uint32_t number, Lanes& reached) {
    LaneDraws::Items items;
    for (uint32_t level = 0; level < max_levels; ++level) {
        draw_level(descent, items);
        bool descends = false;
        for (size_t lane = 0; lane < draw_lanes; ++lane) {
            descent.at[lane] = layout_.bucket(items[lane]);
            if (!descent.at[lane]) continue;
            if (descent.at[lane]->type == step.type) {
                reached[lane] = descent.at[lane];
                descent.at[lane] = nullptr;
            } else {
                descends = true;
            }
        }
        descent.memo = descent.memo.below();
        if (!descends) break;
    }
    // Lanes that got there on different levels would need different keys; the last level serves.
    if (step.leaf)
        descend_to_device({reached, descent.memo, leaf_attempt(step, number, descent.r)});
}

void DrawAhead::descend_to_device(Descent descent) {
    LaneDraws::Items items;
    for (uint32_t level = 0; level < max_levels; ++level) {
        bool any = std::any_of(descent.at.begin(), descent.at.end(), [](auto* at) { return at; });
        if (!any) return;
        draw_level(descent, items);
        for (size_t lane = 0; lane < draw_lanes; ++lane) {
            descent.at[lane] = layout_.bucket(items[lane]);
        }
        descent.memo = descent.memo.below();
    }
}

void DrawAhead::draw_level(const Descent& descent, LaneDraws::Items& items) {
    alignas(64) std::array<uint32_t, draw_lanes> r;
    r.fill(descent.r);
    draws_.draw(descent.at, x_, r.data(), items);
    for (size_t lane = 0; lane < draw_lanes; ++lane) {
        if (items[lane] == crush_item_undef) continue;
        work_.memos[lane].put(descent.memo, descent.at[lane]->id, x_[lane], descent.r, items[lane]);
    }
}

} // namespace cloudlet::rados
