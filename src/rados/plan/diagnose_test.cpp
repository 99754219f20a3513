#include "cloudlet/rados/crush_edit.h"
#include "cloudlet/rados/diagnose.h"
#include "plan_test_support.h"

namespace cloudlet::rados {
namespace {

using testing::HasSubstr;

/// The one finding of a map, or an empty one.
Finding only_finding(const OsdMap& map) {
    auto findings = diagnose(map);
    EXPECT_EQ(findings.size(), 1u);
    return findings.empty() ? Finding{} : findings.front();
}

OsdMap with_crush(OsdMap map, const std::function<void(CrushMap&)>& change) {
    CrushMap crush = *map.crush;
    change(crush);
    map.set_crush(std::move(crush));
    return map;
}

TEST(Diagnose, FindsNothingInAHealthyMap) { EXPECT_TRUE(diagnose(test_map(4, 4, 128, 3)).empty()); }

TEST(Diagnose, NamesWeightsThatAreAllZero) {
    auto map = with_crush(test_map(2, 2, 16, 2), [](CrushMap& crush) {
        for (int32_t osd = 0; osd < 4; ++osd) EXPECT_TRUE(reweight_item(crush, osd, 0));
    });
    auto found = only_finding(map);
    EXPECT_THAT(found.cause, HasSubstr("every device below 'root' has CRUSH weight 0"));
    EXPECT_THAT(found.remedy, HasSubstr("ceph osd crush reweight osd.0 1.0"));
}

TEST(Diagnose, NamesDevicesThatAreAllOut) {
    OsdMap map = test_map(2, 2, 16, 2);
    for (uint32_t& weight : map.osd_weight) weight = 0;
    EXPECT_THAT(only_finding(map).cause, HasSubstr("every device below 'root' is out"));
    EXPECT_THAT(only_finding(map).remedy, HasSubstr("ceph osd in osd.0"));
}

TEST(Diagnose, NamesARuleThatWantsMoreHostsThanThereAre) {
    auto found = only_finding(test_map(1, 8, 64, 3));
    EXPECT_THAT(found.cause,
                HasSubstr("puts each of 3 copies into another host, and only one host"));
    EXPECT_THAT(found.cause, HasSubstr("2 copies have no place"));
    EXPECT_THAT(found.remedy, HasSubstr("ceph osd crush rule create-replicated by-osd root osd"));
    EXPECT_THAT(found.remedy, HasSubstr("ceph osd pool set rbd crush_rule by-osd"));
}

TEST(Diagnose, DoesNotCountAHostWhoseDevicesAreOut) {
    OsdMap map = test_map(3, 2, 64, 3);
    map.osd_weight[4] = map.osd_weight[5] = 0;
    EXPECT_THAT(only_finding(map).cause, HasSubstr("only 2 hosts"));
}

OsdMap with_tunables(OsdMap map, std::string_view profile) {
    return with_crush(std::move(map),
                      [&](CrushMap& crush) { crush.tunables = *CrushTunables::profile(profile); });
}

TEST(Diagnose, NamesLegacyTunablesWithFewHosts) {
    auto found = only_finding(with_tunables(test_map(3, 4, 256, 3), "legacy"));
    EXPECT_THAT(found.cause, HasSubstr("legacy tunables (profile argonaut) with few places"));
    EXPECT_THAT(found.remedy, HasSubstr("ceph osd crush tunables optimal"));
    EXPECT_TRUE(diagnose(with_tunables(test_map(20, 1, 256, 3), "legacy")).empty()) << "many hosts";
}

TEST(Diagnose, CountsThePgsThatOldTunablesLeaveShort) {
    OsdMap map = test_map(3, 4, 256, 3);
    map.osd_weight[0] = 0;
    EXPECT_TRUE(diagnose(map).empty());
    auto found = only_finding(with_tunables(map, "bobtail"));
    EXPECT_THAT(found.cause, HasSubstr("old tunables (profile bobtail)"));
    EXPECT_THAT(found.cause, HasSubstr("of 256 PGs get fewer than 3 copies"));
}

TEST(Diagnose, NamesAWalkThatNeedsMoreTries) {
    OsdMap map = test_map(3, 4, 1024, 3);
    map.osd_weight[0] = map.osd_weight[1] = map.osd_weight[2] = 0;
    EXPECT_THAT(only_finding(map).cause, HasSubstr("after 51 tries"));
    EXPECT_THAT(only_finding(map).remedy, HasSubstr("--set-choose-total-tries 100"));
}

TEST(Diagnose, NamesAPoolThatNoRuleServes) {
    OsdMap map = test_map(3, 1, 16, 3);
    map.pools[1].crush_rule = 9;
    EXPECT_THAT(only_finding(map).cause, HasSubstr("no CRUSH rule serves it (rule 9, replicated"));
}

TEST(Diagnose, NamesARootWithoutDevices) {
    auto map = with_crush(test_map(1, 2, 16, 1), [](CrushMap& crush) {
        EXPECT_TRUE(remove_item(crush, 0));
        EXPECT_TRUE(remove_item(crush, 1));
    });
    EXPECT_THAT(only_finding(map).cause, HasSubstr("takes 'root', which holds no devices"));
}

TEST(Diagnose, TellsOfAMistakeThatAPlanWouldMake) {
    Plan plan = plan_of(test_map(2, 1, 16, 2), "remove osd.1");
    EXPECT_TRUE(plan.findings.empty());
    ASSERT_EQ(plan.findings_after.size(), 1u);
    EXPECT_THAT(plan.findings_after[0].cause, HasSubstr("only one host"));
}

} // namespace
} // namespace cloudlet::rados
