// What the server adds to pods and services, subresources, and what every cluster has.

#include <condition_variable>
#include <set>
#include <thread>

#include "test_world.h"

namespace cloudlet::kube::server::testing {
namespace {

const std::string pods = "/api/v1/namespaces/default/pods";
const std::string services = "/api/v1/namespaces/default/services";

TEST(Admission, GivenAPodThenItHasAccountTokenVolumeTolerationsAndPriority) {
    World world;
    const Json created = world.ask("POST", pods, pod("p").dump()).json;
    const Json& spec = created["spec"];
    EXPECT_EQ(spec["serviceAccountName"].as_string(), "default");
    EXPECT_EQ(spec["serviceAccount"].as_string(), "default");
    ASSERT_EQ(spec["volumes"].size(), 1u);
    const Json& volume = spec["volumes"][0];
    EXPECT_TRUE(volume["name"].as_string().starts_with("kube-api-access-"));
    EXPECT_EQ(volume.at({"projected", "sources"}).size(), 3u);
    const Json& mount = spec["containers"][0]["volumeMounts"][0];
    EXPECT_EQ(mount["mountPath"].as_string(), "/var/run/secrets/kubernetes.io/serviceaccount");
    EXPECT_EQ(mount["name"], volume["name"]);
    EXPECT_EQ(spec["tolerations"].size(), 2u);
    EXPECT_EQ(spec["tolerations"][0]["tolerationSeconds"].as_int(), 300);
    EXPECT_EQ(spec["priority"].as_int(), 0);
    EXPECT_EQ(created.at({"status", "phase"}).as_string(), "Pending");
    EXPECT_EQ(created.at({"status", "qosClass"}).as_string(), "BestEffort");
}

TEST(Admission, GivenNoWishForATokenOrAnUnknownAccountThenNoVolumeOr403) {
    World world;
    Json object = pod("p");
    object.set_path({"spec", "automountServiceAccountToken"}, false);
    EXPECT_EQ(world.ask("POST", pods, object.dump()).json.at({"spec", "volumes"}).size(), 0u);
    object = pod("q");
    object.set_path({"spec", "serviceAccountName"}, "robot");
    const Answer answer = world.ask("POST", pods, object.dump());
    EXPECT_EQ(answer.status, 403);
    EXPECT_EQ(answer.json["message"].as_string(),
              "pods \"q\" is forbidden: error looking up service account "
              "default/robot: serviceaccount \"robot\" not found");
    object = pod("r");
    object.set_path({"spec", "priorityClassName"}, "important");
    EXPECT_EQ(world.ask("POST", pods, object.dump()).status, 403);
}

TEST(Admission, GivenANewNamespaceThenAPodCanBeMadeInItAtOnce) {
    World world;
    ASSERT_EQ(world.ask("POST", "/api/v1/namespaces", R"({"metadata":{"name":"n1"}})").status, 201);
    EXPECT_EQ(world.ask("POST", "/api/v1/namespaces/n1/pods", pod("p").dump()).status, 201);
    const Json made = world.ask("GET", "/api/v1/namespaces/n1").json;
    EXPECT_EQ(made.at({"metadata", "labels", "kubernetes.io/metadata.name"}).as_string(), "n1");
    EXPECT_EQ(made.at({"status", "phase"}).as_string(), "Active");
}

TEST(Admission, GivenServicesMadeAtOnceThenEveryAddressAndNodePortIsUnique) {
    ApiServerOptions options;
    options.service_cidr = "10.96.0.0/24";
    options.node_port_first = 30000;
    options.node_port_last = 30099;
    World world(options);
    std::vector<std::thread> writers;
    for (int writer = 0; writer < 8; ++writer)
        writers.emplace_back([&world, writer] {
            for (int i = 0; i < 12; ++i)
                must(world.client().create(
                    resources::services, "default",
                    service("s" + std::to_string(writer) + "-" + std::to_string(i), "NodePort")));
        });
    for (std::thread& writer : writers) writer.join();
    std::set<std::string> addresses;
    std::set<int64_t> ports;
    const auto list = must(world.client().list(resources::services, "default", {}));
    for (const api::Object& object : list.items) {
        EXPECT_TRUE(addresses.emplace(object.spec()["clusterIP"].as_string()).second);
        if (object.name() == "kubernetes") continue;
        EXPECT_TRUE(ports.insert(object.spec()["ports"][0]["nodePort"].as_int()).second);
    }
    EXPECT_EQ(ports.size(), 96u);
    world.restart();
    for (int i = 0; i < 4; ++i) // the four that are left are found after a restart as well
        EXPECT_EQ(
            world.ask("POST", services, service("l" + std::to_string(i), "NodePort").dump()).status,
            201);
    EXPECT_EQ(world.ask("POST", services, service("one-too-many", "NodePort").dump()).status, 500);
    EXPECT_EQ(world.ask("DELETE", services + "/l0").status, 200);
    EXPECT_EQ(world.ask("POST", services, service("again", "NodePort").dump()).status, 201);
}

TEST(Admission, GivenAServiceThenAddressesFollowItsTypeAndStayOtherwise) {
    World world;
    const Json made = world.ask("POST", services, service("s", "NodePort").dump()).json;
    const std::string address(made.at({"spec", "clusterIP"}).as_string());
    const int64_t port = made.at({"spec", "ports"})[0]["nodePort"].as_int();
    EXPECT_TRUE(address.starts_with("10.96."));
    EXPECT_GE(port, 30000);
    EXPECT_EQ(made.at({"spec", "clusterIPs"})[0].as_string(), address);
    const Json replaced = world.ask("PUT", services + "/s", service("s", "NodePort").dump()).json;
    EXPECT_EQ(replaced.at({"spec", "clusterIP"}).as_string(), address);
    EXPECT_EQ(replaced.at({"spec", "ports"})[0]["nodePort"].as_int(), port);
    Json wanted = service("t", "NodePort");
    wanted.find_mutable("spec")->find_mutable("ports")->mutable_items()[0].set("nodePort", port);
    const Answer taken = world.ask("POST", services, wanted.dump());
    EXPECT_EQ(taken.status, 422);
    EXPECT_NE(taken.text.find("provided port is already allocated"), std::string::npos);
    const Json plain = world.ask("PATCH", services + "/s", R"({"spec":{"type":"ClusterIP"}})").json;
    EXPECT_TRUE(plain.at({"spec", "ports"})[0]["nodePort"].is_null());
    EXPECT_EQ(world.ask("POST", services, wanted.dump()).status, 201);
    wanted = service("u");
    wanted.set_path({"spec", "clusterIP"}, address);
    EXPECT_EQ(world.ask("POST", services, wanted.dump()).status, 422);
    wanted.set_path({"spec", "clusterIP"}, "192.168.1.1");
    EXPECT_EQ(world.ask("POST", services, wanted.dump()).status, 422);
    wanted.set_path({"spec", "clusterIP"}, "None");
    EXPECT_EQ(world.ask("POST", services, wanted.dump()).json.at({"spec", "clusterIP"}).as_string(),
              "None");
}

TEST(Admission, GivenAScheduledPodThenDeletionIsGracefulAndForcedDeletionIsNot) {
    World world;
    world.ask("POST", pods, pod("idle").dump());
    EXPECT_EQ(world.ask("DELETE", pods + "/idle").status, 200);
    EXPECT_EQ(world.ask("GET", pods + "/idle").status, 404);

    world.ask("POST", pods, pod("p").dump());
    const std::string binding =
        R"({"apiVersion":"v1","kind":"Binding","metadata":{"name":"p"},"target":{"kind":"Node","name":"n1"}})";
    const Answer bound = world.ask("POST", pods + "/p/binding", binding);
    EXPECT_EQ(bound.status, 201) << bound.text;
    EXPECT_EQ(world.ask("POST", pods + "/p/binding", binding).status, 409);
    const Answer marked = world.ask("DELETE", pods + "/p");
    EXPECT_EQ(marked.json.at({"metadata", "deletionGracePeriodSeconds"}).as_int(), 30);
    EXPECT_EQ(marked.json.at({"status", "conditions"})[0]["type"].as_string(), "PodScheduled");
    const Answer again = world.ask("DELETE", pods + "/p");
    EXPECT_EQ(again.json.at({"metadata", "resourceVersion"}),
              marked.json.at({"metadata", "resourceVersion"}));
    const Answer shorter = world.ask("DELETE", pods + "/p?gracePeriodSeconds=5");
    EXPECT_EQ(shorter.json.at({"metadata", "deletionGracePeriodSeconds"}).as_int(), 5);
    EXPECT_EQ(world.ask("DELETE", pods + "/p", R"({"gracePeriodSeconds":0})").status, 200);
    EXPECT_EQ(world.ask("GET", pods + "/p").status, 404);
}

TEST(Admission, GivenStatusAndSpecThenEachIsWrittenByItsOwnPath) {
    World world;
    world.ask("POST", pods, pod("p").dump());
    EXPECT_EQ(world.ask("PATCH", pods + "/p", R"({"status":{"phase":"Running"}})")
                  .json.at({"status", "phase"})
                  .as_string(),
              "Pending");
    const Answer status = world.ask("PATCH", pods + "/p/status",
                                    R"({"status":{"phase":"Running"},"spec":{"nodeName":"x"}})");
    EXPECT_EQ(status.json.at({"status", "phase"}).as_string(), "Running");
    EXPECT_TRUE(status.json.at({"spec", "nodeName"}).is_null());
    EXPECT_EQ(world.ask("GET", pods + "/p/status").status, 200);
    EXPECT_EQ(world
                  .ask("POST", pods + "/p/eviction",
                       R"({"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"p"}})")
                  .status,
              201);
    EXPECT_EQ(world.ask("GET", pods + "/p").status, 404);
}

