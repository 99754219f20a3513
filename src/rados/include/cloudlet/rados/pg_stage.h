#pragma once
// The states of a placement group's machine, and every way from one to another: two tables that
// the machine itself obeys (a move that is not listed is a bug that ends the process), that the
// simulator counts as coverage, and of which the picture in docs/storage.md is drawn.
//
// A copy has a stage: what it does in the present interval. A primary that serves has a work, too:
// what it does to make all copies whole. What people read ("active+undersized+degraded") is a set
// of flags that follows from both: PgState.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace cloudlet::rados {

enum class PgStage : uint8_t {
    any,          // in the table only
    reset,        // a new interval: nothing of the last one counts
    waiting,      // not the primary, and the primary has not spoken yet
    replica,      // serves, or is filled, under its primary
    get_info,     // a primary asks who has what
    down,         // a member of the past must come back first
    incomplete,   // nobody who is there has all
    wait_acting,  // the monitors were asked for another acting set
    get_log,      // the authority's log is on its way
    get_missing,  // the others' logs are on their way
    wait_up_thru, // the monitors record that this primary lives
    activating,   // all copies take over the log
    wait_readers, // a former primary that was cut off may still be reading
    active,       // serves
    peered,       // would serve, but there are too few copies
};

enum class PgWork : uint8_t {
    any,
    none,              // not a serving primary
    rest,              // nothing can be done now, or what comes next is about to be chosen
    recovery_wait,     // for reservations
    recovering,        // objects that copies lack, by the log
    recovery_too_full, // whom we would send objects is too full
    unfound,           // nobody who is there has the right version of some objects
    backfill_wait,     // for reservations
    backfilling,       // a copy is filled, object by object
    backfill_too_full, // whom we would fill is too full
    clean,
};

enum class PgEvent : uint8_t {
    new_interval, // or peering has to begin anew
    is_primary,
    is_other,
    told_to_serve,
    member_awaited,
    prior_set_changed,
    nobody_has_all,
    more_heard,
    other_acting_wanted,
    acting_agreed,
    log_adopted,
    missing_known,
    up_thru_recorded,
    all_activated,
    readers_gone,
    too_few_copies,
    serves,
    objects_missing,
    reserved,
    preempted,
    all_recovered,
    only_unfound_left,
    object_found,
    held_by_flag,
    copies_to_fill,
    refused,
    asked_again,
    all_filled,
    all_whole,
};

template <typename State>
struct PgTransition {
    State from;
    PgEvent event;
    State to;
};

std::span<const PgTransition<PgStage>> stage_transitions();
std::span<const PgTransition<PgWork>> work_transitions();

/// The row that is taken; none when the table does not know it.
std::optional<size_t> find_transition(PgStage from, PgEvent event, PgStage to);
std::optional<size_t> find_transition(PgWork from, PgEvent event, PgWork to);

/// A row of one of the tables that was taken.
struct PgMove {
    enum class Table : uint8_t { stage, work };
    Table table = Table::stage;
    size_t row = 0;
    uint8_t from = 0; // the state that was left, where the row says "any"
};

std::string_view name_of(PgStage stage); // "get_info"
std::string_view name_of(PgWork work);
std::string_view name_of(PgEvent event);

/// Both tables as Mermaid state diagrams.
std::string draw_transitions();

} // namespace cloudlet::rados
