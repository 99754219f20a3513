// Objects over HTTP: create, read, update, patch, delete.

#include "test_world.h"

namespace cloudlet::kube::server::testing {
namespace {

std::string config_maps(const std::string& rest = {}) {
    return std::string(in_default) + "configmaps" + rest;
}

TEST(Crud, GivenANewObjectWhenCreatedThenItHasSystemFieldsAndIsReadBackTheSame) {
    World world;
    const Answer created = world.ask("POST", config_maps(), config_map("a").dump());
    ASSERT_EQ(created.status, 201) << created.text;
    const Json& metadata = created.json["metadata"];
    EXPECT_EQ(metadata["namespace"].as_string(), "default");
    EXPECT_EQ(metadata["uid"].as_string().size(), 36u);
    EXPECT_FALSE(metadata["resourceVersion"].as_string().empty());
    EXPECT_TRUE(parse_time(metadata["creationTimestamp"].as_string()));
    EXPECT_EQ(created.json["data"]["key"].as_string(), "v");
    const Answer read = world.ask("GET", config_maps("/a"));
    EXPECT_EQ(read.status, 200);
    EXPECT_EQ(read.text, created.text);
}

TEST(Crud, GivenAnObjectWhenCreatedAgainThenAlreadyExists) {
    World world;
    world.ask("POST", config_maps(), config_map("a").dump());
    const Answer again = world.ask("POST", config_maps(), config_map("a").dump());
    EXPECT_EQ(again.status, 409);
    EXPECT_EQ(again.json["reason"].as_string(), "AlreadyExists");
    EXPECT_EQ(again.json["message"].as_string(), "configmaps \"a\" already exists");
    EXPECT_EQ(again.json.at({"details", "kind"}).as_string(), "configmaps");
}

TEST(Crud, GivenGenerateNameWhenCreatedTwiceThenTwoNamesWithFiveMoreLetters) {
    World world;
    Json object = config_map("");
    object.set("metadata", Json::object({{"generateName", "web-"}}));
    const Answer first = world.ask("POST", config_maps(), object.dump());
    const Answer second = world.ask("POST", config_maps(), object.dump());
    ASSERT_EQ(first.status, 201) << first.text;
    const std::string name(first.json.at({"metadata", "name"}).as_string());
    EXPECT_EQ(name.size(), 9u);
    EXPECT_TRUE(name.starts_with("web-"));
    EXPECT_NE(name, second.json.at({"metadata", "name"}).as_string());
}

TEST(Crud, GivenAnUpdateWithAnOldResourceVersionThenConflictAndWithNoneItWins) {
    World world;
    Json object = world.ask("POST", config_maps(), config_map("a").dump()).json;
    Json newer = object;
    newer.set("data", Json::object({{"key", "w"}}));
    ASSERT_EQ(world.ask("PUT", config_maps("/a"), newer.dump()).status, 200);
    object.set("data", Json::object({{"key", "late"}}));
    const Answer late = world.ask("PUT", config_maps("/a"), object.dump());
    EXPECT_EQ(late.status, 409);
    EXPECT_EQ(late.json["message"].as_string(),
              "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; "
              "please apply your "
              "changes to the latest version and try again");
    object.find_mutable("metadata")->erase("resourceVersion");
    EXPECT_EQ(world.ask("PUT", config_maps("/a"), object.dump()).status, 200);
    EXPECT_EQ(world.ask("GET", config_maps("/a")).json.at({"data", "key"}).as_string(), "late");
}

TEST(Crud, GivenAnUpdateThatChangesNothingThenTheResourceVersionStays) {
    World world;
    const Json object = world.ask("POST", config_maps(), config_map("a").dump()).json;
    const Answer same = world.ask("PUT", config_maps("/a"), object.dump());
    EXPECT_EQ(same.json.at({"metadata", "resourceVersion"}),
              object.at({"metadata", "resourceVersion"}));
    const Answer patched = world.ask("PATCH", config_maps("/a"), R"({"data":{"key":"v"}})");
    EXPECT_EQ(patched.json.at({"metadata", "resourceVersion"}),
              object.at({"metadata", "resourceVersion"}));
}

TEST(Crud, GivenSystemFieldsInAnUpdateThenTheyAreKeptAsTheyWere) {
    World world;
    Json object = world.ask("POST", config_maps(), config_map("a").dump()).json;
    const Json before = object;
    object.set_path({"metadata", "creationTimestamp"}, "2001-01-01T00:00:00Z");
    object.set_path({"metadata", "deletionTimestamp"}, "2001-01-01T00:00:00Z");
    object.set_path({"metadata", "labels", "a"}, "b");
    const Answer updated = world.ask("PUT", config_maps("/a"), object.dump());
    ASSERT_EQ(updated.status, 200) << updated.text;
    EXPECT_EQ(updated.json.at({"metadata", "creationTimestamp"}),
              before.at({"metadata", "creationTimestamp"}));
    EXPECT_TRUE(updated.json.at({"metadata", "deletionTimestamp"}).is_null());
    object.set_path({"metadata", "uid"}, "11111111-2222-3333-4444-555555555555");
    object.find_mutable("metadata")->erase("resourceVersion");
    EXPECT_EQ(world.ask("PUT", config_maps("/a"), object.dump()).json["reason"].as_string(),
              "Conflict");
}

TEST(Crud, GivenTheThreePatchTypesThenEachIsApplied) {
    World world;
    const std::string path = "/apis/apps/v1/namespaces/default/deployments";
    ASSERT_EQ(world.ask("POST", path, deployment("web").dump()).status, 201);
    Answer merged = world.ask("PATCH", path + "/web", R"({"metadata":{"labels":{"x":"y"}}})");
    EXPECT_EQ(merged.json.at({"metadata", "labels", "x"}).as_string(), "y");
    EXPECT_EQ(merged.json.at({"metadata", "generation"}).as_int(), 1);
    Answer strategic = world.ask(
        "PATCH", path + "/web",
        R"({"spec":{"template":{"spec":{"containers":[{"name":"main","image":"web:2"}]}}}})",
        {{"Content-Type", "application/strategic-merge-patch+json"}});
    const Json& container = strategic.json.at({"spec", "template", "spec", "containers"})[0];
    EXPECT_EQ(container["image"].as_string(), "web:2");
    EXPECT_EQ(container["imagePullPolicy"].as_string(), "IfNotPresent");
    EXPECT_EQ(strategic.json.at({"metadata", "generation"}).as_int(), 2);
    Answer json =
        world.ask("PATCH", path + "/web", R"([{"op":"replace","path":"/spec/replicas","value":7}])",
                  {{"Content-Type", "application/json-patch+json"}});
    EXPECT_EQ(json.json.at({"spec", "replicas"}).as_int(), 7);
    Answer apply =
        world.ask("PATCH", path + "/web", "{}", {{"Content-Type", "application/apply-patch+yaml"}});
    EXPECT_EQ(apply.status, 415);
    EXPECT_NE(apply.json["message"].as_string().find("without --server-side"),
              std::string_view::npos);
}

TEST(Crud, GivenADryRunThenNothingIsStored) {
    World world;
    EXPECT_EQ(world.ask("POST", config_maps("?dryRun=All"), config_map("a").dump()).status, 201);
    EXPECT_EQ(world.ask("GET", config_maps("/a")).status, 404);
    world.ask("POST", config_maps(), config_map("a").dump());
    EXPECT_EQ(world.ask("PATCH", config_maps("/a?dryRun=All"), R"({"data":{"key":"w"}})")
                  .json.at({"data", "key"})
                  .as_string(),
              "w");
    EXPECT_EQ(world.ask("DELETE", config_maps("/a?dryRun=All")).status, 200);
    EXPECT_EQ(world.ask("GET", config_maps("/a")).json.at({"data", "key"}).as_string(), "v");
}

TEST(Crud, GivenADeletionThenTheAnswerIsASuccessStatusAndTheObjectIsGone) {
    World world;
    const Json object = world.ask("POST", config_maps(), config_map("a").dump()).json;
    const Answer wrong =
        world.ask("DELETE", config_maps("/a"), R"({"preconditions":{"uid":"other"}})");
    EXPECT_EQ(wrong.status, 409);
    const Answer deleted = world.ask("DELETE", config_maps("/a"));
    EXPECT_EQ(deleted.status, 200);
    EXPECT_EQ(deleted.json["status"].as_string(), "Success");
    EXPECT_EQ(deleted.json.at({"details", "uid"}), object.at({"metadata", "uid"}));
    const Answer gone = world.ask("GET", config_maps("/a"));
    EXPECT_EQ(gone.status, 404);
    EXPECT_EQ(gone.json["message"].as_string(), "configmaps \"a\" not found");
    EXPECT_EQ(gone.json.at({"details", "name"}).as_string(), "a");
}

TEST(Crud, GivenFinalizersThenDeletionWaitsUntilTheLastIsRemoved) {
    World world;
    Json object = config_map("a");
    object.set_path({"metadata", "finalizers"}, Json::array({"example.com/keep"}));
    world.ask("POST", config_maps(), object.dump());
    const Answer marked = world.ask("DELETE", config_maps("/a"));
    EXPECT_TRUE(marked.json.at({"metadata", "deletionTimestamp"}).is_string()) << marked.text;
    const Answer added =
        world.ask("PATCH", config_maps("/a"),
                  R"({"metadata":{"finalizers":["example.com/keep","example.com/more"]}})");
    EXPECT_EQ(added.status, 422) << added.text;
    EXPECT_EQ(world.ask("PATCH", config_maps("/a"), R"({"metadata":{"finalizers":null}})").status,
              200);
    EXPECT_EQ(world.ask("GET", config_maps("/a")).status, 404);
}

TEST(Crud, GivenForegroundAndOrphanPropagationThenTheirFinalizersAreSet) {
    World world;
    world.ask("POST", config_maps(), config_map("a").dump());
    world.ask("POST", config_maps(), config_map("b").dump());
    const Answer foreground =
        world.ask("DELETE", config_maps("/a"), R"({"propagationPolicy":"Foreground"})");
    EXPECT_EQ(foreground.status, 202);
    EXPECT_EQ(foreground.json.at({"metadata", "finalizers"})[0].as_string(), "foregroundDeletion");
    const Answer orphan =
        world.ask("DELETE", config_maps("/b"), R"({"propagationPolicy":"Orphan"})");
    EXPECT_EQ(orphan.json.at({"metadata", "finalizers"})[0].as_string(), "orphan");
}

TEST(Crud, GivenACollectionWhenDeletedBySelectorThenOnlyThatGoes) {
    World world;
    for (int i = 0; i < 150; ++i)
        world.client().create(
            resources::config_maps, "default",
            config_map("c" + std::to_string(i), "v", Json::object({{"half", i % 2 ? "a" : "b"}})));
    const Answer deleted = world.ask("DELETE", config_maps("?labelSelector=half%3Da"));
    EXPECT_EQ(deleted.status, 200);
    EXPECT_EQ(deleted.json["items"].size(), 75u);
    EXPECT_EQ(world.ask("GET", config_maps("?labelSelector=half")).json["items"].size(), 75u);
}

TEST(Crud, GivenYamlThenItIsReadAndWritten) {
    World world;
    const Answer created =
        world.ask("POST", config_maps(), "metadata:\n  name: from-yaml\ndata:\n  key: \"1\"\n",
                  {{"Content-Type", "application/yaml"}, {"Accept", "application/yaml"}});
    EXPECT_EQ(created.status, 201) << created.text;
    EXPECT_NE(created.text.find("kind: ConfigMap"), std::string::npos);
}

TEST(Crud, GivenARestartThenEverythingIsStillThere) {
    World world;
    const Answer created = world.ask("POST", config_maps(), config_map("a").dump());
    const Json before = world.ask("GET", "/api/v1/namespaces").json["items"];
    world.restart();
    EXPECT_EQ(world.ask("GET", config_maps("/a")).text, created.text);
    EXPECT_EQ(world.ask("GET", "/api/v1/namespaces").json["items"], before);
}

TEST(Crud, GivenAnEventThenItHangsOnALeaseThatOthersOfTheMinuteShare) {
    World world;
    const std::string events = "/api/v1/namespaces/default/events";
    for (const char* name : {"e1", "e2"}) {
        Json event = Json::object({{"metadata", Json::object({{"name", name}})}});
        event.set("involvedObject", Json::object({{"kind", "Pod"}, {"namespace", "default"}}));
        const Answer made = world.ask("POST", events, event.dump());
        ASSERT_EQ(made.status, 201) << made.text;
    }
    store::RangeRequest request;
    request.key = "/registry/events/default/";
    request.range_end = must(store::prefix_end(request.key));
    const auto stored = must(world.store().range(request)).values;
    ASSERT_EQ(stored.size(), 2u);
    EXPECT_NE(stored[0].lease, 0);
    EXPECT_EQ(stored[0].lease, stored[1].lease);
    must(world.store().revoke(stored[0].lease));
    EXPECT_EQ(world.ask("GET", events).json["items"].size(), 0u);
}

TEST(Crud, GivenAStoredValueThenItHoldsNoResourceVersion) {
    World world;
    world.ask("POST", config_maps(), config_map("a").dump());
    world.ask("PATCH", config_maps("/a"), R"({"data":{"key":"w"}})");
    store::RangeRequest request;
    request.key = "/registry/configmaps/default/a";
    const auto stored = must(world.store().range(request)).values;
    ASSERT_EQ(stored.size(), 1u);
    EXPECT_TRUE(
        stored[0].value->starts_with(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{)"));
    EXPECT_EQ(stored[0].value->find("resourceVersion"), std::string::npos);
}

TEST(Crud, GivenAShortIntervalThenTheStoresHistoryIsCompacted) {
    ApiServerOptions options;
    options.compaction_interval = std::chrono::milliseconds(20);
    World world(options);
    world.ask("POST", config_maps(), config_map("a").dump());
    // Every request gives the loop a turn; the second tick compacts what the first one saw.
    for (int turn = 0; turn < 20000 && world.store().compacted_revision() == 0; ++turn)
        ASSERT_EQ(world.ask("GET", config_maps("/a")).status, 200);
    EXPECT_GT(world.store().compacted_revision(), 0);
}

} // namespace
} // namespace cloudlet::kube::server::testing
