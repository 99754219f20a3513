#include "cloudlet/api/selector.h"

namespace cloudlet::api {
namespace {

codec::Json labels(std::initializer_list<std::pair<std::string_view, codec::Json>> pairs) {
    return codec::Json::object(pairs);
}

bool matches(std::string_view selector, const codec::Json& on) {
    return LabelSelector::parse(selector)->matches(on);
}

TEST(LabelSelector, MatchesAsKubernetesDoes) {
    auto web = labels({{"app", "web"}, {"tier", "front"}, {"n", "5"}});
    for (auto yes : {"", "app=web", "app==web", "app = web , tier=front", "app in (db, web)", "app",
                     "!zone", "zone!=a", "zone notin (a,b)", "app!=db", "n>4", "n<6"})
        EXPECT_TRUE(matches(yes, web)) << yes;
    for (auto no : {"app=db", "zone", "!app", "zone=a", "app notin (web)", "app in ()", "n>5",
                    "app>1", "zone in (a)"})
        EXPECT_FALSE(matches(no, web)) << no;
}

TEST(LabelSelector, AMissingLabelSatisfiesOnlyNegations) {
    auto none = labels({});
    EXPECT_TRUE(matches("a!=b", none));
    EXPECT_TRUE(matches("a notin (b)", none));
    EXPECT_FALSE(matches("a=", none));
    EXPECT_TRUE(matches("a=", labels({{"a", ""}})));
}

TEST(LabelSelector, SpellsItselfSoThatItParsesAgain) {
    for (auto text : {"app=web", "a in (b,c)", "a notin (b,c)", "!x", "x", "a!=b", "n>3", "n<3",
                      "example.com/role=db"})
        EXPECT_EQ(LabelSelector::parse(text)->to_string(), text);
}

TEST(LabelSelector, RefusesWhatDoesNotParse) {
    for (auto bad :
         {"=a", "a=b,", "a in", "a in (b", "a b", ",", "a=b c", "-a=b", "a=-b", "a/b/c=d", "!"})
        EXPECT_EQ(LabelSelector::parse(bad).error().code, Code::invalid) << bad;
}

TEST(LabelSelector, ReadsTheObjectForm) {
    auto selector = LabelSelector::from_json(*codec::parse_json(
        R"({"matchLabels":{"app":"web"},"matchExpressions":[{"key":"tier","operator":"NotIn","values":["back"]}]})"));
    ASSERT_TRUE(selector);
    EXPECT_TRUE(selector->matches(labels({{"app", "web"}})));
    EXPECT_FALSE(selector->matches(labels({{"app", "web"}, {"tier", "back"}})));
    EXPECT_FALSE(LabelSelector::from_json(
        *codec::parse_json(R"({"matchExpressions":[{"key":"tier","operator":"In"}]})")));
    EXPECT_FALSE(LabelSelector::from_json(*codec::parse_json(
        R"({"matchExpressions":[{"key":"tier","operator":"Near","values":["x"]}]})")));
}

TEST(FieldSelector, ComparesScalarsAndTreatsAbsentAsEmpty) {
    auto pod = *codec::parse_json(
        R"({"metadata":{"name":"a"},"spec":{"hostNetwork":true},"status":{"phase":"Running"}})");
    for (auto yes :
         {"", "metadata.name=a", "status.phase!=Failed", "spec.nodeName=", "spec.hostNetwork=true"})
        EXPECT_TRUE(FieldSelector::parse(yes)->matches(pod)) << yes;
    for (auto no : {"metadata.name=b", "status.phase!=Running", "spec.nodeName!="})
        EXPECT_FALSE(FieldSelector::parse(no)->matches(pod)) << no;
    EXPECT_FALSE(FieldSelector::parse("metadata.name"));
}

TEST(FieldSelector, EscapesItsSigns) {
    auto selector = FieldSelector::equals("metadata.name", "a,b=c\\");
    auto again = FieldSelector::parse(selector.to_string());
    ASSERT_TRUE(again);
    EXPECT_EQ(*again->required_value("metadata.name"), "a,b=c\\");
    EXPECT_EQ(again->required_value("metadata.namespace"), nullptr);
}

} // namespace
} // namespace cloudlet::api
