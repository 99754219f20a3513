#include "plan_test_support.h"

#include "cloudlet/rados/transaction.h" // with plan.h: no name is in both

namespace cloudlet::rados {
namespace {

std::vector<std::string> spelled(std::string_view text) {
    std::vector<std::string> words;
    for (const Change& change : changes_of(text)) words.push_back(change.to_string());
    return words;
}

std::string error_of(std::string text) {
    const std::string words[] = {std::move(text)};
    auto changes = parse_changes(words);
    EXPECT_FALSE(changes) << words[0] << " is no list of changes";
    return changes ? "" : changes.error().to_string();
}

using testing::ElementsAre;
using testing::HasSubstr;

TEST(PlanWords, ReadEveryChangeAndSpellItTheSame) {
    for (std::string text :
         {"out osd.3", "in osd.3", "reweight osd.3 0.5", "crush-reweight osd.3 1.2",
          "crush-reweight host1 0", "add osd.12 weight 1 host=h3", "remove osd.3", "replace osd.3",
          "add osd.12 weight 1.5 root=default host=h3 class=ssd", "replace osd.3 weight 2",
          "move h3 root=default", "rule rbd fast", "tunables hammer", "size rbd 3",
          "pg_num rbd 256", "set norebalance,nobackfill", "unset noout"})
        EXPECT_THAT(spelled(text), ElementsAre(text));
}

TEST(PlanWords, ReadManyChangesInOneLineWithOrWithoutSeparators) {
    auto same = ElementsAre("out osd.3", "remove osd.3", "add osd.16 weight 1 host=host0");
    EXPECT_THAT(spelled("out osd.3 remove osd.3 add osd.16 weight 1 host=host0"), same);
    EXPECT_THAT(spelled("out osd.3, remove osd.3; add osd.16 host=host0 weight=1"), same);
    EXPECT_THAT(spelled("out 3 then remove 3 then add 16 1.0 host=host0"), same);
    EXPECT_THAT(spelled("out osd.1 osd.2 in 4"), ElementsAre("out osd.1", "out osd.2", "in osd.4"));
}

TEST(PlanWords, UnderstandCephsOwnSpelling) {
    EXPECT_THAT(spelled("ceph osd out 3; ceph osd crush reweight osd.3 0; osd purge 3 "
                        "--yes-i-really-mean-it; osd crush add osd.3 1.0 host=a"),
                ElementsAre("out osd.3", "crush-reweight osd.3 0", "remove osd.3",
                            "add osd.3 weight 1 host=a"));
    EXPECT_THAT(spelled("osd pool set rbd size 2 osd pool set rbd crush_rule fast"),
                ElementsAre("size rbd 2", "rule rbd fast"));
    EXPECT_THAT(spelled("osd set norebalance osd crush remove osd.1 osd unset norebalance"),
                ElementsAre("set norebalance", "remove osd.1", "unset norebalance"));
}

TEST(PlanWords, SetABareFlagAndUnsetAllThatWereSet) {
    EXPECT_THAT(
        spelled("norebalance nobackfill remove osd.3 unset"),
        ElementsAre("set norebalance,nobackfill", "remove osd.3", "unset norebalance,nobackfill"));
}

TEST(PlanWords, NameThePoolLikeAVerb) {
    EXPECT_THAT(spelled("size size 3"), ElementsAre("size size 3"));
}

TEST(PlanWords, RefuseWhatTheyDoNotUnderstandAndSayWhatWasExpected) {
    EXPECT_THAT(error_of(""), HasSubstr("no change given"));
    EXPECT_THAT(error_of("explode osd.3"), HasSubstr("'explode' is not a change"));
    EXPECT_THAT(error_of("out"), HasSubstr("its form is: out OSD..."));
    EXPECT_THAT(error_of("out host1"), HasSubstr("'host1' is not an OSD; write osd.3 or 3"));
    EXPECT_THAT(error_of("out osd.-1"), HasSubstr("is not an OSD"));
    EXPECT_THAT(error_of("reweight osd.3"), HasSubstr("form is: reweight OSD 0..1"));
    EXPECT_THAT(error_of("reweight osd.3 half"), HasSubstr("'half' is not a number"));
    EXPECT_THAT(error_of("crush-reweight osd.3 -1"), HasSubstr("no good value"));
    EXPECT_THAT(error_of("crush-reweight osd.3 nan"), HasSubstr("is not a number"));
    EXPECT_THAT(error_of("size rbd 2.5"), HasSubstr("no good value"));
    EXPECT_THAT(error_of("add osd.9 weight 1"), HasSubstr("where shall osd.9 be?"));
    EXPECT_THAT(error_of("add osd.9 host=a"), HasSubstr("needs a weight"));
    EXPECT_THAT(error_of("add osd.9 weight 1 host=a wight=2 fast"), HasSubstr("'fast'"));
    EXPECT_THAT(error_of("replace osd.9 host=a"), HasSubstr("'host=a' is not understood"));
    EXPECT_THAT(error_of("set"), HasSubstr("flags are noup, nodown"));
    EXPECT_THAT(error_of("set norebalanse"), HasSubstr("does not know the flag 'norebalanse'"));
    EXPECT_THAT(error_of("unset"), HasSubstr("none was set before"));
    EXPECT_THAT(error_of("osd pool set rbd min_size 1"), HasSubstr("'min_size' of a pool"));
    EXPECT_THAT(error_of("osd pool set"), HasSubstr("osd pool set POOL KEY VALUE"));
    EXPECT_THAT(error_of("osd"), HasSubstr("not complete"));
}

TEST(PlanWords, GiveTheCommandsOfTheRealClient) {
    EXPECT_THAT(changes_of("set norebalance,nobackfill")[0].commands(),
                ElementsAre("ceph osd set norebalance", "ceph osd set nobackfill"));
    EXPECT_THAT(changes_of("crush-reweight osd.3 0")[0].commands(),
                ElementsAre("ceph osd crush reweight osd.3 0"));
    EXPECT_THAT(changes_of("remove 3")[0].commands(),
                ElementsAre("systemctl stop ceph-osd@3", "ceph osd crush remove osd.3",
                            "ceph auth del osd.3", "ceph osd rm osd.3"));
}

TEST(PlanWords, ReadSizes) {
    EXPECT_EQ(parse_bytes("4096").value(), 4096);
    EXPECT_EQ(parse_bytes("2K").value(), 2048);
    EXPECT_EQ(parse_bytes("1.5 TiB").value(), 1.5 * 1024 * 1024 * 1024 * 1024);
    EXPECT_EQ(parse_bytes("3MB").value(), 3e6);
    for (const char* bad : {"", "T", "10X", "1.2.3", "-1", "10 TiBs", "nan"})
        EXPECT_FALSE(parse_bytes(bad)) << bad;
}

} // namespace
} // namespace cloudlet::rados
