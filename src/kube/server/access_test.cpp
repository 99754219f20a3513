// Who gets in, and who may do what.

#include "cloudlet/base/bytes.h"
#include "test_world.h"

namespace cloudlet::kube::server::testing {
namespace {

const std::string config_maps = "/api/v1/namespaces/default/configmaps";
const std::string token_path = "/api/v1/namespaces/default/serviceaccounts/default/token";

/// The machine's time, moved forward by hand.
class MovableClock final : public Clock {
public:
    MonotonicTime monotonic() const override { return system_clock().monotonic(); }
    WallTime wall() const override {
        return system_clock().wall() + std::chrono::seconds(ahead_.load());
    }
    void advance(int seconds) { ahead_ += seconds; }

private:
    std::atomic<int> ahead_{0};
};

std::string token_for(World& world, const Json& spec = Json::object()) {
    Json request = Json::object(
        {{"apiVersion", "authentication.k8s.io/v1"}, {"kind", "TokenRequest"}, {"spec", spec}});
    const Answer answer = world.ask("POST", token_path, request.dump());
    EXPECT_EQ(answer.status, 201) << answer.text;
    return std::string(answer.json.at({"status", "token"}).as_string());
}

TEST(Access, GivenNobodyThenOnlyHealthAndVersionAreOpen) {
    World world;
    for (const char* path : {"/healthz", "/livez", "/readyz", "/readyz?verbose", "/version"})
        EXPECT_EQ(world.ask_with_token("", "GET", path).status, 200) << path;
    for (const char* path : {"/api", "/apis", "/openapi/v3", "/api/v1/pods", "/", "/versions"}) {
        const Answer answer = world.ask_with_token("", "GET", path);
        EXPECT_EQ(answer.status, 401) << path;
        EXPECT_EQ(answer.json["reason"].as_string(), "Unauthorized") << path;
    }
    EXPECT_EQ(world.ask_with_token("rubbish", "GET", "/api").status, 401);
    EXPECT_EQ(world.ask_with_token("", "GET", "/livez/ping").text, "ok");
}

TEST(Access, GivenAServiceAccountThenItReadsItsOwnConfigMapsAndDiscoveryOnly) {
    World world;
    world.ask("POST", config_maps, config_map("a").dump());
    const std::string token = token_for(world);
    EXPECT_EQ(world.ask_with_token(token, "GET", config_maps).status, 200);
    EXPECT_EQ(world.ask_with_token(token, "GET", config_maps + "/a").status, 200);
    EXPECT_EQ(world.ask_with_token(token, "GET", "/apis").status, 200);
    EXPECT_EQ(world.ask_with_token(token, "GET", "/openapi/v3").status, 200);
    const Answer pods = world.ask_with_token(token, "GET", "/api/v1/namespaces/default/pods/x");
    EXPECT_EQ(pods.status, 403);
    EXPECT_EQ(pods.json["message"].as_string(),
              "pods \"x\" is forbidden: User \"system:serviceaccount:default:default\" cannot get "
              "resource \"pods\" in "
              "API group \"\" in the namespace \"default\"");
    EXPECT_EQ(
        world.ask_with_token(token, "GET", "/api/v1/namespaces/kube-system/configmaps").status,
        403);
    EXPECT_EQ(world.ask_with_token(token, "GET", "/api/v1/configmaps").status, 403);
    EXPECT_EQ(world.ask_with_token(token, "DELETE", config_maps + "/a").status, 403);
    EXPECT_EQ(world.ask_with_token(token, "GET", "/nowhere").status, 403);
}

TEST(Access, GivenATokenThenItsClaimsAreThoseOfKubernetes) {
    World world;
    world.client().create(resources::pods, "default", pod("p"));
    const Json bound = Json::object({{"kind", "Pod"}, {"apiVersion", "v1"}, {"name", "p"}});
    const std::string token =
        token_for(world, Json::object({{"boundObjectRef", bound}, {"expirationSeconds", 600}}));
    const size_t dot = token.find('.');
    const Json claims = must(
        codec::parse_json(must(from_base64(token.substr(dot + 1, token.rfind('.') - dot - 1)))));
    EXPECT_EQ(claims["sub"].as_string(), "system:serviceaccount:default:default");
    EXPECT_EQ(claims["iss"].as_string(), "https://kubernetes.default.svc.cluster.local");
    EXPECT_EQ(claims["exp"].as_int() - claims["iat"].as_int(), 600);
    EXPECT_EQ(claims.at({"kubernetes.io", "pod", "name"}).as_string(), "p");
    EXPECT_EQ(claims.at({"kubernetes.io", "namespace"}).as_string(), "default");
}

TEST(Access, GivenABoundTokenThenItDiesWithItsPodAndWithItsAccount) {
    World world;
    world.client().create(resources::pods, "default", pod("p"));
    const Json bound = Json::object({{"kind", "Pod"}, {"apiVersion", "v1"}, {"name", "p"}});
    const std::string token = token_for(world, Json::object({{"boundObjectRef", bound}}));
    const std::string plain = token_for(world);
    EXPECT_EQ(world.ask_with_token(token, "GET", config_maps).status, 200);
    world.client().remove(resources::pods, {"default", "p"});
    EXPECT_EQ(world.ask_with_token(token, "GET", config_maps).status, 401);
    EXPECT_EQ(world.ask_with_token(plain, "GET", config_maps).status, 200);
    world.client().remove(resources::service_accounts, {"default", "default"});
    EXPECT_EQ(world.ask_with_token(plain, "GET", config_maps).status, 401);
}

TEST(Access, GivenAForgedOrForeignTokenThen401) {
    World world;
    const std::string token = token_for(world, Json::object({{"expirationSeconds", 600}}));
    EXPECT_EQ(world.ask_with_token(token, "GET", config_maps).status, 200);
    std::string forged = token;
    forged[forged.size() / 2] = forged[forged.size() / 2] == 'A' ? 'B' : 'A';
    EXPECT_EQ(world.ask_with_token(forged, "GET", config_maps).status, 401);
    const std::string foreign =
        token_for(world, Json::object({{"audiences", Json::array({"vault"})}}));
    EXPECT_EQ(world.ask_with_token(foreign, "GET", config_maps).status, 401);
    EXPECT_EQ(world.ask("POST", token_path, R"({"spec":{"expirationSeconds":60}})").status, 422);
}

TEST(Access, GivenATokenThatRanOutThenItIsRefusedThoughItWasGoodBefore) {
    MovableClock clock;
    ApiServerOptions options;
    options.clock = &clock;
    World world(options);
    const std::string token = token_for(world, Json::object({{"expirationSeconds", 600}}));
    EXPECT_EQ(world.ask_with_token(token, "GET", config_maps).status, 200);
    clock.advance(601);
    EXPECT_EQ(world.ask_with_token(token, "GET", config_maps).status, 401);
}

TEST(Access, GivenAKnownTokenThenItsUserMayDoEverything) {
    ApiServerOptions options;
    options.static_tokens = {{"secret-token", "admin", {"system:masters"}}};
    World world(options);
    EXPECT_EQ(world.ask_with_token("secret-token", "GET", "/api/v1/nodes").status, 200);
    EXPECT_EQ(world.ask_with_token("secret-tokem", "GET", "/api/v1/nodes").status, 401);
}

TEST(Access, GivenTheControlSocketThenWhoeverMayOpenItMayDoEverything) {
    World world;
    EXPECT_EQ(must(world.ask_control("/api/v1/nodes")).status, 200);
    EXPECT_EQ(must(world.ask_control("/api/v1/namespaces/default/secrets")).status, 200);
}

} // namespace
} // namespace cloudlet::kube::server::testing
