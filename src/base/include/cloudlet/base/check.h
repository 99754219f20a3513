#pragma once
// Invariants: conditions that only a bug of ours can break. They stay on in release builds, end the
// process with a line that names the place, and are never reached by input.

#include <source_location>

namespace cloudlet {

/// Ends the process (abort) with the message on stderr when `condition` is false.
void check(bool condition, const char* message,
           std::source_location where = std::source_location::current());

} // namespace cloudlet
