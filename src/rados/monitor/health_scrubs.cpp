// Whether placement groups are scrubbed in time.

#include <fmt/format.h>

#include "monitor/health_pgs.h"

namespace cloudlet::rados {
namespace {

constexpr double late_by = 0.5, deep_late_by = 0.75; // of the interval

struct Late {
    WallTime now;
    Duration patience;
    const char* what;
    std::vector<std::string> details = {};

    Late(WallTime its_now, Duration interval, double ratio, const char* its_name)
        : now(its_now), patience(interval + Duration(static_cast<Duration::rep>(
                                                static_cast<double>(interval.count()) * ratio))),
          what(its_name) {}
    void look_at(PgId pg, WallTime stamp) {
        const bool is_late = stamp <= now && stamp + patience < now;
        if (is_late)
            details.push_back(
                fmt::format("pg {} not {} since {}", pg.to_string(), what, format_time(stamp)));
    }
    void add_to(std::vector<HealthCheck>& checks, const char* code, const char* flag) && {
        if (details.empty()) return;
        std::string summary = fmt::format("{} pgs not {} in time", details.size(), what);
        std::string remedy = fmt::format(
            "unset {} if it is set, and let recovery end, which scrubs wait for; if it comes back, "
            "allow more scrubs at once or longer intervals",
            flag);
        checks.push_back({code, HealthSeverity::warn, std::move(summary), std::move(remedy),
                          std::move(details)});
    }
};

} // namespace

void check_scrubs(const OsdMap& map, const std::map<PgId, PgReport>& reports,
                  const ScrubTimes& scrubs, std::vector<HealthCheck>& checks) {
    Late shallow(scrubs.now, scrubs.intervals.most, late_by, "scrubbed");
    Late deep(scrubs.now, scrubs.intervals.deep, deep_late_by, "deep-scrubbed");
    for (const auto& [pg, report] : reports) {
        const Pool* pool = map.pool(pg.pool);
        if (!pool || pg.seed >= pool->pg_num) continue;
        shallow.look_at(pg, report.history.last_scrub_stamp);
        deep.look_at(pg, report.history.last_deep_scrub_stamp);
    }
    std::move(shallow).add_to(checks, "PG_NOT_SCRUBBED", "noscrub");
    std::move(deep).add_to(checks, "PG_NOT_DEEP_SCRUBBED", "nodeep-scrub");
}

} // namespace cloudlet::rados
