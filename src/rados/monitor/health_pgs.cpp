#include "monitor/health_pgs.h"

#include <fmt/format.h>

namespace cloudlet::rados {
namespace {

struct Objects {
    uint64_t all = 0, copies = 0;
    uint64_t degraded = 0, misplaced = 0, unfound = 0, scrub_errors = 0;
};

/// "21/63 objects degraded (33.333%)".
std::string share(uint64_t part, uint64_t whole, std::string_view what) {
    double percent = whole ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0.0;
    return fmt::format("{}/{} objects {} ({:.3f}%)", part, whole, what, percent);
}

/// How many PGs there are of each kind: "2 pgs inactive, 1 pg stale".
class Kinds {
public:
    void add(const char* kind) { ++counts_[kind]; }
    bool empty() const { return counts_.empty(); }
    std::string to_string() const {
        std::string text;
        for (const auto& [kind, count] : counts_)
            text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", count,
                                count == 1 ? "pg" : "pgs", kind);
        return text;
    }

private:
    std::map<std::string, size_t> counts_;
};

/// Peering takes a moment whenever a set changes: only what stays in it is a fault.
bool is_passing(const PgState& state, Duration inactive, Duration patience) {
    bool on_the_way =
        state.has(PgFlag::peering) || state.has(PgFlag::activating) || state.has(PgFlag::creating);
    return on_the_way && inactive < patience;
}

class PgExam {
public:
    PgExam(const MapEpoch& now, const InactiveTimes& inactive, Duration patience)
        : now_(now), inactive_(inactive), patience_(patience) {}

    void look_at(PgId pg, const PgReport& report) {
        count(pg, report);
        look_at_availability(pg, report);
        look_for(pg, report, damaged_, damaged_details_,
                 {{PgFlag::inconsistent, "inconsistent"},
                  {PgFlag::recovery_unfound, "recovery_unfound"},
                  {PgFlag::backfill_unfound, "backfill_unfound"},
                  {PgFlag::failed_repair, "failed_repair"}});
        look_for(pg, report, degraded_, degraded_details_,
                 {{PgFlag::degraded, "degraded"}, {PgFlag::undersized, "undersized"}});
        look_for(pg, report, recovery_full_, recovery_full_details_,
                 {{PgFlag::recovery_toofull, "recovery_toofull"}});
        look_for(pg, report, backfill_full_, backfill_full_details_,
                 {{PgFlag::backfill_toofull, "backfill_toofull"}});
        if (report.unfound)
            unfound_details_.push_back(
                fmt::format("pg {} has {} unfound objects", pg.to_string(), report.unfound));
    }

    std::vector<HealthCheck> checks() && {
        std::vector<HealthCheck> checks;
        using enum HealthSeverity;
        if (!unavailable_.empty())
            checks.push_back({"PG_AVAILABILITY", warn,
                              "Reduced data availability: " + unavailable_.to_string(),
                              "start the OSDs that the placement groups wait for; an OSD whose "
                              "data is gone for good has to be declared lost",
                              std::move(unavailable_details_)});
        if (objects_.scrub_errors)
            checks.push_back({"OSD_SCRUB_ERRORS",
                              err,
                              fmt::format("{} scrub errors", objects_.scrub_errors),
                              "repair the placement groups that PG_DAMAGED lists",
                              {}});
        if (!damaged_.empty())
            checks.push_back({"PG_DAMAGED", err, "Possible data damage: " + damaged_.to_string(),
                              "repair the inconsistent ones; where it comes back, replace the disk",
                              std::move(damaged_details_)});
        if (objects_.unfound)
            checks.push_back({"OBJECT_UNFOUND", warn,
                              share(objects_.unfound, objects_.all, "unfound"),
                              "start the OSDs that have been down: one of them may hold the newest "
                              "version",
                              std::move(unfound_details_)});
        if (objects_.degraded || !degraded_.empty()) checks.push_back(degraded());
        if (!recovery_full_.empty())
            checks.push_back({"PG_RECOVERY_FULL", err,
                              "Full OSDs blocking recovery: " + recovery_full_.to_string(),
                              "delete something, or add OSDs: copies are missing until the full "
                              "ones have room",
                              std::move(recovery_full_details_)});
        if (!backfill_full_.empty())
            checks.push_back({"PG_BACKFILL_FULL", warn,
                              "Low space hindering backfill: " + backfill_full_.to_string(),
                              "add OSDs, or lower the weight of the full ones, if it does not pass "
                              "when they have given away what is to leave them",
                              std::move(backfill_full_details_)});
        if (objects_.misplaced)
            checks.push_back({"OBJECT_MISPLACED",
                              warn,
                              share(objects_.misplaced, objects_.copies, "misplaced"),
                              "nothing has to be done: backfill moves them to their places",
                              {}});
        return checks;
    }

private:
    struct Named {
        PgFlag flag;
        const char* name;
    };

