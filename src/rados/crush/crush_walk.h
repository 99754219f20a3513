#pragma once
// The walk of one input through a rule: Ceph's algorithm as crush_mapper.h promises it, step by
// step and retry by retry. A CrushWalk lives for one mapping, on the thread of its workspace.

#include <cstdint>
#include <span>
#include <vector>

#include "cloudlet/rados/crush_mapper.h"
#include "crush_layout.h"
#include "crush_work.h"

namespace cloudlet::rados {

/// How a walk tries: the map's tunables, as the `set_` steps of a rule change them.
struct WalkSettings {
    uint32_t tries;
    uint32_t leaf_tries = 0; // 0: as chooseleaf_descend_once says
    uint32_t local_retries;
    uint32_t local_fallback_retries;
    uint32_t vary_r;
    bool stable;
    bool descend_once;

    explicit WalkSettings(const CrushTunables& tunables);
    void set(const CrushStep& step); // a step that sets nothing changes nothing
    uint32_t firstn_leaf_tries() const;
    /// The attempt that a firstn chooseleaf starts with below a host that attempt r drew.
    uint32_t leaf_r(uint32_t r) const;
};

class CrushWalk {
public:
    CrushWalk(const CrushLayout& layout, const CrushQuery& query, CrushWorkspace::State& work,
              uint32_t x, DrawMemo* memo);

    /// Carries out the rule; the result lies in the workspace.
    std::span<const int32_t> run(const CrushRule& rule);

private:
    using Settings = WalkSettings;

    // One placement: where it starts, what it must find, and what it must not find again.
    struct Placement {
        const PreparedBucket* start;
        int32_t type;
        uint32_t rep;      // its number in the step
        uint32_t parent_r; // the attempt of the level above
        uint32_t tries;
        uint32_t position;    // in the result
        const int32_t* taken; // [0, position) are taken already
        int32_t* leaves;      // where a chooseleaf puts its device; nullptr for none
        uint32_t leaf_tries = 0;
        MemoKey memo = {};
    };
    enum class Draw { placed, collided, rejected, hopeless, descend };

    void take(int32_t item);
    void choose(const CrushStep& step, const Settings& settings);
    void emit();

    uint32_t choose_firstn(const CrushStep& step, const Settings& settings,
                           const PreparedBucket& start, uint32_t wanted, uint32_t done);
    bool place_firstn(const Placement& placement, const Settings& settings, int32_t& item);
    Draw draw_firstn(const Placement& placement, const Settings& settings,
                     const PreparedBucket*& in, uint32_t failures, uint32_t local_failures,
                     MemoKey& memo, int32_t& item);
    bool place_leaf(const Placement& above, const Settings& settings, int32_t host, uint32_t r,
                    MemoKey memo);

    // An indep step or its inner one: positions [first, end) of `out`.
    struct Positions {
        const PreparedBucket* start;
        int32_t type;
        uint32_t wanted; // the stride of retries
        uint32_t first, end;
        uint32_t parent_r;
        uint32_t tries;
        int32_t* out;
        int32_t* leaves; // nullptr without chooseleaf
        uint32_t leaf_tries = 0;
        MemoKey memo = {};
    };
    void choose_indep(const Positions& positions);
    int32_t place_indep(const Positions& positions, uint32_t rep, uint32_t failures);
    bool descends(const PreparedBucket*& in, int32_t item) const;

    int32_t draw(const PreparedBucket& bucket, uint32_t r, uint32_t position, const MemoKey& memo);
    int32_t draw_straw2(const PreparedBucket& bucket, const Straw2View& view, uint32_t r);
    int32_t draw_permuted(const PreparedBucket& bucket, uint32_t r);
    int32_t draw_list(const PreparedBucket& bucket, uint32_t r) const;
    int32_t draw_tree(const PreparedBucket& bucket, uint32_t r) const;
    int32_t draw_straw(const PreparedBucket& bucket, uint32_t r) const;
    bool is_out(int32_t device) const;
    int32_t type_of(int32_t item) const;
    void count_tries(uint32_t failures);

    const CrushLayout& layout_;
    const CrushQuery& query_;
    CrushWorkspace::State& work_;
    const uint32_t x_;
    const uint32_t result_max_;
    DrawMemo* memo_; // nullptr: nothing was drawn ahead
    const std::vector<PreparedArgs>* args_;
    uint32_t budget_;
    size_t front_size_ = 0;
    size_t result_size_ = 0;
};

} // namespace cloudlet::rados
