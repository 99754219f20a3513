#pragma once
// Aligned columns for a terminal, as docker and kubectl print them.

#include <cstdint>
#include <string>
#include <vector>

namespace cloudlet::app {

/// The first row is the head. Columns are three spaces apart; no trailing blanks.
std::string format_table(const std::vector<std::vector<std::string>>& rows);

/// "1.2 MB": powers of 1000, three digits at most.
std::string format_size(int64_t bytes);

} // namespace cloudlet::app
