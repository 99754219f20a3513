#pragma once
// The command line of osdmaptool, read but not yet carried out. '_' and '-' in an option's name are
// the same, and "--option=value" is "--option value".

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/osd_map.h"
#include "cloudlet/rados/upmap.h"

namespace cloudlet::rados {

struct OsdmaptoolOptions {
    bool help = false;
    std::vector<std::string> files; // one is wanted
    std::optional<int32_t> create_simple;
    bool with_default_pool = false, clobber = false;
    uint32_t pg_bits = 6, pgp_bits = 6;

    bool mark_up_in = false;
    std::optional<int32_t> mark_out, mark_up, mark_in;
    std::vector<std::pair<int32_t, float>> crush_weights; // --adjust-crush-weight
    bool clear_temp = false, clean_temps = false;

    std::string import_crush, export_crush; // files
    bool print = false, health = false;
    std::optional<std::string> dump, tree; // format; "" and "plain" are text

    std::optional<std::string> object; // --test-map-object
    std::optional<PgId> pg;            // --test-map-pg
    std::string pg_text;               // as it was written
    bool test_pgs = false, test_pgs_dump = false, test_pgs_dump_all = false;
    std::optional<PoolId> pool;
    std::optional<uint32_t> pg_num;
    int32_t range_first = -1, range_last = -1; // both given: only read the maps FILE/first to last

    std::optional<std::string> upmap, upmap_cleanup; // file, "-" is the output
    BalanceOptions balance;
    std::set<std::string> upmap_pools;
    bool upmap_active = false, save = false;
};

/// Error: Code::invalid with a message for the error stream.
Result<OsdmaptoolOptions> parse_osdmaptool(std::span<const std::string> arguments);

std::string osdmaptool_help();

} // namespace cloudlet::rados
