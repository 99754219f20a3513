#pragma once
// Whole mappings side by side, for the rule that nearly every replicated pool has: take a bucket,
// (choose|chooseleaf) firstn, emit, with the tunables that Ceph calls optimal since jewel.
//
// Such a walk draws with r = 0, 1, 2 ... in turn. A replica that starts over at its own number
// finds again what is taken or refused already, because with one try per leaf a draw's fate never
// changes; so it goes on where the last one stopped. Each of sixteen lanes carries one input
// through its attempts and takes the next input when it is done. What does not end within some
// attempts, or meets anything unusual, is left to CrushWalk.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "crush_lanes.h"
#include "crush_walk.h"

namespace cloudlet::rados {

class FirstnLanes {
public:
    /// Nothing when the rule, the tunables or the map ask for the general walk.
    static std::optional<FirstnLanes> plan(const CrushLayout& layout, const CrushQuery& query,
                                           const CrushRule& rule, CrushWorkspace::State& work);

    /// Maps the inputs to `width()` items each. Gives the indexes that are left to the general
    /// walk.
    std::vector<uint32_t> run(std::span<const uint32_t> inputs, int32_t* items, size_t stride);
    uint32_t width() const { return wanted_; }

private:
    static constexpr uint32_t max_wanted = 8;
    static constexpr uint32_t max_attempts = 24;
    using Words = std::array<uint32_t, draw_lanes>;
    using Items = LaneDraws::Items;

    FirstnLanes(const CrushLayout& layout, const CrushQuery& query, CrushWorkspace::State& work,
                const WalkSettings& settings)
        : layout_(layout), query_(query), settings_(settings), draws_(layout, work) {}

    void attempt();
    void draw_hosts();
    void draw_devices();
    void judge();
    bool is_out(int32_t device, uint32_t x) const;
    bool load_next(size_t lane, std::span<const uint32_t> inputs);

    const CrushLayout& layout_;
    const CrushQuery& query_;
    const WalkSettings settings_;
    const LaneDraws draws_;
    const PreparedBucket* root_ = nullptr;
    int32_t type_ = 0;
    uint32_t wanted_ = 0;
    bool leaf_ = false;

    size_t next_ = 0; // input to be loaded
    alignas(64) Words x_ = {};
    alignas(64) Words r_ = {};
    alignas(64) Words input_ = {};
    alignas(64) Words placed_ = {};
    alignas(64) Items host_, device_; // of this attempt; crush_item_undef: something unusual
    alignas(64) Words refused_;
    alignas(64) std::array<Items, max_wanted> hosts_;
    alignas(64) std::array<Items, max_wanted> devices_;
};

} // namespace cloudlet::rados
