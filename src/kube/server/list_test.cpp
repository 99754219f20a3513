// Lists: pages of one snapshot, resource versions, selectors, representations.

#include <set>

#include "test_world.h"

namespace cloudlet::kube::server::testing {
namespace {

const std::string config_maps = "/api/v1/namespaces/default/configmaps";

void make_config_maps(World& world, int count) {
    for (int i = 0; i < count; ++i)
        world.client().create(resources::config_maps, "default",
                              config_map("c" + std::to_string(100 + i)));
}

TEST(List, GivenALimitThenPagesShowOneSnapshotWhileObjectsChange) {
    World world;
    make_config_maps(world, 25);
    std::set<std::string> names;
    std::string token, version;
    for (int page = 0; page < 3; ++page) {
        const Answer answer = world.ask("GET", config_maps + "?limit=10" +
                                                   (token.empty() ? "" : "&continue=" + token));
        ASSERT_EQ(answer.status, 200) << answer.text;
        const Json& metadata = answer.json["metadata"];
        if (page == 0) version = metadata["resourceVersion"].as_string();
        if (page == 0) {
            EXPECT_EQ(metadata["remainingItemCount"].as_int(), 15);
        }
        EXPECT_EQ(metadata["resourceVersion"].as_string(), version);
        for (const Json& item : answer.json["items"].items())
            names.emplace(item.at({"metadata", "name"}).as_string());
        token = metadata["continue"].as_string();
        world.ask("DELETE", config_maps + "/c12" + std::to_string(page + 1));
        world.client().create(resources::config_maps, "default",
                              config_map("c2" + std::to_string(page)));
    }
    EXPECT_TRUE(token.empty());
    EXPECT_EQ(names.size(), 25u);
    EXPECT_TRUE(names.contains("c121"));
    EXPECT_FALSE(names.contains("c20"));
}

TEST(List, GivenACompactedSnapshotThenExpiredWithATokenThatGoesOn) {
    World world;
    make_config_maps(world, 10);
    const Answer first = world.ask("GET", config_maps + "?limit=4");
    const std::string token(first.json.at({"metadata", "continue"}).as_string());
    world.ask("DELETE", config_maps + "/c109");
    must(world.store().compact(world.store().revision()));
    const Answer expired = world.ask("GET", config_maps + "?limit=4&continue=" + token);
    EXPECT_EQ(expired.status, 410);
    EXPECT_EQ(expired.json["reason"].as_string(), "Expired");
    const std::string fresh(expired.json.at({"metadata", "continue"}).as_string());
    ASSERT_FALSE(fresh.empty());
    const Answer rest = world.ask("GET", config_maps + "?limit=10&continue=" + fresh);
    EXPECT_EQ(rest.status, 200);
    EXPECT_EQ(rest.json["items"].size(), 5u);
    EXPECT_EQ(world.ask("GET", config_maps + "?continue=rubbish").status, 400);
}

TEST(List, GivenResourceVersionsThenExactShowsThePastAndTheFutureIsRefused) {
    World world;
    make_config_maps(world, 2);
    const std::string then(
        world.ask("GET", config_maps).json.at({"metadata", "resourceVersion"}).as_string());
    make_config_maps(world, 4);
    auto count = [&](const std::string& query) {
        return world.ask("GET", config_maps + query).json["items"].size();
    };
    EXPECT_EQ(count("?resourceVersionMatch=Exact&resourceVersion=" + then), 2u);
    EXPECT_EQ(count("?resourceVersionMatch=NotOlderThan&resourceVersion=" + then), 4u);
    EXPECT_EQ(count("?resourceVersion=" + then), 4u);
    EXPECT_EQ(count("?resourceVersion=0"), 4u);
    const Answer future = world.ask("GET", config_maps + "?resourceVersion=999999");
    EXPECT_EQ(future.status, 504);
    EXPECT_EQ(future.json.at({"details", "causes"})[0]["reason"].as_string(),
              "ResourceVersionTooLarge");
    EXPECT_EQ(world.ask("GET", config_maps + "?resourceVersion=x").status, 400);
    EXPECT_EQ(world.ask("GET", config_maps + "?resourceVersionMatch=Exact").status, 400);
}

TEST(List, GivenSelectorsThenOnlyMatchesAndAnUnknownFieldIsRefused) {
    World world;
    world.client().create(resources::pods, "default", pod("a"));
    world.client().create(resources::pods, "default", pod("b"));
    world.client().post(
        resources::pods, {"default", "b"}, "binding",
        Json::object({{"target", Json::object({{"kind", "Node"}, {"name", "n1"}})}}));
    const std::string pods = "/api/v1/pods?fieldSelector=";
    EXPECT_EQ(world.ask("GET", pods + "spec.nodeName%3Dn1").json["items"].size(), 1u);
    EXPECT_EQ(
        world.ask("GET", pods + "spec.nodeName%3Dn1,status.phase!%3DFailed").json["items"].size(),
        1u);
    EXPECT_EQ(world.ask("GET", pods + "metadata.name%3Da,metadata.namespace%3Ddefault")
                  .json["items"]
                  .size(),
              1u);
    const Answer unknown = world.ask("GET", pods + "spec.color%3Dred");
    EXPECT_EQ(unknown.status, 400);
    EXPECT_EQ(unknown.json["message"].as_string(), "field label not supported: spec.color");
}

TEST(List, GivenTableAndPartialFormsThenEachIsWritten) {
    World world;
    make_config_maps(world, 2);
    const Answer table =
        world.ask("GET", config_maps + "?limit=500", {},
                  {{"Accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}});
    EXPECT_EQ(table.json["kind"].as_string(), "Table");
    EXPECT_EQ(table.json["rows"].size(), 2u);
    EXPECT_EQ(table.json["rows"][0]["cells"][0].as_string(), "c100");
    const Answer partial =
        world.ask("GET", config_maps, {},
                  {{"Accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}});
    EXPECT_EQ(partial.json["kind"].as_string(), "PartialObjectMetadataList");
    EXPECT_TRUE(partial.json["items"][0]["data"].is_null());
    const Answer one = world.ask("GET", config_maps + "/c100", {},
                                 {{"Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"}});
    EXPECT_EQ(one.json["rows"].size(), 1u);
    EXPECT_EQ(world.ask("GET", config_maps, {}, {{"Accept", "application/vnd.kubernetes.protobuf"}})
                  .status,
              406);
    EXPECT_EQ(world
                  .ask("GET", config_maps, {},
                       {{"Accept", "application/vnd.kubernetes.protobuf,application/json"}})
                  .status,
              200);
}

} // namespace
} // namespace cloudlet::kube::server::testing
