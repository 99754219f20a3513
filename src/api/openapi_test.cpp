#include "cloudlet/api/openapi.h"

#include <set>

#include "cloudlet/api/discovery.h"
#include "test_world.h"

namespace cloudlet::api {
namespace {

using test::json;

/// Every "$ref" of a document.
void collect_references(const Json& value, std::set<std::string>& references) {
    for (const auto& member : value.members()) {
        if (member.key == "$ref") references.insert(std::string(member.value.as_string()));
        collect_references(member.value, references);
    }
    for (const Json& item : value.items()) collect_references(item, references);
}

TEST(OpenApi, every_reference_of_every_document_is_there) {
    Json index = json(openapi_v3_index(builtin_kinds()));
    EXPECT_GE(index["paths"].size(), 4u);
    for (const auto& path : index["paths"].members()) {
        std::string text = openapi_v3(builtin_kinds(), path.key);
        EXPECT_LT(text.size(), 700'000u) << path.key;
        Json document = json(text);
        std::set<std::string> references;
        collect_references(document, references);
        EXPECT_FALSE(references.empty());
        for (const std::string& reference : references) {
            constexpr std::string_view prefix = "#/components/schemas/";
            ASSERT_TRUE(reference.starts_with(prefix)) << reference;
            EXPECT_TRUE(document["components"]["schemas"].contains(reference.substr(prefix.size())))
                << reference;
        }
    }
}

TEST(OpenApi, the_index_names_each_document_with_its_hash) {
    Json index = json(openapi_v3_index(builtin_kinds()));
    std::string url(index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_string());
    EXPECT_THAT(url, testing::MatchesRegex("/openapi/v3/apis/apps/v1\\?hash=[0-9A-F]+"));
    EXPECT_EQ(url.size(), std::string("/openapi/v3/apis/apps/v1?hash=").size() + 128);
    EXPECT_EQ(openapi_v3(builtin_kinds(), "apis/nonsense/v1"), "");
}

TEST(OpenApi, a_patch_says_what_kubectl_looks_for) {
    Json document = json(openapi_v3(builtin_kinds(), "apis/apps/v1"));
    const Json& patch =
        document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    EXPECT_EQ(patch["x-kubernetes-group-version-kind"],
              json(R"({"group":"apps","version":"v1","kind":"Deployment"})"));
    EXPECT_TRUE(patch["requestBody"]["content"].contains("application/strategic-merge-patch+json"));
    bool found = false;
    for (const Json& parameter : patch["parameters"].items())
        found |= parameter["name"].as_string() == "fieldValidation";
    EXPECT_TRUE(found);
}

TEST(OpenApi, fields_carry_their_merge_rules) {
    Json document = json(openapi_v3(builtin_kinds(), "api/v1"));
    const Json& schemas = document["components"]["schemas"];
    const Json& containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    EXPECT_EQ(containers["x-kubernetes-patch-merge-key"], Json("name"));
    EXPECT_EQ(containers["x-kubernetes-patch-strategy"], Json("merge"));
    EXPECT_EQ(containers["x-kubernetes-list-type"], Json("map"));
    EXPECT_EQ(containers["x-kubernetes-list-map-keys"], json(R"(["name"])"));
    EXPECT_EQ(schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["volumes"]
                     ["x-kubernetes-patch-strategy"],
              Json("merge,retainKeys"));
    EXPECT_EQ(
        schemas["io.k8s.api.core.v1.Affinity"]["properties"]["podAffinity"]["x-cloudlet-inert"],
        Json(true));
    EXPECT_EQ(schemas["io.k8s.api.core.v1.Pod"]["x-kubernetes-group-version-kind"],
              json(R"([{"group":"","version":"v1","kind":"Pod"}])"));
    EXPECT_TRUE(schemas.contains("io.k8s.api.core.v1.PodList"));
}

TEST(Discovery, the_aggregated_form_lists_resources_and_subresources) {
    Json core = aggregated_discovery(builtin_kinds(), true, "v2");
    EXPECT_EQ(core["apiVersion"], Json("apidiscovery.k8s.io/v2"));
    ASSERT_EQ(core["items"].size(), 1u);
    Json groups = aggregated_discovery(builtin_kinds(), false, "v2beta1");
    EXPECT_EQ(groups["apiVersion"], Json("apidiscovery.k8s.io/v2beta1"));
    const Json& apps = groups["items"][0];
    EXPECT_EQ(apps["metadata"]["name"], Json("apps"));
    EXPECT_EQ(apps["versions"][0]["resources"][0], json(R"({"resource":"deployments",
        "responseKind":{"group":"","version":"","kind":"Deployment"},
        "scope":"Namespaced","singularResource":"deployment",
        "verbs":["create","delete","deletecollection","get","list","patch","update","watch"],
        "shortNames":["deploy"],
        "categories":["all"],"subresources":[
          {"subresource":"scale",
           "responseKind":{"group":"autoscaling","version":"v1","kind":"Scale"},
           "verbs":["get","patch","update"]},
          {"subresource":"status","responseKind":{"group":"","version":"","kind":"Deployment"},
           "verbs":["get","patch","update"]}]})"));
}

TEST(Discovery, the_legacy_form_says_the_same) {
    Json core = api_resource_list(builtin_kinds(), "", "v1");
    EXPECT_EQ(core["groupVersion"], Json("v1"));
    Json eviction;
    for (const Json& resource : core["resources"].items())
        if (resource["name"].as_string() == "pods/eviction") eviction = resource;
    EXPECT_EQ(
        eviction,
        json(
            R"({"name":"pods/eviction","singularName":"","namespaced":true,"group":"policy","version":"v1",
                                 "kind":"Eviction","verbs":["create"]})"));
    EXPECT_EQ(api_group(builtin_kinds(), "apps"),
              json(R"({"kind":"APIGroup","apiVersion":"v1","name":"apps",
        "versions":[{"groupVersion":"apps/v1","version":"v1"}],
        "preferredVersion":{"groupVersion":"apps/v1","version":"v1"}})"));
    EXPECT_TRUE(api_group(builtin_kinds(), "nonsense").is_null());
    EXPECT_TRUE(api_resource_list(builtin_kinds(), "apps", "v9").is_null());
    EXPECT_EQ(api_group_list(builtin_kinds())["groups"].size(),
              builtin_kinds().groups().size() - 1);
    EXPECT_EQ(api_versions("1.2.3.4:6443")["serverAddressByClientCIDRs"][0]["serverAddress"],
              Json("1.2.3.4:6443"));
}

} // namespace
} // namespace cloudlet::api
