#include "cloudlet/rados/map_follower.h"

#include <gtest/gtest.h>

#include "test_map.h"

namespace cloudlet::rados {
namespace {

/// A map of epoch 7 and the steps behind it; each marks OSD 0 down or up again.
struct Story {
    explicit Story(size_t count) {
        for (Epoch epoch = first->epoch + 1; epoch <= first->epoch + count; ++epoch) {
            auto step = std::make_shared<OsdMapIncremental>();
            step->epoch = epoch;
            step->new_state[0] = osd_up;
            steps.push_back(std::move(step));
        }
    }
    message::Maps start() const { return {.full = first, .steps = {}}; }
    /// The steps to the epochs `from` to `to`.
    message::Maps to(Epoch from, Epoch to) const {
        auto at = [&](Epoch epoch) { return steps.begin() + (epoch - first->epoch - 1); };
        return {.full = {}, .steps = {at(from), at(to) + 1}};
    }
    std::shared_ptr<const OsdMap> full(Epoch epoch) const {
        auto map = std::make_shared<OsdMap>(*first);
        map->epoch = epoch;
        return map;
    }

    std::shared_ptr<const OsdMap> first = std::make_shared<const OsdMap>(test_map(3, 1, 1, 3));
    std::vector<MapStep> steps;
};

std::vector<Epoch> epochs(const Result<std::vector<MapEpochPtr>>& taken) {
    std::vector<Epoch> found;
    for (const MapEpochPtr& one : taken.value()) found.push_back(one->epoch());
    return found;
}

struct Following : testing::Test {
    std::vector<Epoch> take(const message::Maps& maps) { return epochs(follower.take(maps)); }
    std::optional<std::pair<Epoch, Epoch>> offered(Epoch epoch) const {
        auto maps = follower.steps_after(epoch);
        if (!maps) return std::nullopt;
        EXPECT_FALSE(maps->full);
        return std::pair{maps->steps.front()->epoch, maps->steps.back()->epoch};
    }
    using Offer = std::pair<Epoch, Epoch>;

    Story story{700};
    MapCache cache;
    MapFollower follower{cache};
};

TEST_F(Following, begins_with_a_full_map_and_goes_through_every_step) {
    EXPECT_EQ(follower.epoch(), 0u);
    EXPECT_TRUE(take(story.to(8, 9)).empty()) << "steps alone are no beginning";
    message::Maps maps = story.to(8, 10);
    maps.full = story.first;
    EXPECT_EQ(take(maps), (std::vector<Epoch>{7, 8, 9, 10}));
    EXPECT_EQ(follower.epoch(), 10u);
    EXPECT_FALSE(follower.now()->map().is_up(0)) << "down, up, down";
}

TEST_F(Following, skips_what_it_knows_and_stops_before_a_gap) {
    take(story.start());
    take(story.to(8, 10));
    EXPECT_EQ(take(story.to(9, 12)), (std::vector<Epoch>{11, 12}));
    EXPECT_TRUE(take(story.to(8, 12)).empty());
    EXPECT_TRUE(take(story.to(14, 15)).empty());
    message::Maps torn = story.to(13, 15);
    torn.steps.erase(torn.steps.begin() + 1);
    EXPECT_EQ(take(torn), std::vector<Epoch>{13});
}

TEST_F(Following, leaps_by_a_full_map_only_when_the_steps_do_not_lead_on) {
    take(story.start());
    EXPECT_TRUE(take({.full = story.full(6), .steps = {}}).empty()) << "it is older";
    message::Maps with_steps = story.to(8, 9);
    with_steps.full = story.full(9);
    EXPECT_EQ(take(with_steps), (std::vector<Epoch>{8, 9})) << "every epoch, as steps lead there";
    EXPECT_EQ(take({.full = story.full(20), .steps = {}}), std::vector<Epoch>{20});
    EXPECT_EQ(take(story.to(21, 22)), (std::vector<Epoch>{21, 22}));
    EXPECT_EQ(offered(19), std::nullopt) << "the steps before the leap are not one row any more";
    EXPECT_EQ(offered(20), (Offer{21, 22}));
}

TEST_F(Following, keeps_the_epochs_before_a_step_that_does_not_fit) {
    take(story.start());
    message::Maps maps = story.to(8, 10);
    auto foreign = std::make_shared<OsdMapIncremental>(*maps.steps[1]);
    foreign->fsid.bytes[0] = 9;
    maps.steps[1] = foreign;
    auto taken = follower.take(maps);
    ASSERT_FALSE(taken);
    EXPECT_EQ(follower.epoch(), 8u);
}

TEST_F(Following, leads_a_peer_that_is_behind) {
    EXPECT_EQ(offered(0), std::nullopt);
    take(story.start());
    EXPECT_EQ(offered(6), std::nullopt) << "a full map is no step";
    take(story.to(8, 12));
    EXPECT_EQ(offered(7), (Offer{8, 12}));
    EXPECT_EQ(offered(10), (Offer{11, 12}));
    EXPECT_EQ(offered(12), std::nullopt);
    EXPECT_EQ(offered(99), std::nullopt);
    EXPECT_EQ(offered(3), std::nullopt);
}

TEST_F(Following, keeps_so_many_steps_and_gives_so_many_at_once) {
    take(story.start());
    take(story.to(8, 700));
    const Epoch oldest = 700 - MapFollower::kept_steps + 1;
    EXPECT_EQ(offered(oldest - 2), std::nullopt);
    EXPECT_EQ(offered(oldest - 1),
              (Offer{oldest, oldest + static_cast<Epoch>(MapFollower::most_steps) - 1}));
    EXPECT_EQ(offered(650), (Offer{651, 700}));
}

} // namespace
} // namespace cloudlet::rados
