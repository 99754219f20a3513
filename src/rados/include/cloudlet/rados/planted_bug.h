#pragma once
// Bugs that can be switched on while the program runs, to show that the simulator finds them: a
// test that cannot fail proves nothing. All are off but in such a test. Per thread, so that a
// simulation with a bug does not disturb another one.

#include <bitset>
#include <cstdint>
#include <optional>
#include <string_view>

namespace cloudlet::rados {

enum class PlantedBug : uint8_t {
    ack_before_replicas,      // a write is answered when the primary alone has it
    ack_by_majority,          // ... when more than half of acting have it
    ack_before_disk,          // a replica acknowledges what its disk has not synced
    skip_up_thru,             // a primary activates without telling the monitors
    forget_requests,          // a request that comes again is carried out again
    answer_duplicate_anew,    // a request that comes again is told the present version
    serve_below_min_size,     // reads and writes with too few copies
    older_log_wins,           // the authority is the oldest log, whoever activated last
    ignore_past_intervals,    // peering does not wait for members that may have more
    lose_missing_entry,       // one object is left out of what a copy lacks
    forget_missing_on_disk,   // what a copy lacks is not recorded
    keep_divergent_objects,   // objects of entries that never happened stay
    backfill_cursor_ahead,    // the cursor moves past an object that was not copied
    write_into_backfill,      // writes do not wait for the batch that is being copied
    clean_before_backfill,    // the PG calls itself clean while a copy is being filled
    accept_old_interval,      // messages of an earlier interval are taken
    read_without_lease,       // a primary that was cut off goes on reading
    trust_an_old_death,       // the end of an OSD's process is taken for that of a later one
    read_unstable,            // reads do not wait for writes in flight
    activate_without_answers, // the activation counts before all copies have it
    push_stale_object,        // recovery sends whatever it has, and calls it new
    ignore_checksums,         // a damaged object reads as an empty one
    scrub_trusts_primary,     // repair copies the primary's object over the others
    ignore_noscrub,           // the flag does not hold scrubs that are due
    forget_scrub_stamp,       // a copy does not learn when the PG was scrubbed
    leak_scrub_slot,          // a copy keeps its slot when the scrub is over
    half_a_list,              // a failing guard does not take back what came before
    forget_recovery_wakeup,   // an op that waits for an object is not woken
    leak_reservation,         // a reservation is kept after its interval
    ignore_preemption,        // a PG goes on though a higher priority took its slot
    full_refuses_removal,     // a full cluster refuses what would free it
    norebalance_stops_repair, // the flag stops the backfill of degraded PGs, too
    ignore_noout,             // time marks OSDs out all the same
    ignore_noin,              // an OSD that boots comes in all the same
    ignore_noup,              // an OSD that boots comes up all the same
    ignore_nodown,            // reports mark OSDs down all the same
    ignore_nobackfill,        // copies are filled all the same
    ignore_norecover,         // objects are recovered all the same
    ignore_pause,             // requests are carried out all the same
    one_reporter_convinces,   // one host's word marks an OSD down
    blame_next_life,          // that an OSD's process is gone is held against its next one, too
    keep_withdrawn_report,    // a report counts after it was taken back
    stale_leader_writes,      // a monitor appends without comparing the epoch
    client_new_identity,      // the client sends again under another request id
    client_ignores_interval,  // the client does not send again when the PG's interval changes
    count,
};

inline constexpr size_t planted_bugs = static_cast<size_t>(PlantedBug::count);

std::string_view name_of(PlantedBug bug); // "ack_before_replicas"
std::optional<PlantedBug> planted_bug_named(std::string_view name);

inline thread_local std::bitset<planted_bugs> bugs_in_this_thread;

inline bool planted(PlantedBug bug) { return bugs_in_this_thread[static_cast<size_t>(bug)]; }

/// Switches a bug on for as long as it lives.
class PlantBug {
public:
    explicit PlantBug(PlantedBug bug) : bug_(static_cast<size_t>(bug)) {
        bugs_in_this_thread.set(bug_);
    }
    ~PlantBug() { bugs_in_this_thread.reset(bug_); }
    PlantBug(const PlantBug&) = delete;
    PlantBug& operator=(const PlantBug&) = delete;

private:
    size_t bug_;
};

} // namespace cloudlet::rados
