#include "cloudlet/rados/pg_stage.h"

#include <array>

#include <fmt/format.h>

namespace cloudlet::rados {

namespace {

using S = PgStage;
using W = PgWork;
using E = PgEvent;

constexpr PgTransition<PgStage> stage_table[] = {
    {S::any, E::new_interval, S::reset},
    {S::reset, E::is_primary, S::get_info},
    {S::reset, E::is_other, S::waiting},
    {S::waiting, E::told_to_serve, S::replica},
    {S::get_info, E::member_awaited, S::down},
    {S::down, E::prior_set_changed, S::get_info},
    {S::get_info, E::nobody_has_all, S::incomplete},
    {S::incomplete, E::more_heard, S::get_info},
    {S::get_info, E::other_acting_wanted, S::wait_acting},
    {S::wait_acting, E::prior_set_changed, S::get_info},
    {S::get_info, E::acting_agreed, S::get_log},
    {S::get_log, E::prior_set_changed, S::get_info},
    {S::get_log, E::log_adopted, S::get_missing},
    {S::get_missing, E::missing_known, S::wait_up_thru},
    {S::wait_up_thru, E::up_thru_recorded, S::activating},
    {S::activating, E::all_activated, S::wait_readers},
    {S::wait_readers, E::readers_gone, S::active},
    {S::wait_readers, E::too_few_copies, S::peered},
};

constexpr PgTransition<PgWork> work_table[] = {
    {W::any, E::new_interval, W::none},
    {W::none, E::serves, W::rest},
    {W::rest, E::objects_missing, W::recovery_wait},
    {W::recovery_wait, E::reserved, W::recovering},
    {W::recovery_wait, E::held_by_flag, W::rest},
    {W::recovery_wait, E::refused, W::recovery_too_full},
    {W::recovering, E::preempted, W::recovery_wait},
    {W::recovering, E::held_by_flag, W::rest},
    {W::recovering, E::refused, W::recovery_too_full},
    {W::recovery_too_full, E::asked_again, W::rest},
    {W::recovering, E::all_recovered, W::rest},
    {W::recovering, E::only_unfound_left, W::unfound},
    {W::unfound, E::object_found, W::rest},
    {W::rest, E::copies_to_fill, W::backfill_wait},
    {W::backfill_wait, E::reserved, W::backfilling},
    {W::backfill_wait, E::held_by_flag, W::rest},
    {W::backfill_wait, E::refused, W::backfill_too_full},
    {W::backfilling, E::preempted, W::backfill_wait},
    {W::backfilling, E::refused, W::backfill_too_full},
    {W::backfill_too_full, E::asked_again, W::rest},
    {W::backfilling, E::held_by_flag, W::rest},
    {W::backfilling, E::objects_missing, W::rest},
    {W::backfilling, E::all_filled, W::rest},
    {W::rest, E::all_whole, W::clean},
    {W::clean, E::objects_missing, W::rest},
};

constexpr std::array<std::string_view, 15> stage_names = {
    "any",          "reset",      "waiting",      "replica", "get_info",
    "down",         "incomplete", "wait_acting",  "get_log", "get_missing",
    "wait_up_thru", "activating", "wait_readers", "active",  "peered"};
static_assert(stage_names.size() == static_cast<size_t>(S::peered) + 1);

constexpr std::array<std::string_view, 11> work_names = {"any",         "none",
                                                         "rest",        "recovery_wait",
                                                         "recovering",  "recovery_too_full",
                                                         "unfound",     "backfill_wait",
                                                         "backfilling", "backfill_too_full",
                                                         "clean"};
static_assert(work_names.size() == static_cast<size_t>(W::clean) + 1);

constexpr std::array<std::string_view, 29> event_names = {
    "new_interval",      "is_primary",     "is_other",
    "told_to_serve",     "member_awaited", "prior_set_changed",
    "nobody_has_all",    "more_heard",     "other_acting_wanted",
    "acting_agreed",     "log_adopted",    "missing_known",
    "up_thru_recorded",  "all_activated",  "readers_gone",
    "too_few_copies",    "serves",         "objects_missing",
    "reserved",          "preempted",      "all_recovered",
    "only_unfound_left", "object_found",   "held_by_flag",
    "copies_to_fill",    "refused",        "asked_again",
    "all_filled",        "all_whole"};
static_assert(event_names.size() == static_cast<size_t>(E::all_whole) + 1);

template <typename State>
std::optional<size_t> find_row(std::span<const PgTransition<State>> table, State from,
                               PgEvent event, State to) {
    for (size_t row = 0; row < table.size(); ++row)
        if ((table[row].from == from || table[row].from == State::any) &&
            table[row].event == event && table[row].to == to)
            return row;
    return std::nullopt;
}

template <typename State>
std::string draw(std::span<const PgTransition<State>> table) {
    std::string text = "```mermaid\nstateDiagram-v2\n";
    for (const auto& row : table)
        text +=
            fmt::format("    {} --> {} : {}\n", row.from == State::any ? "[*]" : name_of(row.from),
                        name_of(row.to), name_of(row.event));
    return text + "```\n";
}

} // namespace

std::span<const PgTransition<PgStage>> stage_transitions() { return stage_table; }
std::span<const PgTransition<PgWork>> work_transitions() { return work_table; }

std::optional<size_t> find_transition(PgStage from, PgEvent event, PgStage to) {
    return find_row(stage_transitions(), from, event, to);
}
std::optional<size_t> find_transition(PgWork from, PgEvent event, PgWork to) {
    return find_row(work_transitions(), from, event, to);
}

std::string_view name_of(PgStage stage) { return stage_names[static_cast<size_t>(stage)]; }
std::string_view name_of(PgWork work) { return work_names[static_cast<size_t>(work)]; }
std::string_view name_of(PgEvent event) { return event_names[static_cast<size_t>(event)]; }

std::string draw_transitions() {
    return draw(stage_transitions()) + "\n" + draw(work_transitions());
}

} // namespace cloudlet::rados
