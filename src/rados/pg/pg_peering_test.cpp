#include "cloudlet/rados/pg_peering.h"

namespace cloudlet::rados {
namespace {

/// A copy that activated in epoch 10, with the log (tail, head] and all objects.
PgInfo info(LogVersion tail, LogVersion head, Epoch started = 10) {
    PgInfo made{.last_update = head, .last_complete = head, .log_tail = tail};
    made.last_epoch_started = made.history.last_epoch_started = started;
    return made;
}

PgInfo backfilling(PgInfo made) {
    made.last_backfill = {BackfillCursor::Place::begin, {}};
    return made;
}

OsdSet set_of(std::vector<int32_t> osds) {
    int32_t primary = no_osd;
    for (int32_t osd : osds)
        if (primary == no_osd && osd != osd_none) primary = osd;
    return {std::move(osds), primary};
}

PgView view(std::vector<int32_t> up, std::vector<int32_t> acting, bool erasure = false) {
    return {.pg = {1, 0},
            .epoch = 20,
            .up = set_of(std::move(up)),
            .acting = set_of(std::move(acting)),
            .size = 3,
            .min_size = 2,
            .erasure = erasure};
}

TEST(PgAuthority, IsTheNewestHeadOfThoseThatActivatedLast) {
    PgInfos infos = {{{0}, info({5, 1}, {10, 7})}, {{1}, info({5, 1}, {10, 9})}};
    EXPECT_EQ(choose_authoritative(infos, {0}), (PgShard{1}));
    // 2 has more, but was not there when the PG last activated: its extra entries never happened.
    infos[{2}] = info({5, 1}, {9, 12}, 9);
    EXPECT_EQ(choose_authoritative(infos, {0}), (PgShard{1}));
}

TEST(PgAuthority, AnActivationThatOnlyAHistoryTellsOfCountsToo) {
    PgInfos infos = {{{0}, info({5, 1}, {10, 7})}, {{1}, info({5, 1}, {10, 9})}};
    infos[{1}].history.last_epoch_started = 12;
    EXPECT_EQ(choose_authoritative(infos, {0}), std::nullopt) << "who was there is not heard of";
}

TEST(PgAuthority, AnActivationThatNoHistoryTellsOfYetCountsToo) {
    // 1 activated in epoch 12, and its primary died before it told anybody that all had.
    PgInfos infos = {{{0}, info({5, 1}, {11, 20})}, {{1}, info({5, 1}, {10, 9}, 12)}};
    infos[{1}].history.last_epoch_started = 10;
    EXPECT_EQ(last_epoch_started(infos), 12u);
    EXPECT_EQ(choose_authoritative(infos, {0}), (PgShard{1}));
}

TEST(PgAuthority, ACopyInBackfillIsNone) {
    PgInfos infos = {{{0}, info({5, 1}, {10, 7})}, {{1}, backfilling(info({5, 1}, {10, 9}, 11))}};
    infos[{1}].history.last_epoch_started = 10;
    EXPECT_EQ(last_epoch_started(infos), 10u);
    EXPECT_EQ(choose_authoritative(infos, {1}), (PgShard{0}));
    infos.erase(PgShard{0});
    EXPECT_EQ(choose_authoritative(infos, {1}), std::nullopt);
}

TEST(PgAuthority, EqualsAreToldApartByTheLongestLogThenByWhoIsPrimary) {
    PgInfos infos = {
        {{0}, info({5, 3}, {10, 9})}, {{1}, info({5, 1}, {10, 9})}, {{2}, info({5, 1}, {10, 9})}};
    EXPECT_EQ(choose_authoritative(infos, {2}), (PgShard{2}));
    EXPECT_EQ(choose_authoritative(infos, {0}), (PgShard{1}));
}

TEST(PgAuthority, AnErasureCodedPoolTakesTheOldestHeadOfThem) {
    PgInfos infos = {{{0, 0}, info({5, 1}, {10, 9})},
                     {{1, 1}, info({5, 1}, {10, 7})},
                     {{2, 2}, info({5, 1}, {9, 6}, 9)}};
    EXPECT_EQ(choose_authoritative(infos, {0, 0}, true), (PgShard{1, 1}));
}

TEST(PgActing, WhenAllCanServeNothingIsAsked) {
    PgInfos infos;
    for (int32_t osd : {0, 1, 2}) infos[{osd}] = info({5, 1}, {10, 9});
    infos[{1}].last_update = {10, 8};
    ActingChoice choice = choose_acting(infos, view({0, 1, 2}, {0, 1, 2}));
    EXPECT_EQ(choice.acting, (std::vector<int32_t>{0, 1, 2}));
    EXPECT_TRUE(choice.backfill.empty()) << "its log overlaps: it lacks objects, not all";
    EXPECT_EQ(choice.pg_temp, std::nullopt);
}

TEST(PgActing, AnEmptyUpPrimaryHasTheOldSetServe) {
    PgInfos infos;
    for (int32_t osd : {0, 1, 2}) infos[{osd}] = info({5, 1}, {10, 9});
    infos[{3}] = {};
    ActingChoice choice = choose_acting(infos, view({3, 1, 2}, {3, 1, 2}));
    EXPECT_EQ(choice.primary, (PgShard{0})) << "of equals the first";
    EXPECT_EQ(choice.acting, (std::vector<int32_t>{0, 1, 2}));
    EXPECT_EQ(choice.backfill, (std::set<PgShard>{{3}}));
    EXPECT_EQ(choice.pg_temp, choice.acting);
}

TEST(PgActing, APrimaryThatIsTooFarBehindCatchesUpFirst) {
    PgInfos infos;
    for (int32_t osd : {0, 1, 2}) infos[{osd}] = info({5, 1}, {10, 200});
    infos[{0}].last_update = {10, 99};
    ActingChoice choice = choose_acting(infos, view({0, 1, 2}, {0, 1, 2}));
    EXPECT_EQ(choice.acting, (std::vector<int32_t>{1, 0, 2}));
    EXPECT_EQ(choice.pg_temp, choice.acting);
    EXPECT_TRUE(choice.backfill.empty());
    infos[{0}].last_update = {10, 100};
    EXPECT_EQ(choose_acting(infos, view({0, 1, 2}, {0, 1, 2})).primary, (PgShard{0}));
}

TEST(PgActing, ALogWithoutOverlapIsBackfilled) {
    PgInfos infos = {
        {{0}, info({10, 5}, {10, 9})}, {{1}, info({5, 1}, {10, 5})}, {{2}, info({5, 1}, {10, 4})}};
    ActingChoice choice = choose_acting(infos, view({0, 1, 2}, {0, 1, 2}));
    EXPECT_EQ(choice.acting, (std::vector<int32_t>{0, 1}));
    EXPECT_EQ(choice.backfill, (std::set<PgShard>{{2}}));
}

TEST(PgActing, BackfillThatWasCutOffGoesOn) {
    PgInfos infos = {{{0}, info({5, 1}, {10, 9})},
                     {{1}, backfilling(info({5, 1}, {10, 9}))},
                     {{2}, info({5, 1}, {10, 9})}};
    ActingChoice choice = choose_acting(infos, view({1, 0, 2}, {1, 0, 2}));
    EXPECT_EQ(choice.acting, (std::vector<int32_t>{0, 2}));
    EXPECT_EQ(choice.backfill, (std::set<PgShard>{{1}}));
}

TEST(PgActing, ATemporarySetEndsWhenTheUpSetCanServe) {
    PgInfos infos;
    for (int32_t osd : {0, 1, 2, 3}) infos[{osd}] = info({5, 1}, {10, 9});
    ActingChoice choice = choose_acting(infos, view({3, 1, 2}, {0, 1, 2}));
    EXPECT_EQ(choice.acting, (std::vector<int32_t>{3, 1, 2}));
    EXPECT_EQ(choice.pg_temp, std::vector<int32_t>{}) << "it must be pruned, not set to up";
}

TEST(PgActing, AStrayCompletesTheSetTheOneWithMostFirst) {
    PgInfos infos = {
        {{0}, info({5, 1}, {10, 9})}, {{4}, info({5, 1}, {10, 7})}, {{5}, info({5, 1}, {10, 8})}};
    ActingChoice choice = choose_acting(infos, view({0, 1}, {0, 1}));
    EXPECT_EQ(choice.acting, (std::vector<int32_t>{0, 5, 4}));
    EXPECT_EQ(choice.backfill, (std::set<PgShard>{{1}}));
}

TEST(PgActing, NobodyThatCanServeIsIncomplete) {
    PgInfos infos = {{{0}, backfilling(info({5, 1}, {10, 9}))}, {{1}, {}}};
    infos[{1}].history.last_epoch_started = 10;
    EXPECT_TRUE(choose_acting(infos, view({0, 1}, {0, 1})).incomplete);
    EXPECT_TRUE(choose_acting({}, view({0, 1}, {0, 1})).incomplete);
}

TEST(PgActing, ANewPgOfEmptyCopiesServesAtOnce) {
    PgInfos infos = {{{0}, {}}, {{1}, {}}, {{2}, {}}};
    ActingChoice choice = choose_acting(infos, view({0, 1, 2}, {0, 1, 2}));
    EXPECT_EQ(choice.acting, (std::vector<int32_t>{0, 1, 2}));
    EXPECT_EQ(choice.pg_temp, std::nullopt);
}

TEST(PgActing, ErasureCodedPositionsAreKept) {
    PgInfos infos = {{{0, 0}, info({5, 1}, {10, 9})},
                     {{2, 2}, info({5, 1}, {10, 9})},
                     {{7, 1}, info({5, 1}, {10, 9})},
                     {{3, 1}, {}}};
    ActingLimits limits{.least_to_read = 2};
    ActingChoice choice = choose_acting(infos, view({0, 3, 2}, {0, 3, 2}, true), limits);
    EXPECT_EQ(choice.acting, (std::vector<int32_t>{0, 7, 2}));
    EXPECT_EQ(choice.backfill, (std::set<PgShard>{{3, 1}}));
    infos.erase(PgShard{7, 1});
    choice = choose_acting(infos, view({0, 3, 2}, {0, 3, 2}, true), limits);
    EXPECT_EQ(choice.acting, (std::vector<int32_t>{0, osd_none, 2}));
    infos.erase(PgShard{2, 2});
    EXPECT_TRUE(choose_acting(infos, view({0, 3, 2}, {0, 3, 2}, true), limits).incomplete);
}

TEST(PgState, IsPrintedInTheOrderOfCeph) {
    PgState all;
    for (int i = 0; i <= static_cast<int>(PgFlag::wait); ++i) all.set(static_cast<PgFlag>(i));
    // What pg_state_string() of Ceph 16.2.15 (libceph-common) says to all bits.
    EXPECT_EQ(all.to_string(),
              "stale+creating+active+activating+clean+recovery_wait+recovery_toofull+recovering+"
              "forced_recovery+down+recovery_unfound+backfill_unfound+undersized+degraded+"
              "remapped+premerge+scrubbing+deep+inconsistent+peering+repair+backfill_wait+"
              "backfilling+forced_backfill+backfill_toofull+incomplete+peered+snaptrim+"
              "snaptrim_wait+snaptrim_error+failed_repair+laggy+wait");
    EXPECT_EQ(PgState().to_string(), "unknown");
    EXPECT_EQ((PgState{PgFlag::degraded, PgFlag::undersized, PgFlag::active}).to_string(),
              "active+undersized+degraded");
}

TEST(PgState, ReadsWhatItPrints) {
    for (std::string_view text : {"unknown", "active+clean", "undersized+degraded+peered"})
        EXPECT_EQ(PgState::parse(text)->to_string(), text);
    EXPECT_EQ(PgState::parse("clean+active")->to_string(), "active+clean");
    for (std::string_view text : {"", "active+", "+active", "active+unknown", "Active"})
        EXPECT_FALSE(PgState::parse(text)) << text;
}

TEST(PgState, FollowsFromWhoIsThere) {
    ActingChoice choice;
    auto state = [&](std::vector<int32_t> up, std::vector<int32_t> acting, bool missing = false) {
        return state_after_peering(view(std::move(up), std::move(acting)), choice, missing)
            .to_string();
    };
    EXPECT_EQ(state({0, 1, 2}, {0, 1, 2}), "active+clean");
    EXPECT_EQ(state({0, 1, 2}, {0, 1, 2}, true), "active+degraded");
    EXPECT_EQ(state({0, 1}, {0, 1}), "active+undersized+degraded");
    EXPECT_EQ(state({0}, {0}), "undersized+degraded+peered") << "below min_size";
    EXPECT_EQ(state({3, 1, 2}, {0, 1, 2}), "active+remapped");
    choice.backfill = {{2}};
    EXPECT_EQ(state({0, 1, 2}, {0, 1}), "active+undersized+degraded+remapped");
    choice = {.incomplete = true};
    EXPECT_EQ(state({0, 1, 2}, {0, 1, 2}), "incomplete");
}

} // namespace
} // namespace cloudlet::rados
