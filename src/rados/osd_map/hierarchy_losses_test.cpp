// A pool that is updated over a shrinking hierarchy equals one that is placed anew, and costs less.

#include "cloudlet/base/random.h"
#include "hierarchy_losses.h"
#include "plan/plan_test_support.h"

namespace cloudlet::rados {
namespace {

struct Update {
    bool right = false;
    uint32_t walked = 0;
};

Update update(const OsdMap& map, std::string_view change) {
    auto next = apply_change(map, changes_of(change)[0]);
    EXPECT_TRUE(next) << (next ? "" : next.error().to_string());
    auto before = Placer::prepare(std::make_shared<OsdMap>(map));
    auto after = before->prepare_next(std::make_shared<OsdMap>(*next));
    CrushWorkspace work;
    auto old = before->place_pool(work, 1);
    auto updated = after->update_pool(work, *before, old, 1);
    return {updated == after->place_pool(work, 1), updated.walked};
}

TEST(HierarchyLosses, RemovingAnOsdWalksOnlyWhatMetItsTopBucket) {
    Update done = update(test_map(20, 4, 4096, 3), "remove osd.7");
    EXPECT_TRUE(done.right);
    EXPECT_GT(done.walked, 0u);
    EXPECT_LT(done.walked, 4096u / 4) << "3 copies on 20 hosts: 15 % of the PGs are on the host";
}

TEST(HierarchyLosses, RemovingAnOsdOfWeightZeroWalksNothing) {
    OsdMap map = test_map(20, 4, 4096, 3);
    map = *apply_change(map, changes_of("crush-reweight osd.7 0")[0]);
    Update done = update(map, "remove osd.7");
    EXPECT_TRUE(done.right);
    EXPECT_EQ(done.walked, 0u);
}

TEST(HierarchyLosses, GainsWalkEverything) {
    Update done = update(test_map(20, 4, 512, 3), "crush-reweight osd.7 2");
    EXPECT_TRUE(done.right);
    EXPECT_EQ(done.walked, 512u);
}

/// A random hierarchy with uneven weights, some devices out or half in, and a random loss.
TEST(HierarchyLosses, UpdatesEqualPlacingAnewOnRandomMaps) {
    Random random(20240607);
    uint32_t saved = 0;
    for (int round = 0; round < 150; ++round) {
        uint32_t hosts = 2 + static_cast<uint32_t>(random.below(8));
        uint32_t per_host = 1 + static_cast<uint32_t>(random.below(5));
        OsdMap map = test_map(hosts, per_host, 256, static_cast<uint8_t>(1 + random.below(4)),
                              hosts % 2 ? 0 : 2);
        auto osds = static_cast<uint64_t>(map.max_osd());
        for (int i = 0; i < 6; ++i) {
            auto osd = random.below(osds);
            auto weight = static_cast<double>(random.below(30)) / 10;
            map = *apply_change(
                map, changes_of(fmt::format("crush-reweight osd.{} {}", osd, weight))[0]);
        }
        if (random.below(2)) map.osd_weight[random.below(osds)] = 0;
        if (random.below(2)) map.osd_weight[random.below(osds)] = crush_weight_one / 2;
        auto osd = random.below(osds);
        std::string change = random.below(2) ? fmt::format("remove osd.{}", osd)
                                             : fmt::format("crush-reweight osd.{} 0.05", osd);
        Update done = update(map, change);
        EXPECT_TRUE(done.right) << "round " << round << ": " << change;
        saved += done.walked < 256;
    }
    EXPECT_GT(saved, 30u) << "the shortcut is taken";
}

} // namespace
} // namespace cloudlet::rados
