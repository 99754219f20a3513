// The controllers against the real API server on a real store. A stand-in for scheduler and node
// agent binds pods, reports them ready, and lets deleted ones go.

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "cloudlet/api/informer.h"
#include "cloudlet/api/work_queue.h"
#include "cloudlet/io/event_loop.h"
#include "cloudlet/io/worker_pool.h"
#include "cloudlet/kube/controllers/controllers.h"
#include "cloudlet/kube/server/api_server.h"
#include "cloudlet/net/certificates.h"
#include "cloudlet/store/sqlite.h"
#include "pods.h"
#include "test_objects.h"

namespace cloudlet::kube::controllers {
namespace {

namespace resources = api::resources;
using api::Object;
using api::ObjectKey;

template <typename T>
T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().to_string());
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

class Folder {
public:
    Folder() {
        std::string pattern = "/tmp/cloudlet-controllers-XXXXXX";
        path_ = mkdtemp(pattern.data());
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    std::string file(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

/// Binds and runs every pod, unless its name is to stay unready.
class Kubelet {
public:
    explicit Kubelet(api::InformerSet& informers)
        : client_(informers.client()), pods_(informers.of(resources::pods)),
          queue_({.name = "kubelet", .workers = 2},
                 [this](const ObjectKey& key) { return attend(key); }) {}
    void start() {
        pods_.add_handler([this](const Object&, const Object& after) {
            if (after) queue_.add(after.key());
        });
        queue_.start();
    }
    void stop() { queue_.stop(); }
    std::atomic<bool> ready{true};

private:
    api::Client& client_;
    api::Informer& pods_;
    std::atomic<int> next_address_{1};
    api::WorkQueue queue_;

    Result<api::WorkQueue::Outcome> attend(const ObjectKey& key) {
        const Object pod = pods_.get(key);
        if (!pod) return api::WorkQueue::Outcome{};
        if (pod.is_being_deleted()) {
            api::DeleteOptions now;
            now.grace_period_seconds = 0;
            (void)client_.remove(resources::pods, key, now);
        } else if (pod.spec()["nodeName"].as_string().empty()) {
            TRY(client_.post(
                resources::pods, key, "binding",
                json("{'apiVersion':'v1','kind':'Binding','target':{'kind':'Node','name':'n1'}}")));
        } else if (!is_ready(pod) && ready) {
            auto status = json(fmt::format(
                "{{'phase':'Running','podIP':'10.1.0.{}','conditions':[{{'type':'Ready','status':"
                "'True','lastTransitionTime':'{}'}}]}}",
                next_address_++, format_time(system_clock().wall())));
            TRY(client_.patch(resources::pods, key, api::PatchType::strategic,
                              Json::object({{"status", status}}), "status"));
        }
        return api::WorkQueue::Outcome{};
    }
};

/// A cluster without nodes' programs.
class World {
public:
    World() {
        store = must(store::open_sqlite_store({.path = folder.file("store.db")}));
        loop = must(io::LoopThread::start("test"));
        pool = std::make_unique<io::WorkerPool>("test", 2, 1024);
        server::ApiServerOptions options;
        options.store = store.get();
        options.loop = &loop->loop();
        options.pool = pool.get();
        options.service_account_key_pem = must(net::make_key());
        options.advertise_address = "192.0.2.1";
        api = must(server::ApiServer::create(options));
        informers = std::make_unique<api::InformerSet>(api->client());
        informers->of(resources::events).add_handler([](const Object&, const Object&) {});
        kubelet = std::make_unique<Kubelet>(*informers);
        manager = must(ControllerManager::create({.ca_pem = "the certificate",
                                                  .node_grace = std::chrono::seconds{600},
                                                  .lost_node_grace = std::chrono::milliseconds{50}},
                                                 *informers));
        create(resources::nodes, "", "{'metadata':{'name':'n1'}}");
        for (const auto& resource :
             {resources::pods, resources::replica_sets, resources::deployments, resources::services,
              resources::endpoints, resources::endpoint_slices, resources::config_maps,
              resources::namespaces, resources::service_accounts, resources::nodes,
              resources::events})
            informers->of(resource).add_handler([this](const Object&, const Object&) {
                std::lock_guard lock(mutex);
                changes++;
                changed.notify_all();
            });
        must<void>(manager->start());
        kubelet->start();
    }
    ~World() {
        kubelet->stop();
        manager->stop();
        informers->stop();
        api->stop();
        manager.reset();
        kubelet.reset();
        informers.reset();
        pool->stop();
        api.reset();
        loop.reset();
    }

    Object create(const api::Resource& resource, const std::string& ns, std::string text) {
        return must(client().create(resource, ns, json(std::move(text))));
    }
    Object patch(const api::Resource& resource, const std::string& name, std::string text) {
        return must(client().patch(resource, {"default", name}, api::PatchType::merge,
                                   json(std::move(text))));
    }
    Object get(const api::Resource& resource, const std::string& name,
               const std::string& ns = "default") {
        return informers->of(resource).get({ns, name});
    }
    std::vector<Object> list(const api::Resource& resource) {
        return informers->of(resource).list("default");
    }
    void remove(const api::Resource& resource, const ObjectKey& key, std::string propagation) {
        api::DeleteOptions options;
        options.propagation_policy = std::move(propagation);
        must<void>(client().remove(resource, key, options));
    }
    api::Client& client() { return api->client(); }

    /// Waits for changes until the condition holds; fails the test after a minute.
    void eventually(const char* what, const std::function<bool()>& condition) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{60};
        for (;;) {
            std::unique_lock lock(mutex);
            const uint64_t seen = changes;
            lock.unlock();
            if (condition()) return;
            if (std::chrono::steady_clock::now() > end) break;
            lock.lock();
            // Some effects show in the API alone: look again after a while in any case.
            changed.wait_for(lock, std::chrono::milliseconds{200}, [&] { return changes != seen; });
        }
        ADD_FAILURE() << "never happened: " << what;
    }
    bool rolled_out(const std::string& name, int replicas) {
        const Object one = get(resources::deployments, name);
        const Json& status = one.status();
        return status["observedGeneration"].as_int() == one.generation() &&
               status["updatedReplicas"].as_int() == replicas &&
               status["replicas"].as_int() == replicas &&
               status["availableReplicas"].as_int() == replicas &&
               static_cast<int>(list(resources::pods).size()) == replicas;
    }

    Folder folder;
    std::unique_ptr<store::Store> store;
    std::unique_ptr<io::LoopThread> loop;
    std::unique_ptr<io::WorkerPool> pool;
    std::unique_ptr<server::ApiServer> api;
    std::unique_ptr<api::InformerSet> informers;
    std::unique_ptr<Kubelet> kubelet;
    std::unique_ptr<ControllerManager> manager;
    std::mutex mutex;
    std::condition_variable changed;
    uint64_t changes = 0;
};

std::string deployment_text(int replicas, std::string image = "web:1") {
    return fmt::format("{{'metadata':{{'name':'web'}},'spec':{{'replicas':{},'selector':{{'"
                       "matchLabels':{{'app':'web'}}}},"
                       "'template':{{'metadata':{{'labels':{{'app':'web'}}}},'spec':{{'containers':"
                       "[{{'name':'c','image':"
                       "'{}','ports':[{{'name':'http','containerPort':8080}}]}}]}}}}}}}}",
                       replicas, image);
}

TEST(Controllers, RollADeploymentOutScaleItUpdateItAndGoBack) {
    World world;
    world.create(resources::deployments, "default", deployment_text(3));
    world.eventually("three pods", [&] { return world.rolled_out("web", 3); });
    EXPECT_EQ(world.list(resources::replica_sets).size(), 1u);
    const std::string first(world.list(resources::replica_sets)[0].name());

    world.patch(resources::deployments, "web", "{'spec':{'replicas':10}}");
    world.eventually("ten pods", [&] { return world.rolled_out("web", 10); });
    world.patch(resources::deployments, "web", "{'spec':{'replicas':3}}");
    world.eventually("three pods again", [&] { return world.rolled_out("web", 3); });

    world.patch(resources::deployments, "web",
                "{'spec':{'template':{'spec':{'containers':[{'name':'c','image':'web:2'}]}}}}");
    world.eventually("the new image", [&] {
        return world.rolled_out("web", 3) &&
               world.get(resources::deployments, "web")
                       .annotation("deployment.kubernetes.io/revision") == "2";
    });
    for (const Object& pod : world.list(resources::pods))
        EXPECT_EQ(pod.spec().at({"containers"})[0]["image"].as_string(), "web:2");
    EXPECT_EQ(world.list(resources::replica_sets).size(), 2u);

    const Json old_template = world.get(resources::replica_sets, first).spec()["template"];
    auto undo = Json::array(
        {Json::object({{"op", "replace"}, {"path", "/spec/template"}, {"value", old_template}})});
    must(world.client().patch(resources::deployments, {"default", "web"}, api::PatchType::json,
                              undo));
    world.eventually("the old image under a new revision", [&] {
        return world.rolled_out("web", 3) &&
               world.get(resources::deployments, "web")
                       .annotation("deployment.kubernetes.io/revision") == "3";
    });
    const auto condition = world.get(resources::deployments, "web").condition("Progressing");
    EXPECT_EQ(condition["reason"].as_string(), "NewReplicaSetAvailable");
}

TEST(Controllers, ReplaceAPodThatIsDeletedAndAdoptOneThatFits) {
    World world;
    world.create(resources::deployments, "default", deployment_text(2));
    world.eventually("two pods", [&] { return world.rolled_out("web", 2); });
    const ObjectKey victim = world.list(resources::pods)[0].key();
    must<void>(world.client().remove(resources::pods, victim));
    world.eventually("another in its place", [&] {
        return !world.get(resources::pods, victim.name) && world.rolled_out("web", 2);
    });

    // A pod whose label is taken away is let go and replaced.
    const ObjectKey stray = world.list(resources::pods)[0].key();
    world.patch(resources::pods, stray.name, "{'metadata':{'labels':{'app':'debug'}}}");
    world.eventually("a third pod and no owner of the stray", [&] {
        return world.list(resources::pods).size() == 3 &&
               !world.get(resources::pods, stray.name).controller();
    });
}

TEST(Controllers, DeleteDependentsWithTheirOwner) {
    World world;
    world.create(resources::deployments, "default", deployment_text(2));
    world.eventually("two pods", [&] { return world.rolled_out("web", 2); });
    must<void>(world.client().remove(resources::deployments, {"default", "web"}));
    world.eventually("nothing left", [&] {
        return world.list(resources::replica_sets).empty() && world.list(resources::pods).empty();
    });
}

TEST(Controllers, DeleteInTheForegroundAndOrphanWhenAsked) {
    World world;
    world.create(resources::deployments, "default", deployment_text(1));
    world.eventually("a pod", [&] { return world.rolled_out("web", 1); });
    world.remove(resources::deployments, {"default", "web"}, "Orphan");
    world.eventually("a set without owner", [&] {
        const auto sets = world.list(resources::replica_sets);
        return !world.get(resources::deployments, "web") && sets.size() == 1 &&
               !sets[0].controller();
    });
    const ObjectKey set = world.list(resources::replica_sets)[0].key();
    EXPECT_EQ(world.list(resources::pods).size(), 1u);
    world.remove(resources::replica_sets, set, "Foreground");
    world.eventually("nothing left", [&] {
        if (!world.get(resources::replica_sets, set.name)) {
            EXPECT_TRUE(world.list(resources::pods).empty());
        }
        return world.list(resources::replica_sets).empty() && world.list(resources::pods).empty();
    });
}

TEST(Controllers, KeepEndpointsAndSlicesOfAService) {
    World world;
    world.create(resources::services, "default",
                 "{'metadata':{'name':'web'},'spec':{'selector':{'app':'web'},'ports':[{'port':80,'"
                 "targetPort':'http'}]}}");
    world.create(resources::deployments, "default", deployment_text(3));
    auto addresses = [&] {
        size_t ready = 0;
        for (const Object& slice : world.list(resources::endpoint_slices))
            if (slice.label("kubernetes.io/service-name") == "web")
                for (const Json& one : slice["endpoints"].items())
                    ready += one["conditions"]["ready"].as_bool() ? 1 : 0;
        return ready;
    };
    world.eventually("three ready endpoints", [&] { return addresses() == 3; });
    world.eventually("three addresses", [&] {
        return world.get(resources::endpoints, "web")["subsets"][0]["addresses"].size() == 3;
    });
    EXPECT_EQ(world.get(resources::endpoints, "web")["subsets"][0]["ports"][0]["port"].as_int(),
              8080);
    world.patch(resources::deployments, "web", "{'spec':{'replicas':1}}");
    world.eventually("one ready endpoint", [&] { return addresses() == 1; });
    const int64_t revision = world.store->revision();
    must<void>(world.client().remove(resources::services, {"default", "web"}));
    world.eventually("none",
                     [&] { return addresses() == 0 && !world.get(resources::endpoints, "web"); });
    EXPECT_LT(world.store->revision(), revision + 50)
        << "settled objects are not written again and again";
}

TEST(Controllers, FurnishNamespacesAndClearThemAtTheirEnd) {
    World world;
    world.create(resources::namespaces, "", "{'metadata':{'name':'team'}}");
    world.eventually("account and certificate", [&] {
        return world.get(resources::service_accounts, "default", "team") &&
               world.get(resources::config_maps, "kube-root-ca.crt", "team")["data"]["ca.crt"]
                       .as_string() == "the certificate";
    });
    must<void>(world.client().remove(resources::config_maps, {"team", "kube-root-ca.crt"}));
    world.eventually("the certificate again", [&] {
        return bool(world.get(resources::config_maps, "kube-root-ca.crt", "team"));
    });
    must(world.client().create(resources::deployments, "team", json(deployment_text(2))));
    world.eventually("pods",
                     [&] { return world.informers->of(resources::pods).list("team").size() == 2; });
    must<void>(world.client().remove(resources::namespaces, {"", "team"}));
    world.eventually("no namespace", [&] { return !world.get(resources::namespaces, "team", ""); });
    EXPECT_TRUE(must(world.client().list(resources::pods, "team")).items.empty());
    EXPECT_TRUE(must(world.client().list(resources::config_maps, "team")).items.empty());
}

TEST(Controllers, RemovePodsOfANodeThatIsGone) {
    World world;
    world.create(resources::deployments, "default", deployment_text(1));
    world.eventually("a pod", [&] { return world.rolled_out("web", 1); });
    world.kubelet->stop(); // nobody is left to end the pod
    const std::string name(world.list(resources::pods)[0].name());
    must<void>(world.client().remove(resources::nodes, {"", "n1"}));
    world.eventually("no such pod", [&] { return !world.get(resources::pods, name); });
}

TEST(Controllers, SayWhyPodsCannotBeMadeAndTryAgain) {
    World world;
    world.create(resources::deployments, "default",
                 "{'metadata':{'name':'web'},'spec':{'replicas':2,'selector':{'matchLabels':{'app':"
                 "'web'}},'template':"
                 "{'metadata':{'labels':{'app':'web'}},'spec':{'serviceAccountName':'late','"
                 "containers':[{'name':'c',"
                 "'image':'web:1'}]}}}}");
    world.eventually("the condition", [&] {
        return world.get(resources::deployments, "web")
                   .condition("ReplicaFailure")["reason"]
                   .as_string() == "FailedCreate";
    });
    world.eventually("an event that counts its repeats", [&] {
        for (const Object& event : world.list(resources::events))
            if (event["reason"].as_string() == "FailedCreate" && event["count"].as_int() >= 2)
                return true;
        return false;
    });
    world.create(resources::service_accounts, "default", "{'metadata':{'name':'late'}}");
    world.eventually("the pods", [&] { return world.rolled_out("web", 2); });
    world.eventually("no failure any more", [&] {
        return world.get(resources::deployments, "web").condition("ReplicaFailure").is_null();
    });
}

TEST(Controllers, WriteNothingOnceEverythingIsSettled) {
    World world;
    world.create(resources::deployments, "default", deployment_text(3));
    world.create(
        resources::services, "default",
        "{'metadata':{'name':'web'},'spec':{'selector':{'app':'web'},'ports':[{'port':80}]}}");
    world.create(resources::services, "default",
                 "{'metadata':{'name':'none'},'spec':{'selector':{'app':'none'},"
                 "'clusterIP':'None'}}");
    world.eventually("three pods", [&] { return world.rolled_out("web", 3); });
    int64_t revision = -1;
    int quiet = 0; // looks in a row, 200 ms apart, between which nothing was written
    world.eventually("quiet", [&] {
        quiet = world.store->revision() == revision ? quiet + 1 : 0;
        revision = world.store->revision();
        return quiet == 3;
    });
}

} // namespace
} // namespace cloudlet::kube::controllers
