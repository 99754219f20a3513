#pragma once
// What a CrushWorkspace holds between mappings.

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "cloudlet/rados/crush_mapper.h"
#include "crush_layout.h"

namespace cloudlet::rados {

/// Where a draw would stand in a memo: levels below the start of its step, and a number that keeps
/// the starts of one step apart. Only a hint; the entry itself says what it holds.
struct MemoKey {
    uint32_t depth = 0;
    uint32_t salt = 0;
    MemoKey below() const { return {depth + 1, salt}; }
};

/// Draws of one input that were made ahead of its walk. Each entry names the draw, so a stale or
/// missing one costs time and nothing else.
class alignas(64) DrawMemo {
public:
    const int32_t* find(const MemoKey& key, int32_t bucket, uint32_t x, uint32_t r) const {
        const Entry& entry = entries_[index(key, r)];
        bool found = entry.bucket == bucket && entry.x == x && entry.r == r;
        return found ? &entry.item : nullptr;
    }
    void put(const MemoKey& key, int32_t bucket, uint32_t x, uint32_t r, int32_t item) {
        entries_[index(key, r)] = {bucket, x, r, item};
    }
    void clear() { entries_.fill({}); }
    static constexpr uint32_t depths = 8, attempts = 16; // more are not kept

private:
    struct Entry {
        int32_t bucket = 0; // no bucket has id 0
        uint32_t x = 0;
        uint32_t r = 0;
        int32_t item = 0;
    };
    static size_t index(const MemoKey& key, uint32_t r) {
        return (key.depth % depths) * attempts + (r + key.salt) % attempts;
    }
    // One cache line more than needed: memos lie side by side and are read in turn, and with an
    // even number of lines their equal entries would push each other out.
    std::array<Entry, depths * attempts + 4> entries_;
};

/// The permutation of one bucket's items for one x, as far as it was needed.
struct Permutation {
    uint32_t x = 0;
    uint32_t known = 0; // elements that are final
    std::vector<uint32_t> order;
};

struct CrushWorkspace::State {
    uint64_t layout = 0; // serial of the layout that the caches below belong to
    std::vector<int32_t> front, chosen, leaves, result;
    std::vector<Permutation> permutations; // by slot, filled when first used
    std::vector<uint64_t> tries;
    bool counts_tries = false;

    struct Aligned {
        void operator()(uint32_t* words) const { ::operator delete[](words, std::align_val_t(64)); }
    };
    std::unique_ptr<uint32_t[], Aligned> keys; // scratch of the draws
    size_t keys_size = 0;
    std::vector<DrawMemo> memos; // one for each lane of map_many()
    // Attempts beyond the wanted ones that are worth drawing ahead, learnt from how many walks miss
    // one at the start of a step.
    uint32_t ahead = 0;
    uint32_t misses = 0, walks = 0;
    void learn();

    /// Makes room for a layout and a result size.
    void fit(const CrushLayout& layout, size_t result_max);
    DrawInput draw_input(const CrushLayout& map) const {
        return {map.draws.ids.data(), map.draws.inverses.data(), draw_logs(), draw_first_equals(),
                keys.get()};
    }
};

} // namespace cloudlet::rados
