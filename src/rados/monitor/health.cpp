#include "cloudlet/rados/health.h"

#include <algorithm>

#include <fmt/format.h>

#include "monitor/health_pgs.h"
#include "tools/osd_map_text.h"

namespace cloudlet::rados {
namespace {

using enum HealthSeverity;

constexpr uint32_t warned_flags = map_pauserd | map_pausewr | map_pauserec | map_noup | map_nodown |
                                  map_noout | map_noin | map_nobackfill | map_norebalance |
                                  map_norecover | map_noscrub | map_nodeep_scrub | map_notieragent |
                                  map_nosnaptrim;
constexpr uint32_t osd_flags = osd_noup | osd_nodown | osd_noin | osd_noout;

/// "root=default,host=a": where an item stands, from the top.
std::string place_of(const CrushMap& crush, int32_t item) {
    std::string text;
    for (const auto& [type, name] : crush.location_of(item)) // from the bottom
        text = fmt::format("{}={}{}{}", type, name, text.empty() ? "" : ",", text);
    return text;
}

bool is_down_and_in(const OsdMap& map, int32_t osd) {
    return map.exists(osd) && !map.is_up(osd) && !map.is_out(osd);
}

struct DownHosts {
    size_t osds = 0;
    std::vector<std::string> details = {};
};

/// Hosts that should serve, and on which nothing is up.
DownHosts down_hosts(const OsdMap& map) {
    DownHosts hosts;
    auto host_type = map.crush->type_of("host");
    for (const auto& bucket : map.crush->buckets) {
        if (!bucket || !host_type || bucket->type != *host_type || map.crush->is_shadow(bucket->id))
            continue;
        auto osds = map.crush->devices_below(bucket->id);
        std::erase_if(osds, [&](int32_t osd) { return !map.exists(osd) || map.is_out(osd); });
        bool dead =
            std::none_of(osds.begin(), osds.end(), [&](int32_t osd) { return map.is_up(osd); });
        if (osds.empty() || !dead) continue;
        hosts.osds += osds.size();
        hosts.details.push_back(fmt::format("host {} ({}) ({} osds) is down",
                                            map.crush->item_name(bucket->id),
                                            place_of(*map.crush, bucket->id), osds.size()));
    }
    return hosts;
}

void check_who_is_down(const OsdMap& map, std::vector<HealthCheck>& checks) {
    std::vector<std::string> osds;
    for (int32_t osd = 0; osd < map.max_osd(); ++osd)
        if (is_down_and_in(map, osd))
            osds.push_back(fmt::format("osd.{} ({}) is down", osd, place_of(*map.crush, osd)));
    if (osds.empty()) return;
    auto hosts = down_hosts(map);
    if (size_t count = hosts.details.size())
        checks.push_back(
            {"OSD_HOST_DOWN", warn,
             fmt::format("{} {} ({} osds) down", count, count == 1 ? "host" : "hosts", hosts.osds),
             "look after the host: its power, its network", std::move(hosts.details)});
    checks.push_back({"OSD_DOWN", warn, fmt::format("{} osds down", osds.size()),
                      "start them, or find out why they do not; after a while they are marked out "
                      "and their data is copied elsewhere",
                      std::move(osds)});
}

void check_flags(const OsdMap& map, std::vector<HealthCheck>& checks) {
    std::string flags = map_flags_text(map.flags & warned_flags);
    if (!flags.empty())
        checks.push_back({"OSDMAP_FLAGS",
                          warn,
                          flags + " flag(s) set",
                          "unset them once the work that they were set for is done",
                          {}});
    std::vector<std::string> details;
    auto add = [&](std::string_view what, const std::string& name, uint32_t state) {
        auto names = osd_state_names(state & osd_flags);
        if (names.empty()) return;
        details.push_back(fmt::format("{}{} has flags {}", what, name, fmt::join(names, ",")));
    };
    for (int32_t osd = 0; osd < map.max_osd(); ++osd)
        if (map.exists(osd))
            add("", fmt::format("osd.{}", osd), map.osd_state[static_cast<size_t>(osd)]);
    for (const auto& [node, state] : map.crush_node_flags)
        add("CRUSH node ", map.crush->item_name(node), state);
    if (details.empty()) return;
    std::string summary = fmt::format(
        "{} OSDs or CRUSH {{nodes, device-classes}} have {{NOUP,NODOWN,NOIN,NOOUT}} flags set",
        details.size());
    checks.push_back({"OSD_FLAGS", warn, std::move(summary),
                      "unset them once the work that they were set for is done",
                      std::move(details)});
}

/// A disk counts once, by the worst that is true of it.
void check_space(const OsdMap& map, const OsdSpaces& spaces, std::vector<HealthCheck>& checks) {
    struct Level {
        uint32_t state;
        const char* code;
        HealthSeverity severity;
        const char *summary, *detail, *remedy;
    };
    constexpr Level levels[] = {
        {osd_full, "OSD_FULL", err, "full", "full",
         "writes are refused: delete something, or add OSDs"},
        {osd_backfillfull, "OSD_BACKFILLFULL", warn, "backfillfull", "backfill full",
         "nothing is moved to it: add OSDs, or lower its weight"},
        {osd_nearfull, "OSD_NEARFULL", warn, "nearfull", "near full",
         "add OSDs, or lower its weight, before it is full"},
    };
    std::map<const Level*, std::vector<std::string>> found;
    for (int32_t osd = 0; osd < map.max_osd(); ++osd) {
        if (!map.is_up(osd) || map.is_out(osd)) continue;
        uint32_t state = map.osd_state[static_cast<size_t>(osd)];
        auto level = std::find_if(std::begin(levels), std::end(levels),
                                  [&](const Level& it) { return state & it.state; });
        if (level == std::end(levels)) continue;
        std::string text = fmt::format("osd.{} is {}", osd, level->detail);
        auto space = spaces.find(osd);
        if (space != spaces.end() && space->second.capacity)
            text += fmt::format(" at {:.0f}%", 100.0 * static_cast<double>(space->second.used) /
                                                   static_cast<double>(space->second.capacity));
        found[level].push_back(std::move(text));
    }
    for (auto& [level, details] : found)
        checks.push_back({level->code, level->severity,
                          fmt::format("{} {} osd(s)", details.size(), level->summary),
                          level->remedy, std::move(details)});
}

void check_pools(const OsdMap& map, std::vector<HealthCheck>& checks) {
    std::vector<std::string> details;
    int32_t exist = 0;
    for (int32_t osd = 0; osd < map.max_osd(); ++osd) exist += map.exists(osd);
    int32_t size = map.pools.empty() ? Pool{}.size : 0;
    for (const auto& [id, pool] : map.pools) {
        size = std::max<int32_t>(size, pool.size);
        bool quota = pool.flags & pool_full_quota;
        if (quota || (pool.flags & pool_full))
            details.push_back(fmt::format("pool '{}' is full ({})", map.pool_name(id),
                                          quota ? "running out of quota" : "no space"));
    }
    if (exist < size)
        checks.push_back({"TOO_FEW_OSDS",
                          warn,
                          fmt::format("OSD count {} < osd_pool_default_size {}", exist, size),
                          "add OSDs, or make the pools' size smaller",
                          {}});
    if (!details.empty())
        checks.push_back({"POOL_FULL", warn, fmt::format("{} pool(s) full", details.size()),
                          "delete something, or raise the quota", std::move(details)});
}

} // namespace

FullRatios full_ratios(const OsdMap& map) {
    FullRatios ratios;
    if (map.nearfull_ratio > 0) ratios.nearfull = static_cast<double>(map.nearfull_ratio);
    if (map.backfillfull_ratio > 0)
        ratios.backfillfull = static_cast<double>(map.backfillfull_ratio);
    if (map.full_ratio > 0) ratios.full = static_cast<double>(map.full_ratio);
    return ratios;
}

std::vector<HealthCheck> check_health(const MapEpoch& now, const std::map<PgId, PgReport>& reports,
                                      const OsdSpaces& spaces, const InactiveTimes& inactive,
                                      Duration patience, const ScrubTimes& scrubs) {
    std::vector<HealthCheck> checks;
    check_who_is_down(now.map(), checks);
    check_flags(now.map(), checks);
    check_space(now.map(), spaces, checks);
    check_pools(now.map(), checks);
    auto pgs = check_pgs(now, reports, inactive, patience);
    std::move(pgs.begin(), pgs.end(), std::back_inserter(checks));
    check_scrubs(now.map(), reports, scrubs, checks);
    return checks;
}

std::string_view health_status(const std::vector<HealthCheck>& checks) {
    if (checks.empty()) return "HEALTH_OK";
    bool bad = std::any_of(checks.begin(), checks.end(),
                           [](const HealthCheck& check) { return check.severity == err; });
    return bad ? "HEALTH_ERR" : "HEALTH_WARN";
}

} // namespace cloudlet::rados
