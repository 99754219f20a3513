#include "cloudlet/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace cloudlet {

void check(bool condition, const char* message, std::source_location where) {
    if (condition) [[likely]]
        return;
    std::fprintf(stderr, "cloudlet: invariant broken: %s (%s:%u)\n", message, where.file_name(),
                 static_cast<unsigned>(where.line()));
    std::abort();
}

} // namespace cloudlet
