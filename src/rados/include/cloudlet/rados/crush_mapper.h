#pragma once
// CRUSH itself: from an input x (a placement seed) and a rule to an ordered set of devices.
//
// A CrushMapper is an immutable copy of a map, laid out for speed: buckets flat in one array,
// weights as reciprocals, draws vectorised for the CPU it runs on. Results are bit for bit those of
// Ceph 16.2, with every tunable. Preparing costs about as much as a few hundred mappings, so make
// one for each epoch of a map and share it: it is thread-safe to read. Each thread brings its own
// CrushWorkspace.
//
//     auto mapper = CrushMapper::prepare(map);
//     CrushWorkspace work;
//     auto osds = mapper->map(work, {.rule = 0, .result_max = 3, .reweights = weights}, x);

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/crush_map.h"

namespace cloudlet::rados {

struct CrushLayout; // the prepared map; private

/// What stays the same from one input to the next.
struct CrushQuery {
    int32_t rule = 0;
    int32_t result_max = 0; // numrep: how many devices the pool wants; at most crush_max_result
    /// 16.16 by device: 0x10000 is in, 0 is out, between is in with that probability. A device
    /// above the end of the span is out.
    std::span<const uint32_t> reweights;
    /// Pool whose choose_args apply (else the default set, else none). crushtool --test asks for 0.
    int64_t choose_args = crush_default_choose_args;
};

inline constexpr int32_t crush_max_result = 4096;

/// Scratch memory of one thread, and the statistics of its walks. Grows to what the largest map
/// needs, then allocates nothing. Not thread-safe; may serve several mappers in turn.
class CrushWorkspace {
public:
    CrushWorkspace();
    ~CrushWorkspace();
    CrushWorkspace(CrushWorkspace&&) noexcept;
    CrushWorkspace& operator=(CrushWorkspace&&) noexcept;

    /// Counts, from now on, how many placements took n retries (`--show-choose-tries`).
    void count_tries();
    /// tries()[n]: placements that took n retries; empty unless counted. Its size is the map's
    /// choose_total_tries + 1, larger counts are left out (a rule may set more tries).
    std::span<const uint64_t> tries() const;

    struct State;
    State& state() { return *state_; }

private:
    std::unique_ptr<State> state_;
};

/// Results of many inputs: `width` slots for each, of which size(i) are filled.
class CrushResults {
public:
    /// The devices of the i-th input, in order; holes of an indep rule are crush_item_none.
    std::span<const int32_t> operator[](size_t i) const {
        return {items_.data() + i * width_, sizes_[i]};
    }
    size_t count() const { return sizes_.size(); }
    void resize(size_t count, size_t width);

private:
    friend class CrushMapper;
    std::vector<int32_t> items_;
    std::vector<uint16_t> sizes_;
    size_t width_ = 0;
};

class CrushMapper {
public:
    /// Checks the map as check_crush_map() does and lays it out. The map may go away afterwards.
    static Result<CrushMapper> prepare(const CrushMap& map);

    /// Places one input. The span points into the workspace and is valid until its next use. A rule
    /// that does not exist gives nothing. result_max is clamped to [0, crush_max_result].
    std::span<const int32_t> map(CrushWorkspace& work, const CrushQuery& query, uint32_t x) const;

    /// Places many inputs, several times faster than one by one: their draws share vector
    /// registers. The statistics of the workspace count as for map().
    void map_many(CrushWorkspace& work, const CrushQuery& query, std::span<const uint32_t> inputs,
                  CrushResults& results) const;

    /// "avx512", "avx2" or "portable": what the draws run on. CLOUDLET_CRUSH_ISA overrides, for
    /// tests.
    static const char* instruction_set();

private:
    explicit CrushMapper(std::shared_ptr<const CrushLayout> layout) : layout_(std::move(layout)) {}
    std::shared_ptr<const CrushLayout> layout_;
};

} // namespace cloudlet::rados
