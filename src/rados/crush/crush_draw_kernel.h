// The straw2 kernels, compiled once for each instruction set: define CLOUDLET_DRAW_KERNELS and
// include. No function of the standard library may be used here: the linker could keep this
// instruction set's copy of it for everybody.

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "crush_draw.h"

namespace cloudlet::rados {

namespace {

typedef uint32_t Words __attribute__((vector_size(64)));
typedef double Doubles __attribute__((vector_size(64)));
typedef long long Longs __attribute__((vector_size(64)));
// The same in memory, where they are aligned like their elements and alias other views of the
// bytes.
typedef uint32_t WordsAt __attribute__((vector_size(64), aligned(4), may_alias));
typedef double DoublesAt __attribute__((vector_size(64), aligned(8), may_alias));
constexpr uint32_t half = draw_lanes / 2;

struct Logs {
    Doubles low, high;
};

// rjenkins1's hash of three words, sixteen times side by side.
#define CLOUDLET_MIX(a, b, c)                                                                      \
    a = (a - b - c) ^ (c >> 13);                                                                   \
    b = (b - c - a) ^ (a << 8);                                                                    \
    c = (c - a - b) ^ (b >> 13);                                                                   \
    a = (a - b - c) ^ (c >> 12);                                                                   \
    b = (b - c - a) ^ (a << 16);                                                                   \
    c = (c - a - b) ^ (b >> 5);                                                                    \
    a = (a - b - c) ^ (c >> 3);                                                                    \
    b = (b - c - a) ^ (a << 10);                                                                   \
    c = (c - a - b) ^ (b >> 15)

inline __attribute__((always_inline)) void hash16(const Words& x, const Words& id, const Words& r,
                                                  Words& result) {
    Words a = x, b = id, c = r;
    Words hash = 1315423911u ^ a ^ b ^ c;
    Words p = Words{} + 231232u, q = Words{} + 1232u;
    CLOUDLET_MIX(a, b, hash);
    CLOUDLET_MIX(c, p, hash);
    CLOUDLET_MIX(q, a, hash);
    CLOUDLET_MIX(b, p, hash);
    CLOUDLET_MIX(q, c, hash);
    result = hash & 0xffffu;
}
#undef CLOUDLET_MIX

inline __attribute__((always_inline)) void key16(Words& u) { u ^= (Words)(u >= 65534u) & 1u; }

inline __attribute__((always_inline)) void load_words(const uint32_t* from, const Words& index,
                                                      Words& to) {
#if defined(__AVX512F__)
    to = (Words)_mm512_i32gather_epi32((__m512i)index, from, 4);
#else
    for (uint32_t i = 0; i < draw_lanes; ++i) to[i] = from[index[i]];
#endif
}

inline __attribute__((always_inline)) void load_doubles(const double* from, const Words& index,
                                                        Logs& to) {
#if defined(__AVX512F__)
    __m512i all = (__m512i)index;
    to.low = (Doubles)_mm512_i32gather_pd(_mm512_castsi512_si256(all), from, 8);
    to.high = (Doubles)_mm512_i32gather_pd(_mm512_extracti64x4_epi64(all, 1), from, 8);
#else
    for (uint32_t i = 0; i < half; ++i) to.low[i] = from[index[i]];
    for (uint32_t i = 0; i < half; ++i) to.high[i] = from[index[half + i]];
#endif
}

inline __attribute__((always_inline)) void floor8(const Doubles& value, Doubles& result) {
#if defined(__AVX512F__)
    result =
        (Doubles)_mm512_roundscale_pd((__m512d)value, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#else
    // For 0 <= value < 2^52: rounds to an integer by losing all bits below one.
    constexpr double shift = 4503599627370496.0;
    Doubles nearest = (value + shift) - shift;
    result = nearest > value ? nearest - 1.0 : nearest;
#endif
}

// --- one input, items side by side ---

uint32_t one_by_key(const DrawInput& in, const Straw2View& view, const Words& x, const Words& r) {
    Words best = {};
    for (uint32_t i = 0; i < view.count; i += draw_lanes) {
        Words key;
        Words ids = *(const WordsAt*)(in.ids + view.first + i);
        hash16(x, ids, r, key);
        key16(key);
        *(WordsAt*)(in.keys + i) = key;
        best = key > best ? key : best;
    }
    uint32_t most = 0;
    for (uint32_t i = 0; i < draw_lanes; ++i) most = best[i] > most ? best[i] : most;
    uint32_t enough = in.first_equals[most];
    uint32_t i = 0;
    while (in.keys[i] < enough) ++i;
    return view.first + i;
}

uint32_t one_by_quotient(const DrawInput& in, const Straw2View& view, const Words& x,
                         const Words& r) {
    double* quotients = (double*)in.keys;
    Doubles best = Doubles{} + 1e300;
    for (uint32_t i = 0; i < view.count; i += draw_lanes) {
        Words u;
        Words ids = *(const WordsAt*)(in.ids + view.first + i);
        hash16(x, ids, r, u);
        Logs logs;
        load_doubles(in.logs, u, logs);
        const DoublesAt* inverses = (const DoublesAt*)(in.inverses + view.first + i);
        logs.low *= inverses[0];
        logs.high *= inverses[1];
        *(DoublesAt*)(quotients + i) = logs.low;
        *(DoublesAt*)(quotients + i + half) = logs.high;
        best = logs.low < best ? logs.low : best;
        best = logs.high < best ? logs.high : best;
    }
    double least = best[0];
    for (uint32_t i = 1; i < half; ++i) least = best[i] < least ? best[i] : least;
    // The first whose floor is the same wins.
    double above = (double)((long long)least + 1);
    uint32_t i = 0;
    while (quotients[i] >= above) ++i;
    return view.first + i;
}

uint32_t draw_one(const DrawInput& in, const Straw2View& view, uint32_t x, uint32_t r) {
    Words xs = Words{} + x, rs = Words{} + r;
    return view.by_key ? one_by_key(in, view, xs, rs) : one_by_quotient(in, view, xs, rs);
}

// --- sixteen inputs side by side ---

// The first entry whose key is as good as the best one, in each lane.
inline __attribute__((always_inline)) void first_of_best(const DrawInput& in, uint32_t count,
                                                         const Words& best, Words& winner) {
    Words enough;
    for (uint32_t i = 0; i < draw_lanes; ++i) enough[i] = in.first_equals[best[i]];
    winner = Words{};
    for (uint32_t i = count; i-- > 0;) {
        Words key = *(const WordsAt*)(in.keys + i * draw_lanes);
        winner = key >= enough ? Words{} + i : winner;
    }
}

struct Best {
    Doubles low, high; // floors of the best quotients
    Longs low_at = {}, high_at = {};
};

inline __attribute__((always_inline)) void keep_best(const Logs& quotients, uint32_t i,
                                                     Best& best) {
    Doubles low, high;
    floor8(quotients.low, low);
    floor8(quotients.high, high);
    best.low_at = low < best.low ? Longs{} + (long long)i : best.low_at;
    best.high_at = high < best.high ? Longs{} + (long long)i : best.high_at;
    best.low = low < best.low ? low : best.low;
    best.high = high < best.high ? high : best.high;
}

void draw_same(const DrawInput& in, const Straw2View& view, const uint32_t* x, const uint32_t* r,
               uint32_t* winner) {
    Words xs = *(const WordsAt*)x, rs = *(const WordsAt*)r;
    if (view.by_key) {
        Words best = {}, at;
        for (uint32_t i = 0; i < view.count; ++i) {
            Words key;
            hash16(xs, Words{} + in.ids[view.first + i], rs, key);
            key16(key);
            *(WordsAt*)(in.keys + i * draw_lanes) = key;
            best = key > best ? key : best;
        }
        first_of_best(in, view.count, best, at);
        *(WordsAt*)winner = at + view.first;
        return;
    }
    Best best = {Doubles{} + 1e300, Doubles{} + 1e300};
    for (uint32_t i = 0; i < view.count; ++i) {
        Words u;
        hash16(xs, Words{} + in.ids[view.first + i], rs, u);
        Logs logs;
        load_doubles(in.logs, u, logs);
        logs.low *= in.inverses[view.first + i];
        logs.high *= in.inverses[view.first + i];
        keep_best(logs, i, best);
    }
    for (uint32_t i = 0; i < half; ++i) winner[i] = view.first + (uint32_t)best.low_at[i];
    for (uint32_t i = 0; i < half; ++i) winner[half + i] = view.first + (uint32_t)best.high_at[i];
}

void draw_mixed(const DrawInput& in, MixedDraws& draws) {
    Words xs = *(const WordsAt*)draws.x, rs = *(const WordsAt*)draws.r;
    Words first = *(const WordsAt*)draws.first, last = *(const WordsAt*)draws.count - 1u;
    Words best_key = {}, at;
    Best best = {Doubles{} + 1e300, Doubles{} + 1e300};
    for (uint32_t i = 0; i < draws.largest; ++i) {
        // Past its end a lane draws its last entry again, which does not win anew.
        Words entry = first + (last < i ? last : Words{} + i), id, u;
        load_words(in.ids, entry, id);
        hash16(xs, id, rs, u);
        if (draws.by_key) {
            key16(u);
            *(WordsAt*)(in.keys + i * draw_lanes) = u;
            best_key = u > best_key ? u : best_key;
            continue;
        }
        Logs logs, inverses;
        load_doubles(in.logs, u, logs);
        load_doubles(in.inverses, entry, inverses);
        logs.low *= inverses.low;
        logs.high *= inverses.high;
        keep_best(logs, i, best);
    }
    if (draws.by_key) {
        first_of_best(in, draws.largest, best_key, at);
        *(WordsAt*)draws.winner = first + at;
        return;
    }
    for (uint32_t i = 0; i < half; ++i) {
        draws.winner[i] = draws.first[i] + (uint32_t)best.low_at[i];
        draws.winner[half + i] = draws.first[half + i] + (uint32_t)best.high_at[i];
    }
}

} // namespace

const DrawKernels CLOUDLET_DRAW_KERNELS = {CLOUDLET_DRAW_NAME, draw_one, draw_same, draw_mixed};

} // namespace cloudlet::rados
