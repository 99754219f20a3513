// What clients send that is wrong, and what they are told.

#include "test_world.h"

namespace cloudlet::kube::server::testing {
namespace {

const std::string config_maps = "/api/v1/namespaces/default/configmaps";
const std::string deployments = "/apis/apps/v1/namespaces/default/deployments";

std::string message(const Answer& answer) {
    return std::string(answer.json["message"].as_string());
}

TEST(BadInput, GivenBrokenJsonThen400WithThePlace) {
    World world;
    const Answer answer = world.ask("POST", config_maps, "{\"metadata\": ");
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(answer.json["reason"].as_string(), "BadRequest");
    EXPECT_NE(message(answer).find("line 1"), std::string::npos) << message(answer);
    EXPECT_EQ(world.ask("POST", config_maps, "[1]").status, 400);
    const Answer deep = world.ask("POST", config_maps, std::string(1000, '['));
    EXPECT_EQ(deep.status, 400);
    EXPECT_NE(message(deep).find("nested deeper than 128"), std::string::npos) << message(deep);
    EXPECT_EQ(world.ask("POST", config_maps, "a: [", {{"Content-Type", "application/yaml"}}).status,
              400);
}

TEST(BadInput, GivenABodyOfTenMegabytesThen413AsAStatus) {
    World world;
    const Answer answer =
        world.ask("POST", config_maps, config_map("big", std::string(10 << 20, 'x')).dump());
    EXPECT_EQ(answer.status, 413);
    EXPECT_EQ(answer.json["kind"].as_string(), "Status");
    EXPECT_EQ(answer.json["reason"].as_string(), "RequestEntityTooLarge");
}

TEST(BadInput, GivenProtobufThen415ThatNamesTheFileOption) {
    World world;
    const Answer answer = world.ask("POST", config_maps, std::string("k8s\0abc", 7),
                                    {{"Content-Type", "application/vnd.kubernetes.protobuf"}});
    EXPECT_EQ(answer.status, 415);
    EXPECT_EQ(answer.json["reason"].as_string(), "UnsupportedMediaType");
    EXPECT_NE(message(answer).find("kubectl create -f FILE"), std::string::npos);
    EXPECT_EQ(world.ask("POST", config_maps, "{}", {{"Content-Type", "application/cbor"}}).status,
              415);
    EXPECT_EQ(
        world.ask("PATCH", config_maps + "/a", "{}", {{"Content-Type", "application/json"}}).status,
        415);
}

TEST(BadInput, GivenUnknownAndDuplicateFieldsThenStrictRefusesWarnWarnsIgnoreIsSilent) {
    World world;
    const std::string body =
        R"({"metadata":{"name":"a"},"dta":{"k":"v"},"data":{"a":"1"},"data":{"a":"2"}})";
    const Answer strict = world.ask("POST", config_maps + "?fieldValidation=Strict", body);
    EXPECT_EQ(strict.status, 400);
    EXPECT_EQ(
        message(strict),
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: "
        "duplicate field \"data\", unknown field \"dta\"");
    const Answer warned = world.ask("POST", config_maps + "?dryRun=All", body);
    EXPECT_EQ(warned.status, 201);
    const auto warnings = warned.headers.all("Warning");
    ASSERT_EQ(warnings.size(), 2u);
    EXPECT_EQ(warnings[0], "299 - \"unknown field \\\"dta\\\"\"");
    EXPECT_TRUE(warned.json["dta"].is_null());
    const Answer ignored = world.ask("POST", config_maps + "?fieldValidation=Ignore", body);
    EXPECT_EQ(ignored.status, 201);
    EXPECT_TRUE(ignored.headers.all("Warning").empty());
    EXPECT_EQ(world.ask("POST", config_maps + "?fieldValidation=Perhaps", body).status, 400);
}

TEST(BadInput, GivenAWrongTypeThen400InGosWords) {
    World world;
    Json object = deployment("web");
    object.set_path({"spec", "replicas"}, "three");
    const Answer answer = world.ask("POST", deployments, object.dump());
    EXPECT_EQ(answer.status, 400);
    EXPECT_NE(message(answer).find("cannot unmarshal string into Go struct field"),
              std::string::npos)
        << answer.text;
}

TEST(BadInput, GivenADeletionWhoseConditionsCannotBeReadThen400AndTheObjectStays) {
    World world;
    world.ask("POST", config_maps, config_map("kept").dump());
    for (const char* body :
         {R"({"gracePeriodSeconds":"soon"})", R"({"preconditions":"the same uid"})",
          R"({"preconditions":{"uid":7}})", R"({"dryRun":"All"})", R"({"dryRun":["Some"]})",
          R"({"propagationPolicy":"Later"})", "[]", "7", "{"}) {
        const Answer answer = world.ask("DELETE", config_maps + "/kept", body);
        EXPECT_EQ(answer.status, 400) << body << ": " << answer.text;
        EXPECT_EQ(world.ask("GET", config_maps + "/kept").status, 200) << body;
    }
    EXPECT_EQ(world
                  .ask("DELETE", config_maps + "/kept", R"({"kind":"DeleteOptions",
        "apiVersion":"apps/v1","propagationPolicy":"Background"})")
                  .status,
              200);
}

TEST(BadInput, GivenInvalidFieldsThen422WithACauseForEach) {
    World world;
    Json object = deployment("Web_1");
    object.set_path({"spec", "replicas"}, -1);
    const Answer answer = world.ask("POST", deployments, object.dump());
    EXPECT_EQ(answer.status, 422);
    EXPECT_EQ(answer.json["reason"].as_string(), "Invalid");
    EXPECT_EQ(answer.json.at({"details", "kind"}).as_string(), "Deployment");
    EXPECT_EQ(answer.json.at({"details", "group"}).as_string(), "apps");
    EXPECT_GE(answer.json.at({"details", "causes"}).size(), 2u);
    EXPECT_TRUE(message(answer).starts_with("Deployment.apps \"Web_1\" is invalid: ["));
}

TEST(BadInput, GivenWrongPathsMethodsAndNamesThenStatusesSaySo) {
    World world;
    EXPECT_EQ(world.ask("GET", "/api/v1/namespaces/default/unicorns").status, 404);
    EXPECT_EQ(world.ask("GET", "/apis/none.example.com/v1/things").status, 404);
    EXPECT_EQ(world.ask("GET", "/nowhere").json["reason"].as_string(), "NotFound");
    EXPECT_EQ(world.ask("PUT", config_maps, "{}").json["reason"].as_string(), "MethodNotAllowed");
    EXPECT_EQ(world.ask("POST", "/api/v1/configmaps", "{}").status, 405);
    EXPECT_EQ(world.ask("POST", config_maps + "/a", "{}").status, 405);
    const Answer other_name = [&] {
        world.ask("POST", config_maps, config_map("a").dump());
        return world.ask("PUT", config_maps + "/a", config_map("b").dump());
    }();
    EXPECT_EQ(other_name.status, 400);
    EXPECT_EQ(message(other_name),
              "the name of the object (b) does not match the name on the URL (a)");
    Json elsewhere = config_map("c");
    elsewhere.set_path({"metadata", "namespace"}, "other");
    EXPECT_EQ(world.ask("POST", config_maps, elsewhere.dump()).status, 400);
    EXPECT_EQ(world.ask("POST", config_maps, deployment("d").dump()).status, 400);
    EXPECT_EQ(world.ask("POST", config_maps, R"({"data":{}})").status, 422);
    EXPECT_EQ(world.ask("PATCH", config_maps + "/a", "[]").status, 400);
    const Answer test =
        world.ask("PATCH", config_maps + "/a", R"([{"op":"remove","path":"/data/none"}])",
                  {{"Content-Type", "application/json-patch+json"}});
    EXPECT_EQ(test.status, 422);
}

TEST(BadInput, GivenANamespaceThatIsNotThereOrGoesThenNothingIsMadeInIt) {
    World world;
    const Answer missing =
        world.ask("POST", "/api/v1/namespaces/none/configmaps", config_map("a").dump());
    EXPECT_EQ(missing.status, 404);
    EXPECT_EQ(message(missing), "namespaces \"none\" not found");
    world.ask("POST", "/api/v1/namespaces", R"({"metadata":{"name":"going"}})");
    const Answer marked = world.ask("DELETE", "/api/v1/namespaces/going");
    EXPECT_EQ(marked.json.at({"status", "phase"}).as_string(), "Terminating");
    const Answer late =
        world.ask("POST", "/api/v1/namespaces/going/configmaps", config_map("a").dump());
    EXPECT_EQ(late.status, 403);
    EXPECT_EQ(late.json.at({"details", "causes"})[0]["reason"].as_string(), "NamespaceTerminating");
    Json finalized = marked.json;
    finalized.set_path({"spec", "finalizers"}, Json::array());
    EXPECT_EQ(world.ask("PUT", "/api/v1/namespaces/going/finalize", finalized.dump()).status, 200);
    EXPECT_EQ(world.ask("GET", "/api/v1/namespaces/going").status, 404);
    EXPECT_EQ(world.ask("DELETE", "/api/v1/namespaces/default").status, 403);
}

TEST(BadInput, GivenAFieldThatDoesNothingYetThenAWarningSaysSoOnce) {
    World world;
    const std::string pods = "/api/v1/namespaces/default/pods";
    Json object = pod("a");
    object.set_path({"spec", "setHostnameAsFQDN"}, true);
    const Answer answer = world.ask("POST", pods, object.dump());
    EXPECT_EQ(answer.status, 201) << answer.text;
    const auto warnings = answer.headers.all("Warning");
    ASSERT_EQ(warnings.size(), 1u);
    EXPECT_NE(warnings[0].find("spec.setHostnameAsFQDN"), std::string_view::npos) << warnings[0];
    const Answer again = world.ask("PUT", pods + "/a", answer.text);
    EXPECT_EQ(again.status, 200) << again.text;
    EXPECT_TRUE(again.headers.all("Warning").empty());
}

TEST(BadInput, GivenAJsonPatchThatSetsAnIdleFieldThenAWarningSaysSo) {
    World world;
    const std::string path = "/apis/apps/v1/namespaces/default/deployments/web";
    ASSERT_EQ(world.ask("POST", deployments, deployment("web").dump()).status, 201);
    const Answer answer = world.ask(
        "PATCH", path,
        R"([{"op":"add","path":"/spec/template/spec/shareProcessNamespace","value":true}])",
        {{"Content-Type", "application/json-patch+json"}});
    EXPECT_EQ(answer.status, 200) << answer.text;
    const auto warnings = answer.headers.all("Warning");
    ASSERT_EQ(warnings.size(), 1u);
    EXPECT_NE(warnings[0].find("spec.template.spec.shareProcessNamespace"), std::string_view::npos);
}

} // namespace
} // namespace cloudlet::kube::server::testing
