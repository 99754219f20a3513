#include <algorithm>
#include <array>
#include <ctime>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tools/osd_map_text.h"

namespace cloudlet::rados {
namespace {

using Names = std::pair<uint64_t, const char*>;

constexpr std::array map_flags = {
    Names{map_pauserd, "pauserd"},
    Names{map_pausewr, "pausewr"},
    Names{map_pauserec, "pauserec"},
    Names{map_noup, "noup"},
    Names{map_nodown, "nodown"},
    Names{map_noout, "noout"},
    Names{map_noin, "noin"},
    Names{map_nobackfill, "nobackfill"},
    Names{map_norebalance, "norebalance"},
    Names{map_norecover, "norecover"},
    Names{map_noscrub, "noscrub"},
    Names{map_nodeep_scrub, "nodeep-scrub"},
    Names{map_notieragent, "notieragent"},
    Names{map_nosnaptrim, "nosnaptrim"},
    Names{map_sortbitwise, "sortbitwise"},
    Names{map_require_jewel, "require_jewel_osds"},
    Names{map_require_kraken, "require_kraken_osds"},
    Names{map_require_luminous, "require_luminous_osds"},
    Names{map_recovery_deletes, "recovery_deletes"},
    Names{map_purged_snapdirs, "purged_snapdirs"},
    Names{map_pglog_hardlimit, "pglog_hardlimit"},
};

constexpr std::array pool_flags = {
    Names{pool_hashpspool, "hashpspool"},
    Names{pool_full, "full"},
    Names{pool_ec_overwrites, "ec_overwrites"},
    Names{pool_incomplete_clones, "incomplete_clones"},
    Names{pool_nodelete, "nodelete"},
    Names{pool_nopgchange, "nopgchange"},
    Names{pool_nosizechange, "nosizechange"},
    Names{pool_write_fadvise_dontneed, "write_fadvise_dontneed"},
    Names{pool_noscrub, "noscrub"},
    Names{pool_nodeep_scrub, "nodeep-scrub"},
    Names{pool_full_quota, "full_quota"},
    Names{pool_nearfull, "nearfull"},
    Names{pool_backfillfull, "backfillfull"},
    Names{pool_selfmanaged_snaps, "selfmanaged_snaps"},
    Names{pool_pool_snaps, "pool_snaps"},
    Names{pool_creating, "creating"},
    Names{pool_bulk, "bulk"},
};

constexpr std::array osd_states = {
    Names{osd_exists, "exists"},
    Names{osd_up, "up"},
    Names{osd_autoout, "autoout"},
    Names{osd_new, "new"},
    Names{osd_full, "full"},
    Names{osd_nearfull, "nearfull"},
    Names{osd_backfillfull, "backfillfull"},
    Names{osd_destroyed, "destroyed"},
    Names{osd_noup, "noup"},
    Names{osd_nodown, "nodown"},
    Names{osd_noin, "noin"},
    Names{osd_noout, "noout"},
    Names{osd_stop, "stop"},
};

template <size_t N>
std::vector<std::string> names_of(uint64_t bits, const std::array<Names, N>& names) {
    std::vector<std::string> set;
    for (const auto& [bit, name] : names)
        if (bits & bit) set.emplace_back(name);
    return set;
}

constexpr std::array<std::string_view, 25> option_names = {"scrub_min_interval",
                                                           "scrub_max_interval",
                                                           "deep_scrub_interval",
                                                           "recovery_priority",
                                                           "recovery_op_priority",
                                                           "scrub_priority",
                                                           "compression_mode",
                                                           "compression_algorithm",
                                                           "compression_required_ratio",
                                                           "compression_max_blob_size",
                                                           "compression_min_blob_size",
                                                           "csum_type",
                                                           "csum_max_block",
                                                           "csum_min_block",
                                                           "fingerprint_algorithm",
                                                           "pg_num_min",
                                                           "target_size_bytes",
                                                           "target_size_ratio",
                                                           "pg_autoscale_bias",
                                                           "read_lease_interval",
                                                           "dedup_tier",
                                                           "dedup_chunk_algorithm",
                                                           "dedup_cdc_chunk_size",
                                                           "pg_num_max"};

} // namespace

std::string time_text(Timestamp time) {
    // Small values are spans, not moments.
    constexpr uint32_t ten_years = 10u * 365 * 24 * 60 * 60;
    if (time.seconds < ten_years)
        return fmt::format("{}.{:06}", time.seconds, time.nanoseconds / 1000);
    time_t seconds = time.seconds;
    tm parts{};
    localtime_r(&seconds, &parts);
    char day[32], zone[16];
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts);
    strftime(zone, sizeof zone, "%z", &parts);
    return fmt::format("{}.{:06}{}", day, time.nanoseconds / 1000, zone);
}

std::string map_flags_text(uint32_t flags) {
    return fmt::format("{}", fmt::join(names_of(flags, map_flags), ","));
}

std::string pool_flags_text(uint64_t flags) {
    std::vector<std::string> names;
    for (uint64_t bit = 1; bit; bit <<= 1) {
        if (!(flags & bit)) continue;
        auto name = names_of(bit, pool_flags);
        names.push_back(name.empty() ? "???" : name[0]);
    }
    return fmt::format("{}", fmt::join(names, ","));
}

std::vector<std::string> osd_state_names(uint32_t state) {
    auto names = names_of(state, osd_states);
    std::sort(names.begin(), names.end());
    return names;
}

std::string release_text(uint8_t release) {
    constexpr std::array<const char*, 18> names = {
        "unknown",  "argonaut", "bobtail",  "cuttlefish", "dumpling", "emperor",
        "firefly",  "giant",    "hammer",   "infernalis", "jewel",    "kraken",
        "luminous", "mimic",    "nautilus", "octopus",    "pacific",  "quincy"};
    return release < names.size() ? names[release] : "unknown";
}

std::string_view pool_option_name(int32_t key) {
    if (key < 0 || static_cast<size_t>(key) >= option_names.size()) return "";
    return option_names[static_cast<size_t>(key)];
}

std::map<std::string_view, int32_t> named_options(const PoolOptions& options) {
    std::map<std::string_view, int32_t> named;
    for (const auto& [key, value] : options.values)
        if (!pool_option_name(key).empty()) named[pool_option_name(key)] = key;
    return named;
}

std::string_view cache_mode_name(uint8_t mode) {
    constexpr std::array<std::string_view, 7> names = {
        "none", "writeback", "forward", "readonly", "readforward", "readproxy", "proxy"};
    return mode < names.size() ? names[mode] : "unknown";
}

std::string_view autoscale_mode_name(uint8_t mode) {
    constexpr std::array<std::string_view, 3> names = {"off", "warn", "on"};
    return mode < names.size() ? names[mode] : "???";
}

} // namespace cloudlet::rados
