#pragma once
// Randomness as an input: pure cores take a Random&, so one seed reproduces a run.

#include <cstddef>
#include <cstdint>
#include <string>

namespace cloudlet {

/// A small fast generator (xoshiro256**, Blackman and Vigna 2018). Not for secrets; not
/// thread-safe.
class Random {
public:
    explicit Random(uint64_t seed);
    uint64_t next();
    /// Uniform in [0, bound); bound must be > 0.
    uint64_t below(uint64_t bound);
    /// True with the given probability in [0, 1].
    bool chance(double probability);

private:
    uint64_t state_[4];
};

/// `count` bytes from the kernel, fit for keys and tokens. Thread-safe; never fails.
std::string secure_random_bytes(size_t count);

} // namespace cloudlet
