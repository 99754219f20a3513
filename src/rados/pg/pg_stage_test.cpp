#include "cloudlet/rados/pg_stage.h"

#include <gtest/gtest.h>

#include <set>

#include "test_docs.h"

namespace cloudlet::rados {
namespace {

template <typename State>
constexpr State last = State::any;
template <>
constexpr PgStage last<PgStage> = PgStage::peered;
template <>
constexpr PgWork last<PgWork> = PgWork::clean;

template <typename State>
std::set<State> states() { // all but "any", which is the first one
    std::set<State> all;
    for (int i = 1; i <= static_cast<int>(last<State>); ++i) all.insert(static_cast<State>(i));
    return all;
}

template <typename State>
std::set<State> reachable(std::span<const PgTransition<State>> table, State start) {
    std::set<State> found = {start};
    for (size_t before = 0; before != found.size();) {
        before = found.size();
        for (const auto& row : table)
            if (row.from != State::any && found.contains(row.from)) found.insert(row.to);
    }
    return found;
}

TEST(PgStage, is_reached_from_a_new_interval_whichever_it_is) {
    EXPECT_EQ(reachable(stage_transitions(), PgStage::reset), states<PgStage>());
    EXPECT_EQ(reachable(work_transitions(), PgWork::none), states<PgWork>());
}

TEST(PgStage, is_left_by_a_new_interval_whichever_it_is) {
    for (PgStage stage : states<PgStage>())
        EXPECT_TRUE(find_transition(stage, PgEvent::new_interval, PgStage::reset));
    for (PgWork work : states<PgWork>())
        EXPECT_TRUE(find_transition(work, PgEvent::new_interval, PgWork::none));
}

TEST(PgStage, is_a_dead_end_within_an_interval_only_where_it_serves) {
    std::set<PgStage> ends = states<PgStage>();
    for (const auto& row : stage_transitions()) ends.erase(row.from);
    EXPECT_EQ(ends, (std::set{PgStage::replica, PgStage::active, PgStage::peered}));
    std::set<PgWork> works = states<PgWork>();
    for (const auto& row : work_transitions()) works.erase(row.from);
    EXPECT_TRUE(works.empty());
}

TEST(PgStage, is_told_in_one_row_for_each_way) {
    for (size_t row = 0; row < stage_transitions().size(); ++row) {
        const auto& way = stage_transitions()[row];
        EXPECT_EQ(find_transition(way.from, way.event, way.to), row);
    }
    for (size_t row = 0; row < work_transitions().size(); ++row) {
        const auto& way = work_transitions()[row];
        EXPECT_EQ(find_transition(way.from, way.event, way.to), row);
    }
    EXPECT_FALSE(find_transition(PgStage::active, PgEvent::is_primary, PgStage::get_info));
    EXPECT_FALSE(find_transition(PgWork::clean, PgEvent::reserved, PgWork::backfilling));
}

TEST(PgStage, has_a_name_of_its_own) {
    std::set<std::string_view> names;
    for (PgStage stage : states<PgStage>()) names.insert(name_of(stage));
    for (PgWork work : states<PgWork>()) names.insert(name_of(work));
    EXPECT_EQ(names.size(), states<PgStage>().size() + states<PgWork>().size());
    EXPECT_EQ(name_of(PgStage::wait_up_thru), "wait_up_thru");
    EXPECT_EQ(name_of(PgWork::backfill_too_full), "backfill_too_full");
    std::set<std::string_view> events;
    std::set<PgEvent> used;
    for (const auto& row : stage_transitions()) used.insert(row.event);
    for (const auto& row : work_transitions()) used.insert(row.event);
    EXPECT_EQ(used.size(), static_cast<size_t>(PgEvent::all_whole) + 1) << "none is of no use";
    for (PgEvent event : used) events.insert(name_of(event));
    EXPECT_EQ(events.size(), used.size());
    EXPECT_EQ(name_of(PgEvent::all_whole), "all_whole");
}

TEST(PgStage, is_drawn_in_the_documentation_as_it_is) {
    expect_in_docs("storage.md", "states", draw_transitions());
}

} // namespace
} // namespace cloudlet::rados
