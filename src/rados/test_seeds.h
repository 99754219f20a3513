#pragma once
// For tests that live random lives: where to begin, and how many.

#include <cstdint>
#include <cstdlib>
#include <random>

namespace cloudlet::rados {

/// CLOUDLET_SEED of the environment, which repeats a failure, else a fresh one.
inline uint64_t first_seed() {
    if (const char* given = std::getenv("CLOUDLET_SEED")) return std::strtoull(given, nullptr, 10);
    return std::random_device{}();
}

/// CLOUDLET_SEEDS of the environment, else `fallback`: how much a test of random seeds does.
inline uint64_t seeds_to_run(uint64_t fallback) {
    const char* wanted = std::getenv("CLOUDLET_SEEDS");
    return wanted ? std::strtoull(wanted, nullptr, 10) : fallback;
}

} // namespace cloudlet::rados