    HealthCheck degraded() {
        std::string text = objects_.degraded ? share(objects_.degraded, objects_.copies, "degraded")
                                             : std::string();
        if (!text.empty() && !degraded_.empty()) text += ", ";
        return {"PG_DEGRADED", HealthSeverity::warn,
                "Degraded data redundancy: " + text + degraded_.to_string(),
                "start the OSDs that are down, or mark them out and let recovery make new copies",
                std::move(degraded_details_)};
    }

    void count(PgId pg, const PgReport& report) {
        const Pool* pool = now_.map().pool(pg.pool);
        objects_.all += report.objects;
        objects_.copies += report.objects * (pool ? pool->size : 0);
        objects_.degraded += report.degraded;
        objects_.misplaced += report.misplaced;
        objects_.unfound += report.unfound;
        objects_.scrub_errors += report.scrub_errors;
    }

    void look_at_availability(PgId pg, const PgReport& report) {
        const PgState& state = report.state;
        auto known = inactive_.find(pg);
        Duration since = known == inactive_.end() ? Duration{} : known->second;
        bool inactive = !state.has(PgFlag::active) && !is_passing(state, since, patience_);
        if (inactive) unavailable_.add("inactive");
        if (inactive && state.has(PgFlag::peering)) unavailable_.add("peering");
        if (state.has(PgFlag::down)) unavailable_.add("down");
        if (state.has(PgFlag::incomplete)) unavailable_.add("incomplete");
        if (state.has(PgFlag::stale)) unavailable_.add("stale");
        if (inactive)
            unavailable_details_.push_back(fmt::format(
                "pg {} is stuck inactive for {}, current state {}, last acting {}", pg.to_string(),
                format_age(since), state.to_string(), osds_to_string(report.acting)));
        else if (state.has(PgFlag::down) || state.has(PgFlag::incomplete) ||
                 state.has(PgFlag::stale))
            unavailable_details_.push_back(sentence(pg, report));
    }

    static std::string sentence(PgId pg, const PgReport& report) {
        return fmt::format("pg {} is {}, acting {}", pg.to_string(), report.state.to_string(),
                           osds_to_string(report.acting));
    }

    static void look_for(PgId pg, const PgReport& report, Kinds& kinds,
                         std::vector<std::string>& details, std::initializer_list<Named> flags) {
        bool found = false;
        for (const Named& named : flags) {
            if (!report.state.has(named.flag)) continue;
            kinds.add(named.name);
            found = true;
        }
        if (found) details.push_back(sentence(pg, report));
    }

    const MapEpoch& now_;
    const InactiveTimes& inactive_;
    Duration patience_;
    Objects objects_;
    Kinds unavailable_, damaged_, degraded_, recovery_full_, backfill_full_;
    std::vector<std::string> unavailable_details_, damaged_details_, degraded_details_,
        recovery_full_details_, backfill_full_details_, unfound_details_;
};

} // namespace

std::vector<HealthCheck> check_pgs(const MapEpoch& now, const std::map<PgId, PgReport>& reports,
                                   const InactiveTimes& inactive, Duration patience) {
    PgExam exam(now, inactive, patience);
    for (const auto& [id, pool] : now.map().pools) {
        for (uint32_t seed = 0; seed < pool.pg_num; ++seed) {
            auto found = reports.find({id, seed});
            exam.look_at({id, seed}, found == reports.end() ? PgReport{} : found->second);
        }
    }
    return std::move(exam).checks();
}

} // namespace cloudlet::rados
