#pragma once
// The straw2 draw: who of a bucket's items wins for (x, r). It is where CRUSH spends its time.
//
// By definition each item draws ln(hash(x, id, r) & 0xffff) / weight, a division that truncates,
// and the largest draw wins, the first of equals. With a = 2^48 - crush_ln(u) > 0 that is the
// smallest floor(a / weight). Here a / weight is a * inverse in doubles, with inverse a little
// (2^-51 to 2^-49 of itself) above 1 / weight. The product then is never below a / weight and,
// because a < 2^48.1, above it by less than 1 / weight, which is the least that a fraction can miss
// the next integer by. So the floor of the product is the exact quotient.
//
// When all weights are equal and not above `equal_weight_limit`, the quotients order the items as
// keys made of u alone do, so that neither logarithm nor weight is needed: see crush_draw.cpp.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cloudlet::rados {

inline constexpr size_t draw_lanes = 16; // draws that share vector registers

/// The items of one draw: entries [first, first + count) of the tables.
struct Straw2View {
    uint32_t first = 0;
    uint32_t count = 0;
    uint32_t by_key = 0; // 1: equal weights
};

struct Straw2Entry {
    int32_t id;
    uint32_t weight; // not 0
};

struct Straw2Tables {
    std::vector<uint32_t> ids;
    std::vector<double> inverses;

    /// Appends a view; its last vector is filled up with copies of its first entry, which never
    /// win.
    Straw2View add(const std::vector<Straw2Entry>& entries);
};

/// What a kernel reads; pointers into Straw2Tables and the logarithm's tables.
struct DrawInput {
    const uint32_t* ids;
    const double* inverses;
    const double* logs;           // a by u
    const uint16_t* first_equals; // by key: the least key that draws the same
    uint32_t* keys;               // scratch, draw_scratch(largest count) words, 64-byte aligned
};

/// Sixteen draws, each with a view of its own.
struct MixedDraws {
    alignas(64) uint32_t x[draw_lanes];
    alignas(64) uint32_t r[draw_lanes];
    alignas(64) uint32_t first[draw_lanes];
    alignas(64) uint32_t count[draw_lanes];
    uint32_t by_key = 0; // 1: all views are
    uint32_t largest = 0;
    alignas(64) uint32_t winner[draw_lanes]; // entry in the tables
};

/// One set of kernels for each instruction set. All answer the winner's entry in the tables.
struct DrawKernels {
    const char* name;
    /// One input, the items side by side.
    uint32_t (*one)(const DrawInput& in, const Straw2View& view, uint32_t x, uint32_t r);
    /// Sixteen inputs at one bucket, the inputs side by side.
    void (*same)(const DrawInput& in, const Straw2View& view, const uint32_t* x, const uint32_t* r,
                 uint32_t* winner);
    /// Sixteen inputs at their own buckets.
    void (*mixed)(const DrawInput& in, MixedDraws& draws);
};

/// The kernels for this CPU.
const DrawKernels& draw_kernels();

/// `same` and `mixed` serve views of at most this many entries.
inline constexpr uint32_t draw_side_by_side_limit = 256;

/// Words of scratch that draws of `largest` entries need.
constexpr size_t draw_scratch(size_t largest) {
    size_t items = (largest + draw_lanes - 1) / draw_lanes * draw_lanes * 2;
    size_t side_by_side = size_t{draw_side_by_side_limit} * draw_lanes;
    return items > side_by_side ? items : side_by_side;
}

/// The tables of the logarithm, made at first use.
const double* draw_logs();
const uint16_t* draw_first_equals();

// Defined in crush_draw_avx512.cpp and its siblings, the same source compiled three times.
extern const DrawKernels draw_kernels_portable;
extern const DrawKernels draw_kernels_avx2;
extern const DrawKernels draw_kernels_avx512;

} // namespace cloudlet::rados
