#include "cloudlet/rados/pg_intervals.h"

#include "cloudlet/rados/osd_map_create.h"

namespace cloudlet::rados {
namespace {

const PgId pg{1, 5};

Uuid disk(uint8_t number) {
    Uuid uuid;
    uuid.bytes[0] = number;
    return uuid;
}

/// Epoch 20; six OSDs up since epoch 3, each with a disk of its own; a pool of size 3.
OsdMap cluster() {
    OsdMap map;
    map.epoch = 20;
    map.resize_osds(6);
    for (size_t osd = 0; osd < 6; ++osd) {
        map.osd_state[osd] = osd_exists | osd_up;
        map.osd_info[osd].up_from = 3;
        map.osd_uuid[osd] = disk(static_cast<uint8_t>(osd + 1));
    }
    Pool pool;
    pool.set_pg_num(8, 8);
    map.pools[1] = pool;
    return map;
}

OsdSet set_of(std::vector<int32_t> osds) {
    int32_t primary = osds.empty() ? no_osd : osds[0];
    return {std::move(osds), primary};
}

PgView view(const OsdMap& map, std::vector<int32_t> osds) {
    return view_pg(map, pg, set_of(osds), set_of(osds));
}

void take_down(OsdMap& map, int32_t osd) { map.osd_state[static_cast<size_t>(osd)] = osd_exists; }

/// [10, 19] with acting 0, 1, 2, which may have gone read-write unless told otherwise.
PastIntervals past(bool went_rw = true) {
    OsdMap map = cluster();
    map.epoch = 19;
    map.osd_info[0].up_thru = went_rw ? 10 : 9;
    PastIntervals past;
    past.add(close_interval(view(map, {0, 1, 2}), 10, map, 0));
    return past;
}

TEST(PgIntervals, AnEpochThatChangesNothingIsTheSameInterval) {
    OsdMap map = cluster();
    PgView before = view(map, {0, 1, 2});
    map.epoch++;
    map.osd_info[0].up_thru = 20;
    EXPECT_EQ(interval_change(before, view(map, {0, 1, 2})), std::nullopt);
}

TEST(PgIntervals, EachPartThatMattersBeginsANewOne) {
    const OsdMap map = cluster();
    const PgView before = view(map, {0, 1, 2});
    EXPECT_EQ(interval_change(before, view(map, {1, 0, 2})), IntervalChange::acting_primary);
    EXPECT_EQ(interval_change(before, view(map, {0, 1})), IntervalChange::acting);
    auto with = [&](auto change) {
        PgView after = before;
        change(after);
        return interval_change(before, after);
    };
    EXPECT_EQ(with([](PgView& v) { v.up.primary = 1; }), IntervalChange::up_primary);
    EXPECT_EQ(with([](PgView& v) { v.up.osds = {0, 1, 3}; }), IntervalChange::up);
    EXPECT_EQ(with([](PgView& v) { v.size = 2; }), IntervalChange::size);
    EXPECT_EQ(with([](PgView& v) { v.min_size = 1; }), IntervalChange::min_size);
    EXPECT_EQ(with([](PgView& v) { v.flags ^= map_sortbitwise; }), IntervalChange::flags);
    EXPECT_EQ(with([](PgView& v) { v.pg_num = 16; }), IntervalChange::pg_num);
    EXPECT_EQ(with([](PgView& v) { v.pg_num_pending = 5; }), IntervalChange::pg_num);
}

TEST(PgIntervals, FlagsThatDoNotMatterDoNot) {
    OsdMap map = cluster();
    PgView before = view(map, {0, 1, 2});
    map.flags |= map_noout | map_noscrub | map_pauserd;
    EXPECT_EQ(interval_change(before, view(map, {0, 1, 2})), std::nullopt);
}

TEST(PgIntervals, AMemberThatRestartedBetweenTheMapsBeginsANewOne) {
    OsdMap map = cluster();
    PgView before = view(map, {0, 1, 2});
    map.osd_info[4].up_from = 25;
    EXPECT_EQ(interval_change(before, view(map, {0, 1, 2})), std::nullopt) << "no member";
    map.osd_info[2].up_from = 25;
    EXPECT_EQ(interval_change(before, view(map, {0, 1, 2})), IntervalChange::restarted);
}

TEST(PgIntervals, OnlyThePgsThatSplitOrMergeAreTouched) {
    // From 4 to 6: 0 gets the child 4, 1 gets 5; 2 and 3 stay whole.
    EXPECT_TRUE(pg_num_touches(0, 4, 6));
    EXPECT_TRUE(pg_num_touches(1, 4, 6));
    EXPECT_FALSE(pg_num_touches(2, 4, 6));
    EXPECT_FALSE(pg_num_touches(3, 4, 6));
    EXPECT_TRUE(pg_num_touches(5, 6, 4)) << "the source of a merge";
    EXPECT_TRUE(pg_num_touches(1, 6, 4)) << "its target";
    EXPECT_FALSE(pg_num_touches(1, 6, 6));
}

TEST(PgIntervals, SplitsAgreeWithWhereObjectsGo) {
    for (uint32_t from = 1; from <= 20; ++from) {
        for (uint32_t to = from; to <= 70; ++to) {
            std::set<uint32_t> split;
            for (uint32_t child = from; child < to; ++child)
                split.insert(stable_mod(child, from, std::bit_ceil(from) - 1));
            for (uint32_t seed = 0; seed < from; ++seed)
                ASSERT_EQ(pg_num_touches(seed, from, to), split.contains(seed))
                    << seed << " of " << from << " to " << to;
        }
    }
}

TEST(PgIntervals, ViewsComeFromAMapsPlacement) {
    auto map = std::make_shared<OsdMap>(*create_simple_map({.osds = 4, .with_default_pool = true}));
    for (uint32_t& state : map->osd_state) state = osd_exists | osd_up;
    for (uint32_t& weight : map->osd_weight) weight = 0x10000;
    PoolId pool = map->pools.begin()->first;
    CrushWorkspace work;
    PgView one = view_pg(*Placer::prepare(map), work, {pool, 0});
    ASSERT_FALSE(one.acting.osds.empty());
    auto next = std::make_shared<OsdMap>(*map);
    take_down(*next, one.acting.primary);
    PgView other = view_pg(*Placer::prepare(next), work, {pool, 0});
    EXPECT_EQ(interval_change(one, other), IntervalChange::acting_primary);
    EXPECT_EQ(one.min_size, map->pools.at(pool).min_size);
    EXPECT_TRUE(view_pg(*Placer::prepare(map), work, {99, 0}).acting.osds.empty());
}

TEST(PgIntervals, ReadWriteNeedsMinSizeAndAPrimaryThatTold) {
    OsdMap map = cluster();
    map.epoch = 19;
    map.osd_info[0].up_thru = 10;
    auto rw = [&](std::vector<int32_t> acting, Epoch clean = 0) {
        return close_interval(view(map, std::move(acting)), 10, map, clean).maybe_went_rw;
    };
    EXPECT_TRUE(rw({0, 1, 2}));
    EXPECT_TRUE(rw({0, 1}));
    EXPECT_FALSE(rw({0})) << "below min_size 2";
    EXPECT_FALSE(rw({}));
    EXPECT_FALSE(rw({0, osd_none, osd_none})) << "holes are nobody";
    map.osd_info[0].up_thru = 9;
    EXPECT_FALSE(rw({0, 1, 2})) << "the primary never told";
    EXPECT_TRUE(rw({0, 1, 2}, 15)) << "it was clean in it, so it had been active";
    EXPECT_FALSE(rw({0, 1, 2}, 9));
    map.osd_info[0].up_thru = 18;
    map.osd_info[0].up_from = 17;
    EXPECT_FALSE(rw({0, 1, 2})) << "up_thru is that of a later life";
}

TEST(PgIntervals, APrimaryMayServeOnceItsUpThruIsRecorded) {
    OsdMap map = cluster();
    map.osd_info[0].up_thru = 19;
    EXPECT_TRUE(needs_up_thru(map, 0, 20));
    map.osd_info[0].up_thru = 20;
    EXPECT_FALSE(needs_up_thru(map, 0, 20));
}

TEST(PgPriorSet, AsksThePresentAndThePast) {
    OsdMap map = cluster();
    PriorSet prior = past().prior_set(view(map, {3, 1, 4}), map, 10);
    EXPECT_EQ(prior.ask, (std::set<PgShard>{{0}, {1}, {2}, {3}, {4}}));
    EXPECT_FALSE(prior.down);
}

TEST(PgPriorSet, ThePositionsOfAnErasureCodedPoolAreAskedEach) {
    OsdMap map = cluster();
    map.pools[1].type = PoolType::erasure;
    map.osd_info[0].up_thru = 10;
    PastIntervals intervals;
    intervals.add(close_interval(view(map, {0, osd_none, 2}), 10, map, 0));
    PriorSet prior = intervals.prior_set(view(map, {2, 0}), map, 0);
    EXPECT_EQ(prior.ask, (std::set<PgShard>{{0, 0}, {0, 1}, {2, 0}, {2, 2}}));
}

TEST(PgPriorSet, AMemberThatLostWhatItKnewIsWaitedForLikeOneThatIsDown) {
    OsdMap map = cluster();
    const PgView now = view(map, {0, 4, 5});
    EXPECT_FALSE(past().prior_set(now, map, 10, 1, {{0, 10}}).down) << "others know";
    for (int32_t osd : {1, 2}) take_down(map, osd);
    EXPECT_FALSE(past().prior_set(now, map, 10).down);
    const PriorSet prior = past().prior_set(now, map, 10, 1, {{0, 10}});
    EXPECT_TRUE(prior.down);
    EXPECT_EQ(prior.blocked_by.size(), 3u);
    EXPECT_TRUE(prior.ask.contains(PgShard{0})) << "it is a member now, too";
    EXPECT_FALSE(past().prior_set(now, map, 10, 1, {{0, 9}}).down)
        << "it would know what an interval wrote that began later";
}

TEST(PgPriorSet, AnIntervalOfWhichNobodyIsLeftKeepsThePgDown) {
    OsdMap map = cluster();
    for (int32_t osd : {0, 1, 2}) take_down(map, osd);
    PriorSet prior = past().prior_set(view(map, {3, 4, 5}), map, 10);
    EXPECT_TRUE(prior.down);
    EXPECT_EQ(prior.blocked_by.size(), 3u);
    map.osd_state[1] |= osd_up;
    EXPECT_FALSE(past().prior_set(view(map, {3, 4, 5}), map, 10).down) << "one member is enough";
}

TEST(PgPriorSet, AnIntervalThatCannotHaveWrittenDoesNot) {
    OsdMap map = cluster();
    for (int32_t osd : {0, 1, 2}) take_down(map, osd);
    EXPECT_FALSE(past(false).prior_set(view(map, {3, 4, 5}), map, 10).down);
    EXPECT_FALSE(past().prior_set(view(map, {3, 4, 5}), map, 20).down)
        << "a later activation took its writes over";
}

TEST(PgPriorSet, AnOsdMadeAnewUnderTheSameNumberIsNotTheMember) {
    OsdMap map = cluster();
    take_down(map, 1);
    take_down(map, 2);
    map.osd_uuid[0] = disk(99);
    PriorSet prior = past().prior_set(view(map, {0, 3, 4}), map, 10);
    EXPECT_TRUE(prior.down) << "it is up, but empty";
    EXPECT_TRUE(prior.blocked_by.contains(0));
    EXPECT_TRUE(prior.ask.contains({0})) << "as a present member it is asked all the same";
}

TEST(PgPriorSet, WhomTheOperatorDeclaredLostIsNotWaitedFor) {
    OsdMap map = cluster();
    for (int32_t osd : {0, 1, 2}) take_down(map, osd);
    map.osd_info[0].lost_at = map.osd_info[1].lost_at = 20;
    EXPECT_TRUE(past().prior_set(view(map, {3, 4, 5}), map, 10).down) << "2 may come back";
    map.osd_info[2].lost_at = 19;
    EXPECT_TRUE(past().prior_set(view(map, {3, 4, 5}), map, 10).down) << "it wrote after that";
    map.osd_info[2].lost_at = 20;
    PriorSet prior = past().prior_set(view(map, {3, 4, 5}), map, 10);
    EXPECT_FALSE(prior.down);
    EXPECT_EQ(prior.lost, (std::set<int32_t>{0, 1, 2}));
}

TEST(PgPriorSet, ErasureCodingNeedsAsManyMembersAsItHasDataChunks) {
    OsdMap map = cluster();
    take_down(map, 2);
    EXPECT_FALSE(past().prior_set(view(map, {0, 1}), map, 10, 2).down);
    take_down(map, 1);
    EXPECT_TRUE(past().prior_set(view(map, {0}), map, 10, 2).down);
}

TEST(PgPriorSet, IntervalsBeforeTheLastCleanEpochAreForgotten) {
    PastIntervals intervals = past();
    intervals.forget_before(19);
    EXPECT_EQ(intervals.intervals().size(), 1u);
    intervals.forget_before(20);
    EXPECT_TRUE(intervals.empty());
}

} // namespace
} // namespace cloudlet::rados
