// What clients find out before they do anything; and a replay of requests that kubectl really
// sends.

#include "test_world.h"

namespace cloudlet::kube::server::testing {
namespace {

constexpr const char* aggregated =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,"
    "application/json";

TEST(Discovery, GivenTheAggregatedFormThenTwoDocumentsNameEveryResource) {
    World world;
    const Answer core = world.ask("GET", "/api?timeout=32s", {}, {{"Accept", aggregated}});
    EXPECT_EQ(core.headers.get("Content-Type"),
              "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    EXPECT_EQ(core.json["kind"].as_string(), "APIGroupDiscoveryList");
    const Answer groups = world.ask("GET", "/apis", {}, {{"Accept", aggregated}});
    EXPECT_NE(groups.text.find("\"deployments\""), std::string::npos);
}

TEST(Discovery, GivenTheLegacyFormThenEveryListedResourceAnswersALifeOfItsOwn) {
    World world;
    EXPECT_EQ(world.ask("GET", "/api").json["versions"][0].as_string(), "v1");
    const Json groups = world.ask("GET", "/apis").json;
    EXPECT_EQ(groups["kind"].as_string(), "APIGroupList");
    std::vector<std::string> paths = {"/api/v1"};
    for (const Json& group : groups["groups"].items())
        paths.push_back("/apis/" +
                        std::string(group.at({"preferredVersion", "groupVersion"}).as_string()));
    for (const std::string& path : paths) {
        const Json list = world.ask("GET", path).json;
        EXPECT_EQ(list["kind"].as_string(), "APIResourceList") << path;
        for (const Json& resource : list["resources"].items()) {
            const std::string name(resource["name"].as_string());
            bool lists = false;
            for (const Json& verb : resource["verbs"].items()) lists |= verb.as_string() == "list";
            if (!lists) continue;
            EXPECT_EQ(world.ask("GET", path + "/" + name).status, 200) << path << "/" << name;
        }
    }
}

TEST(Discovery, GivenOpenApiThenDocumentsAreNamedByTheirHashAndKept) {
    World world;
    const Json index = world.ask("GET", "/openapi/v3").json;
    const std::string url(index.at({"paths", "apis/apps/v1", "serverRelativeURL"}).as_string());
    ASSERT_NE(url.find("?hash="), std::string::npos);
    const Answer document = world.ask("GET", url);
    EXPECT_EQ(document.status, 200);
    EXPECT_FALSE(document.json["paths"].empty());
    const std::string tag(document.headers.get("ETag"));
    EXPECT_EQ(world.ask("GET", url, {}, {{"If-None-Match", tag}}).status, 304);
    EXPECT_EQ(world.ask("GET", "/openapi/v3/apis/apps/v1?hash=0123").status, 301);
    EXPECT_EQ(world.ask("GET", "/openapi/v3/apis/none/v1").status, 404);
}

TEST(Discovery, GivenVersionAndHealthThenTheyReadAsKubernetes) {
    World world;
    EXPECT_EQ(world.ask("GET", "/version").json["gitVersion"].as_string(), "v1.32.13+cloudlet");
    const Answer ready = world.ask("GET", "/readyz?verbose");
    EXPECT_NE(ready.text.find("[+]ping ok\n"), std::string::npos);
    EXPECT_TRUE(ready.text.ends_with("readyz check passed\n"));
    EXPECT_EQ(world.ask("GET", "/readyz").text, "ok");
    EXPECT_EQ(world.ask("GET", "/").json["paths"][0].as_string(), "/api");
}

const std::string deployments = "/apis/apps/v1/namespaces/default/deployments";
const std::string table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/"
                          "json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
const std::string protobuf = "application/vnd.kubernetes.protobuf,application/json";
const std::string strategic = "application/strategic-merge-patch+json";

/// Requests of kubectl 1.32.4 as traced against a real server, and the status each gets.
struct Step {
    const char* method;
    std::string target, accept, type, body;
    int status;
};

const Step traced[] = {
    {"GET", "/version?timeout=32s", "application/json, */*", "", "", 200},
    {"GET", "/api/v1/namespaces?limit=500", table, "", "", 200},
    {"GET", "/api/v1/namespaces?includeObject=Object", table, "", "", 200},
    {"GET", deployments + "/web", "application/json", "", "", 404},
    {"POST", deployments + "?fieldManager=kubectl-client-side-apply&fieldValidation=Strict",
     "application/json", "application/json", deployment("web").dump(), 201},
    {"PATCH", deployments + "/web?fieldManager=kubectl-client-side-apply&fieldValidation=Strict",
     "application/json", strategic, R"({"spec":{"replicas":2}})", 200},
    {"PATCH", deployments + "/web?fieldManager=kubectl&fieldValidation=Strict&force=true",
     "application/json", "application/apply-patch+yaml", "{}", 415},
    {"POST",
     "/api/v1/namespaces/default/configmaps?fieldManager=kubectl-create&fieldValidation=Strict",
     protobuf, "application/vnd.kubernetes.protobuf", "k8s", 415},
    {"POST", deployments + "?dryRun=All&fieldManager=kubectl-create&fieldValidation=Strict",
     "application/json", "application/json", deployment("dry").dump(), 201},
    {"PATCH", deployments + "/web?fieldManager=kubectl-label", "application/json",
     "application/merge-patch+json", R"({"metadata":{"labels":{"x":"y"}}})", 200},
    {"PATCH", deployments + "/web/scale", "application/json, */*", "application/merge-patch+json",
     R"({"spec":{"replicas":4}})", 200},
    {"GET", deployments + "/web/scale", "application/json, */*", "", "", 200},
    {"PATCH", deployments + "/web?fieldManager=kubectl-rollout", "application/json, */*", strategic,
     R"({"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-01-01T00:00:00Z"}}}}})",
     200},
    {"GET", "/apis/apps/v1/namespaces/default/replicasets?labelSelector=app%3Dweb", protobuf, "",
     "", 200},
    {"POST", "/api/v1/namespaces/default/services?fieldManager=kubectl-expose",
     "application/json, */*", "application/json", service("web").dump(), 201},
    {"GET",
     "/api/v1/namespaces/default/"
     "events?fieldSelector=involvedObject.name%3Dweb%2CinvolvedObject.namespace%3Ddefault%"
     "2CinvolvedObject.kind%3DDeployment%2CinvolvedObject.uid%3Dx&limit=500",
     protobuf, "", "", 200},
    {"GET",
     "/api/v1/"
     "pods?fieldSelector=spec.nodeName%3Dn1%2Cstatus.phase%21%3DSucceeded%2Cstatus.phase%21%"
     "3DFailed&limit=500",
     protobuf, "", "", 200},
    {"GET",
     "/api/v1/namespaces/kube-system/"
     "services?labelSelector=kubernetes.io%2Fcluster-service%3Dtrue",
     "application/json, */*", "", "", 200},
    {"GET", deployments + "?fieldSelector=metadata.name%3Dweb&limit=500&resourceVersion=0",
     "application/json", "", "", 200},
    {"POST", "/api/v1/namespaces/default/pods?fieldManager=kubectl-run", "application/json, */*",
     "application/json", pod("p").dump(), 201},
    {"GET", "/api/v1/namespaces/default/pods/p/log?container=main", "application/json, */*", "", "",
     200},
    {"POST", "/api/v1/namespaces/default/pods/p/eviction", "application/json, */*",
     "application/json",
     R"({"kind":"Eviction","apiVersion":"policy/v1","metadata":{"name":"p","namespace":"default"},"deleteOptions":{}})",
     201},
    {"DELETE", deployments + "/web", "application/json", "application/json",
     R"({"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Foreground"})", 202},
    {"GET", "/apis/certificates.k8s.io/v1/certificatesigningrequests/x", "application/json", "", "",
     404},
};

TEST(Discovery, GivenTheRequestsOfKubectlThenEachGetsTheStatusItGoesOnWith) {
    World world;
    for (const Step& step : traced) {
        net::Headers headers{{"Accept", step.accept}};
        if (!step.type.empty()) headers.add("Content-Type", step.type);
        const Answer answer = world.ask(step.method, step.target, step.body, headers);
        EXPECT_EQ(answer.status, step.status) << step.method << " " << step.target << "\n"
                                              << answer.text;
    }
}

} // namespace
} // namespace cloudlet::kube::server::testing