TEST(Admission, GivenADeploymentThenItsScaleIsReadReplacedAndPatched) {
    World world;
    const std::string path = "/apis/apps/v1/namespaces/default/deployments";
    world.ask("POST", path, deployment("web").dump());
    Json scale = world.ask("GET", path + "/web/scale").json;
    EXPECT_EQ(scale["apiVersion"].as_string(), "autoscaling/v1");
    EXPECT_EQ(scale.at({"spec", "replicas"}).as_int(), 3);
    EXPECT_EQ(scale.at({"status", "selector"}).as_string(), "app=web");
    EXPECT_EQ(world.ask("PATCH", path + "/web/scale", R"({"spec":{"replicas":5}})")
                  .json.at({"spec", "replicas"})
                  .as_int(),
              5);
    scale.set_path({"spec", "replicas"}, 9);
    EXPECT_EQ(world.ask("PUT", path + "/web/scale", scale.dump()).status, 409);
    scale.find_mutable("metadata")->erase("resourceVersion");
    EXPECT_EQ(world.ask("PUT", path + "/web/scale", scale.dump()).status, 200);
    EXPECT_EQ(world.ask("GET", path + "/web").json.at({"metadata", "generation"}).as_int(), 3);
    EXPECT_EQ(world.ask("PATCH", path + "/web/scale", R"({"spec":{"replicas":-1}})").status, 422);
}

