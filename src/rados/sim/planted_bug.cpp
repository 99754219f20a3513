#include "cloudlet/rados/planted_bug.h"

#include <algorithm>
#include <array>

namespace cloudlet::rados {

namespace {

constexpr std::array<std::string_view, planted_bugs> bug_names = {
    "ack_before_replicas",
    "ack_by_majority",
    "ack_before_disk",
    "skip_up_thru",
    "forget_requests",
    "answer_duplicate_anew",
    "serve_below_min_size",
    "older_log_wins",
    "ignore_past_intervals",
    "lose_missing_entry",
    "forget_missing_on_disk",
    "keep_divergent_objects",
    "backfill_cursor_ahead",
    "write_into_backfill",
    "clean_before_backfill",
    "accept_old_interval",
    "read_without_lease",
    "trust_an_old_death",
    "read_unstable",
    "activate_without_answers",
    "push_stale_object",
    "ignore_checksums",
    "scrub_trusts_primary",
    "ignore_noscrub",
    "forget_scrub_stamp",
    "leak_scrub_slot",
    "half_a_list",
    "forget_recovery_wakeup",
    "leak_reservation",
    "ignore_preemption",
    "full_refuses_removal",
    "norebalance_stops_repair",
    "ignore_noout",
    "ignore_noin",
    "ignore_noup",
    "ignore_nodown",
    "ignore_nobackfill",
    "ignore_norecover",
    "ignore_pause",
    "one_reporter_convinces",
    "blame_next_life",
    "keep_withdrawn_report",
    "stale_leader_writes",
    "client_new_identity",
    "client_ignores_interval",
};

} // namespace

std::string_view name_of(PlantedBug bug) { return bug_names[static_cast<size_t>(bug)]; }

std::optional<PlantedBug> planted_bug_named(std::string_view name) {
    auto found = std::ranges::find(bug_names, name);
    if (found == bug_names.end()) return std::nullopt;
    return static_cast<PlantedBug>(found - bug_names.begin());
}

} // namespace cloudlet::rados
