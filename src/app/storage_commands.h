#pragma once
// `cloudlet storage ...`: what can be asked of a storage map without a cluster.

#include <string>
#include <vector>

#include "cloudlet/base/result.h"

namespace cloudlet::app {

struct StoragePlanOptions {
    std::string map;                     // path of an OSD map
    std::vector<std::string> changes;    // words
    std::vector<std::string> pool_bytes; // NAME=SIZE
    std::string pg_bytes;
    std::string output = "table"; // json, table, svg
    std::string svg;              // file that gets the picture, too
    bool mark_up_in = false;      // take every OSD as up and in, as osdmaptool's option does
};

/// Prints what the changes would move. The map is only read.
Result<> storage_plan(const StoragePlanOptions& options);

/// What stands below the help of `storage plan`.
std::string storage_plan_help();

} // namespace cloudlet::app