TEST(Admission, GivenManyWritersOfOneObjectThenNoUpdateIsLost) {
    World world;
    world.client().create(resources::config_maps, "default", config_map("counter", "0"));
    constexpr int writers = 8, rounds = 25;
    std::vector<std::thread> threads;
    for (int writer = 0; writer < writers; ++writer)
        threads.emplace_back([&world, writer] {
            for (int round = 0; round < rounds;) {
                api::Object object =
                    must(world.client().get(resources::config_maps, {"default", "counter"}));
                Json next = object.json();
                next.set_path(
                    {"data", "key"},
                    std::to_string(std::stoi(std::string(object["data"]["key"].as_string())) + 1));
                auto updated =
                    world.client().update(resources::config_maps, {"default", "counter"}, next);
                if (updated)
                    ++round;
                else
                    EXPECT_EQ(updated.error().code, Code::conflict);
                // A patch without a version is never refused.
                must(world.client().patch(
                    resources::config_maps, {"default", "counter"}, api::PatchType::merge,
                    Json::object({{"data", Json::object({{"w" + std::to_string(writer),
                                                          std::to_string(round)}})}})));
            }
        });
    for (std::thread& thread : threads) thread.join();
    const api::Object object =
        must(world.client().get(resources::config_maps, {"default", "counter"}));
    EXPECT_EQ(object["data"]["key"].as_string(), std::to_string(writers * rounds));
    for (int writer = 0; writer < writers; ++writer)
        EXPECT_EQ(object["data"]["w" + std::to_string(writer)].as_string(), std::to_string(rounds));
}

