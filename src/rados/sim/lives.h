#pragma once
// Lives to be told: small clusters to which one thing happens, so that somebody who reads can
// follow it line by line. docs/storage.md shows them, and a test holds it to that. One thread.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cloudlet::rados::sim {

/// Of a write, of a failure with and without a word, of a return, of a new disk.
std::vector<std::string_view> lives();
/// A line for each thing that happens, the time in seconds before it; nothing for an unknown life.
std::optional<std::string> tell_life(std::string_view life);

} // namespace cloudlet::rados::sim
