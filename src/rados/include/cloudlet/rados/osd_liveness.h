#pragma once
// Who is alive, as a monitor decides it: reports of silent OSDs become "down", time makes of "down"
// "out", and an OSD that is marked down again and again gives up.
//
// An OSD that hears nothing from a peer reports it. One reporter convinces nobody: reports count
// once for each failure domain (host), because a host with a broken network sees everybody else
// dead. On a cluster of one host each OSD is its own domain. A peer that answers again is cleared
// by withdrawing the report. The result is always the step to the next map, never a change in
// place. That nobody listens at an OSD's address, though its host answers, is no matter of opinion:
// one reporter is enough for that, and no grace (Ceph: osd_fast_fail_on_connection_refused). Rules
// and defaults are those of Ceph's "Configuring Monitor/OSD Interaction"; times are monotonic, so a
// jump of the wall clock moves nothing. Pure; one thread.

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "cloudlet/base/clock.h"
#include "cloudlet/rados/osd_map.h"

namespace cloudlet::rados {

/// The comment of each is the name of Ceph's option.
struct LivenessOptions {
    Duration grace = std::chrono::seconds(20);              // osd_heartbeat_grace
    Duration laggy_halflife = std::chrono::hours(1);        // mon_osd_laggy_halflife
    size_t min_reporters = 2;                               // mon_osd_min_down_reporters
    std::string reporter_level = "host";                    // mon_osd_reporter_subtree_level
    Duration beacon_timeout = std::chrono::seconds(900);    // mon_osd_report_timeout
    Duration down_out_interval = std::chrono::seconds(600); // mon_osd_down_out_interval
    std::string down_out_limit = "rack";                    // mon_osd_down_out_subtree_limit
    double min_up_ratio = 0.3;                              // mon_osd_min_up_ratio
    double min_in_ratio = 0.75;                             // mon_osd_min_in_ratio
};

/// What one monitor heard about the OSDs. It starts empty with every leader: nobody is judged by
/// times before that.
class OsdLiveness {
public:
    explicit OsdLiveness(LivenessOptions options = {}) : options_(std::move(options)) {}

    /// `reporter` heard nothing of `target` since `since`, or was told by its host that it is
    /// `gone`. A second report of the same pair only replaces the first.
    void report(int32_t target, int32_t reporter, MonotonicTime since, bool gone = false);
    void withdraw(int32_t target, int32_t reporter);
    /// The OSD says that it lives. Does not clear reports: it may be deaf to its peers only.
    void beacon(int32_t osd, MonotonicTime now);

    /// The step that marks down and out who has to be, or nothing. Call it on every new map and
    /// about every second; reports about and of OSDs that are down in `map` are dropped here.
    std::optional<OsdMapIncremental> judge(const OsdMap& map, MonotonicTime now);

    size_t reports() const;

private:
    void forget_the_gone(const OsdMap& map, MonotonicTime now);
    bool is_gone(int32_t target) const;
    bool is_convicted(const OsdMap& map, int32_t target, MonotonicTime now) const;
    Duration grace_of(const OsdMap& map, int32_t target, Duration silent) const;
    bool may_go_out(const OsdMap& map, int32_t osd) const;

    LivenessOptions options_;
    struct Report {
        MonotonicTime since;
        bool gone;
    };
    std::map<int32_t, std::map<int32_t, Report>> reports_; // target -> reporter
    std::map<int32_t, MonotonicTime> beacons_;             // of OSDs that are up
    std::map<int32_t, MonotonicTime> down_since_;          // of OSDs that are down and in
};

/// Marks in a step. An OSD that goes out remembers its weight, and that nobody asked for it.
void mark_down(OsdMapIncremental& step, int32_t osd);
void mark_out(const OsdMap& map, OsdMapIncremental& step, int32_t osd);

/// An OSD's own record of being marked down while it lived. Too often, and it stops rather than
/// make its PGs peer again and again (osd_max_markdown_count in osd_max_markdown_period).
class MarkdownHistory {
public:
    /// True when the OSD should stop.
    bool add(MonotonicTime now);

    static constexpr size_t most = 5;
    static constexpr Duration period = std::chrono::seconds(600);

private:
    std::deque<MonotonicTime> times_;
};

} // namespace cloudlet::rados
