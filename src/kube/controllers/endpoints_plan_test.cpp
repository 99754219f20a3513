#include "endpoints_plan.h"

#include "test_objects.h"

namespace cloudlet::kube::controllers {
namespace {

api::Object service(
    std::string spec = "'ports':[{'name':'web','port':80,'targetPort':'http','protocol':'TCP'}]") {
    return api::Object(
        json("{'apiVersion':'v1','kind':'Service','metadata':{'name':'web','namespace':'default',"
             "'uid':'svc','labels':{'team':'x'}},'spec':{'selector':{'app':'web'}," +
             spec + "}}"));
}

TEST(Slices, TellReadyServingAndTerminatingApart) {
    const auto contents = slice_contents(
        service(), {pod({.name = "a"}), pod({.name = "b", .ready = false}),
                    pod({.name = "c", .deleting = true}), pod({.name = "d", .ip = ""}),
                    pod({.name = "e", .phase = "Succeeded"})});
    ASSERT_EQ(contents.size(), 1u);
    EXPECT_EQ(contents[0].ports.dump(), R"([{"name":"web","port":8080,"protocol":"TCP"}])");
    std::string line;
    for (const Json& one : contents[0].endpoints.items())
        line += std::string(one["targetRef"]["name"].as_string()) + one["conditions"].dump();
    EXPECT_EQ(line, R"(a{"ready":true,"serving":true,"terminating":false})"
                    R"(b{"ready":false,"serving":false,"terminating":false})"
                    R"(c{"ready":false,"serving":true,"terminating":true})");
}

TEST(Slices, PublishUnreadyAddressesWhenAsked) {
    const auto contents = slice_contents(service("'publishNotReadyAddresses':true"),
                                         {pod({.name = "b", .ready = false})});
    EXPECT_TRUE(contents[0].endpoints[0]["conditions"]["ready"].as_bool());
    EXPECT_TRUE(contents[0].ports.empty());
}

TEST(Slices, HoldAtMostAHundredEndpoints) {
    std::vector<api::Object> pods;
    for (int i = 0; i < 250; ++i) pods.push_back(pod({.name = "p" + std::to_string(1000 + i)}));
    const auto contents = slice_contents(service(), pods);
    ASSERT_EQ(contents.size(), 3u);
    EXPECT_EQ(contents[2].endpoints.size(), 50u);
    EXPECT_EQ(slice_contents(service(), {}).size(), 1u);
}

TEST(PlanSlices, WritesOnlyWhatDiffers) {
    auto as_slice = [](const SliceContent& content, std::string name) {
        return api::Object(Json::object({{"metadata", Json::object({{"name", name}})},
                                         {"endpoints", content.endpoints},
                                         {"ports", content.ports}}));
    };
    const auto contents = slice_contents(service(), {pod({.name = "a"})});
    const auto others = slice_contents(service(), {pod({.name = "b"})});
    auto same = plan_slices(contents, {as_slice(others[0], "s2"), as_slice(contents[0], "s1")});
    EXPECT_TRUE(same.update.empty() && same.create.empty());
    ASSERT_EQ(same.remove.size(), 1u);
    EXPECT_EQ(same.remove[0].name(), "s2");
    EXPECT_EQ(plan_slices(contents, {as_slice(others[0], "s1")}).update.size(), 1u);
    EXPECT_EQ(plan_slices(contents, {}).create.size(), 1u);
}

TEST(Endpoints, SeparateReadyFromUnreadyAndLeaveTerminatingOut) {
    const auto subsets = endpoint_subsets(
        service(), {pod({.name = "a"}), pod({.name = "b", .ready = false, .ip = "10.0.0.2"}),
                    pod({.name = "c", .deleting = true})});
    ASSERT_EQ(subsets.size(), 1u);
    EXPECT_EQ(subsets[0]["addresses"].size(), 1u);
    EXPECT_EQ(subsets[0]["notReadyAddresses"][0]["ip"].as_string(), "10.0.0.2");
    EXPECT_EQ(subsets[0]["ports"].dump(), R"([{"name":"web","port":8080,"protocol":"TCP"}])");
}

TEST(Endpoints, OfAServiceWithNumbersAndWithoutNames) {
    const auto subsets = endpoint_subsets(
        service("'ports':[{'port':80,'targetPort':9000},{'port':5,'targetPort':'none'}]"),
        {pod({.name = "a"})});
    EXPECT_EQ(subsets[0]["ports"].dump(), R"([{"port":9000,"protocol":"TCP"}])");
    EXPECT_TRUE(
        endpoint_subsets(service("'ports':[{'port':5,'targetPort':'none'}]"), {pod()}).empty());
}

TEST(Endpoints, AreMadeForServicesWithSelectorsAlone) {
    EXPECT_TRUE(is_managed(service()));
    EXPECT_FALSE(is_managed(service("'type':'ExternalName'")));
    EXPECT_FALSE(is_managed(api::Object(json("{'spec':{'ports':[]}}"))));
    EXPECT_EQ(endpoints_labels(service("'clusterIP':'None'")).dump(),
              R"({"team":"x","service.kubernetes.io/headless":""})");
}

} // namespace
} // namespace cloudlet::kube::controllers