TEST(Admission, GivenFarMorePatchersOfOneObjectThanAttemptsThenEachGetsItsTurn) {
    World world;
    world.client().create(resources::config_maps, "default", config_map("crowded", "0"));
    constexpr int patchers = 64, rounds = 4;
    std::vector<std::thread> threads;
    for (int patcher = 0; patcher < patchers; ++patcher)
        threads.emplace_back([&world, patcher] {
            for (int round = 0; round < rounds; ++round) {
                Json data = Json::object({{fmt::format("p{}-{}", patcher, round), "x"}});
                auto patched = world.client().patch(resources::config_maps, {"default", "crowded"},
                                                    api::PatchType::merge,
                                                    Json::object({{"data", std::move(data)}}));
                EXPECT_TRUE(patched) << patched.error().to_string();
            }
        });
    for (std::thread& thread : threads) thread.join();
    const api::Object object =
        must(world.client().get(resources::config_maps, {"default", "crowded"}));
    EXPECT_EQ(object["data"].size(), patchers * rounds + 1);
}

TEST(Admission, GivenAFreshStoreThenTheKubernetesServiceLeadsToTheServer) {
    World world;
    const Json made = world.ask("GET", services + "/kubernetes").json;
    EXPECT_EQ(made.at({"spec", "clusterIP"}).as_string(), "10.96.0.1");
    EXPECT_EQ(made.at({"spec", "ports"})[0]["targetPort"].as_int(), 6443);
    const Json endpoints = world.ask("GET", "/api/v1/namespaces/default/endpoints/kubernetes").json;
    EXPECT_EQ(endpoints["subsets"][0]["addresses"][0]["ip"].as_string(), "192.0.2.1");
    const Json slices =
        world.ask("GET", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes")
            .json;
    EXPECT_EQ(slices["endpoints"][0]["addresses"][0].as_string(), "192.0.2.1");
    std::set<std::string> names;
    const auto list = must(world.client().list(resources::namespaces, "", {}));
    for (const api::Object& object : list.items) names.emplace(object.name());
    EXPECT_EQ(names,
              (std::set<std::string>{"default", "kube-system", "kube-public", "kube-node-lease"}));
}

TEST(Admission, GivenTheKubernetesServiceIsDeletedThenItComesBackAtItsAddress) {
    World world;
    std::mutex mutex;
    std::condition_variable changed;
    int made = 0;
    std::vector<std::unique_ptr<api::Watch>> watches;
    for (const auto& resource :
         {resources::services, resources::endpoints, resources::endpoint_slices})
        watches.push_back(
            must(world.client().watch(resource, "default", {}, [&](const api::WatchEvent& event) {
                std::lock_guard lock(mutex);
                made += event.type == api::WatchEvent::Type::added &&
                        event.object.name() == "kubernetes";
                changed.notify_all();
            })));
    for (const std::string& path :
         {services, std::string("/api/v1/namespaces/default/endpoints"),
          std::string("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices")})
        EXPECT_EQ(world.ask("DELETE", path).status, 200);
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return made >= 6; }))
        << made << " of 3 that were there and 3 that come back";
    const Json service = world.ask("GET", services + "/kubernetes").json;
    EXPECT_EQ(service.at({"spec", "clusterIP"}).as_string(), "10.96.0.1");
}

} // namespace
} // namespace cloudlet::kube::server::testing
