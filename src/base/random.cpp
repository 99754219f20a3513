#include "cloudlet/base/random.h"

#include <bit>
#include <cerrno>
#include <sys/random.h>

#include "cloudlet/base/check.h"

namespace cloudlet {

Random::Random(uint64_t seed) {
    for (auto& word : state_) { // splitmix64 spreads a small seed over the whole state
        seed += 0x9e3779b97f4a7c15ULL;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        word = z ^ (z >> 31);
    }
}

uint64_t Random::next() {
    uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
}

uint64_t Random::below(uint64_t bound) {
    check(bound > 0, "Random::below needs a positive bound");
    uint64_t limit = bound * (~uint64_t{0} / bound); // reject the uneven tail
    uint64_t value = next();
    while (value >= limit) value = next();
    return value % bound;
}

bool Random::chance(double probability) {
    return static_cast<double>(next() >> 11) * 0x1.0p-53 < probability;
}

std::string secure_random_bytes(size_t count) {
    std::string bytes(count, '\0');
    size_t have = 0;
    while (have < count) {
        ssize_t got = getrandom(bytes.data() + have, count - have, 0);
        if (got < 0 && errno == EINTR) continue;
        check(got > 0, "getrandom failed");
        have += static_cast<size_t>(got);
    }
    return bytes;
}

} // namespace cloudlet
