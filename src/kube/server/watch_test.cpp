// Watches: what they start with, what they see, how they end; and a model check with selectors.

#include <future>
#include <map>
#include <set>

#include "cloudlet/base/random.h"
#include "watch_reader.h"

namespace cloudlet::kube::server::testing {
namespace {

const std::string config_maps = "/api/v1/namespaces/default/configmaps";

std::string type_of(const Json& event) { return std::string(event["type"].as_string()); }
std::string name_of(const Json& event) {
    return std::string(event.at({"object", "metadata", "name"}).as_string());
}

/// Ends every watch before the readers are joined.
class Finish {
public:
    explicit Finish(World& world) : world_(world) {}
    ~Finish() { world_.server().stop(); }

private:
    World& world_;
};

TEST(Watch, GivenNoResourceVersionThenPresentObjectsComeFirstAndChangesFollow) {
    World world;
    world.client().create(resources::config_maps, "default", config_map("a"));
    WatchReader reader(world, config_maps + "?watch=true");
    Finish finish(world);
    ASSERT_EQ(reader.wait_for(1).size(), 1u);
    world.client().patch(resources::config_maps, {"default", "a"}, api::PatchType::merge,
                         Json::object({{"data", Json::object({{"key", "w"}})}}));
    world.client().remove(resources::config_maps, {"default", "a"});
    const auto events = reader.wait_for(3);
    ASSERT_EQ(events.size(), 3u);
    EXPECT_EQ(type_of(events[0]), "ADDED");
    EXPECT_EQ(type_of(events[1]), "MODIFIED");
    EXPECT_EQ(type_of(events[2]), "DELETED");
    EXPECT_EQ(events[2].at({"object", "data", "key"}).as_string(), "w");
    EXPECT_GT(std::stoll(
                  std::string(events[2].at({"object", "metadata", "resourceVersion"}).as_string())),
              std::stoll(std::string(
                  events[1].at({"object", "metadata", "resourceVersion"}).as_string())));
}

TEST(Watch, GivenTheVersionOfAListThenOnlyWhatCameAfterIt) {
    World world;
    world.client().create(resources::config_maps, "default", config_map("a"));
    const std::string version(
        world.ask("GET", config_maps).json.at({"metadata", "resourceVersion"}).as_string());
    world.client().create(resources::config_maps, "default", config_map("b"));
    WatchReader reader(world, config_maps + "?watch=true&resourceVersion=" + version);
    Finish finish(world);
    const auto events = reader.wait_for(1);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(name_of(events[0]), "b");
}

TEST(Watch, GivenASelectorThenEnteringIsAddedAndLeavingIsDeletedWithTheLastState) {
    World world;
    world.client().create(resources::config_maps, "default", config_map("a"));
    const std::string version(
        world.ask("GET", config_maps).json.at({"metadata", "resourceVersion"}).as_string());
    WatchReader reader(world, config_maps +
                                  "?watch=true&labelSelector=on%3Dyes&resourceVersion=" + version);
    Finish finish(world);
    auto label = [&](const Json& value) {
        world.client().patch(
            resources::config_maps, {"default", "a"}, api::PatchType::merge,
            Json::object(
                {{"metadata", Json::object({{"labels", Json::object({{"on", value}})}})}}));
    };
    label("yes");
    label(nullptr);
    world.client().create(resources::config_maps, "default",
                          config_map("end", "v", Json::object({{"on", "yes"}})));
    const auto events = reader.wait_for(3);
    ASSERT_EQ(events.size(), 3u);
    EXPECT_EQ(type_of(events[0]), "ADDED");
    EXPECT_EQ(type_of(events[1]), "DELETED");
    EXPECT_EQ(events[1].at({"object", "metadata", "labels", "on"}).as_string(), "yes");
    EXPECT_NE(events[1].at({"object", "metadata", "resourceVersion"}),
              events[0].at({"object", "metadata", "resourceVersion"}));
    EXPECT_EQ(name_of(events[2]), "end");
}

TEST(Watch, GivenAVersionBeforeTheWindowThenAnErrorEventWithExpired) {
    ApiServerOptions options;
    options.watch_window = 4;
    World world(options);
    const std::string version(
        world.ask("GET", config_maps).json.at({"metadata", "resourceVersion"}).as_string());
    for (int i = 0; i < 10; ++i)
        world.client().create(resources::config_maps, "default",
                              config_map("c" + std::to_string(i)));
    WatchReader reader(world, config_maps + "?watch=true&resourceVersion=" + version);
    ASSERT_TRUE(reader.wait_for_end());
    const auto events = reader.wait_for(1);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(type_of(events[0]), "ERROR");
    EXPECT_EQ(events[0].at({"object", "code"}).as_int(), 410);
    EXPECT_EQ(events[0].at({"object", "reason"}).as_string(), "Expired");
    auto local = world.client().watch(resources::config_maps, "default",
                                      {.labels = {}, .fields = {}, .resource_version = version},
                                      [](const auto&) {});
    ASSERT_FALSE(local);
    EXPECT_EQ(local.error().code, Code::expired);
}

TEST(Watch, GivenATimeoutWithBookmarksThenTheWatchEndsWithOneAtTheNewestRevision) {
    World world;
    const std::string version(
        world.ask("GET", config_maps).json.at({"metadata", "resourceVersion"}).as_string());
    WatchReader reader(
        world,
        config_maps +
            "?watch=true&allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion=" + version);
    world.client().create(resources::secrets, "default",
                          Json::object({{"metadata", Json::object({{"name", "s"}})}}));
    ASSERT_TRUE(reader.wait_for_end());
    const auto events = reader.wait_for(1);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(type_of(events[0]), "BOOKMARK");
    EXPECT_EQ(events[0].at({"object", "kind"}).as_string(), "ConfigMap");
    EXPECT_GT(std::stoll(
                  std::string(events[0].at({"object", "metadata", "resourceVersion"}).as_string())),
              std::stoll(version));
}

TEST(Watch, GivenSendInitialEventsThenABookmarkMarksTheirEnd) {
    World world;
    world.client().create(resources::config_maps, "default", config_map("a"));
    const Answer refused = world.ask("GET", config_maps + "?watch=true&sendInitialEvents=true");
    EXPECT_EQ(refused.status, 400);
    WatchReader reader(world, config_maps +
                                  "?watch=true&sendInitialEvents=true&resourceVersionMatch="
                                  "NotOlderThan&allowWatchBookmarks=true");
    Finish finish(world);
    const auto events = reader.wait_for(2);
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(type_of(events[0]), "ADDED");
    EXPECT_EQ(events[1]
                  .at({"object", "metadata", "annotations", "k8s.io/initial-events-end"})
                  .as_string(),
              "true");
}

TEST(Watch, GivenATableWatchThenColumnsComeOnceAndRowsCarryMetadata) {
    World world;
    world.client().create(resources::config_maps, "default", config_map("a"));
    world.client().create(resources::config_maps, "default", config_map("b"));
    WatchReader reader(world, config_maps + "?watch=true",
                       {{"Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"}});
    Finish finish(world);
    const auto events = reader.wait_for(2);
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(events[0].at({"object", "kind"}).as_string(), "Table");
    EXPECT_GT(events[0].at({"object", "columnDefinitions"}).size(), 0u);
    EXPECT_EQ(events[1].at({"object", "columnDefinitions"}).size(), 0u);
    EXPECT_EQ(events[1].at({"object", "rows"})[0].at({"object", "kind"}).as_string(),
              "PartialObjectMetadata");
}

TEST(Watch, GivenAServerThatStopsThenItsWatchesEnd) {
    World world;
    WatchReader reader(world, config_maps + "?watch=true");
    WatchReader other(world, "/api/v1/namespaces?watch=true");
    ASSERT_GE(other.wait_for(4).size(), 4u);
    world.server().stop();
    EXPECT_TRUE(reader.wait_for_end());
    EXPECT_TRUE(other.wait_for_end());
}

TEST(Watch, GivenAReaderThatDoesNotReadThenItIsCutAndOthersAreServed) {
    ApiServerOptions options;
    options.watch_queue_bytes = 256 << 10;
    World world(options);
    std::promise<void> gate;
    std::shared_future<void> opened = gate.get_future().share();
    std::atomic<bool> watching{false};
    auto slow = std::async(std::launch::async, [&] {
        net::ClientOptions client;
        client.tls = World::admin_tls();
        net::Request request;
        request.target = config_maps + "?watch=true&timeoutSeconds=300";
        return net::http_stream(
            client, world.url() + request.target, request,
            [&](const net::Response&) {
                watching = true;
                watching.notify_all();
                opened.wait();
                return true;
            },
            [](std::string_view) { return true; });
    });
    watching.wait(false);
    WatchReader good(world, config_maps + "?watch=true");
    Finish finish(world);
    for (size_t i = 0; i < 40; ++i) {
        must(world.client().create(
            resources::config_maps, "default",
            config_map("big" + std::to_string(i), std::string(512 << 10, 'x'))));
        // One by one: on a busy machine a reader that reads falls behind a burst, too, and is cut.
        ASSERT_EQ(good.wait_for(i + 1).size(), i + 1);
    }
    gate.set_value();
    EXPECT_FALSE(slow.get()); // ended by the server before its time, in the middle of a chunk
}

/// A copy that is kept by nothing but events.
class Replica {
public:
    void apply(const api::WatchEvent& event) {
        std::lock_guard lock(mutex_);
        const std::string name(event.object.name());
        const int64_t revision = std::stoll(std::string(event.object.resource_version()));
        if (revision <= last_) problems_ += name + ": events out of order; ";
        last_ = revision;
        const bool known = objects_.contains(name);
        if (event.type == api::WatchEvent::Type::added && known)
            problems_ += name + ": added twice; ";
        if (event.type != api::WatchEvent::Type::added && !known)
            problems_ += name + ": was not there; ";
        if (event.type == api::WatchEvent::Type::deleted)
            objects_.erase(name);
        else
            objects_[name] = std::string(event.object.resource_version());
        changed_.notify_all();
    }
    bool wait_for(const std::map<std::string, std::string>& wanted) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(30),
                                 [&] { return objects_ == wanted; });
    }
    std::string problems() {
        std::lock_guard lock(mutex_);
        return problems_;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, std::string> objects_;
    int64_t last_ = 0;
    std::string problems_;
};

TEST(Watch, GivenRandomWritesThenEveryFilteredCopyEndsAsTheFilteredList) {
    World world;
    std::map<std::string, Replica> replicas;
    std::vector<std::unique_ptr<api::Watch>> watches;
    auto list = [&](const std::string& selector) {
        return must(world.client().list(resources::config_maps, "default",
                                        {.labels = must(api::LabelSelector::parse(selector)),
                                         .fields = {},
                                         .limit = 0,
                                         .continue_token = {}}));
    };
    for (const std::string selector :
         {"color=red", "color!=red", "color in (blue,green),size", "!size"}) {
        api::WatchOptions options;
        options.labels = must(api::LabelSelector::parse(selector));
        options.resource_version = list(selector).resource_version;
        watches.push_back(must(
            world.client().watch(resources::config_maps, "default", options,
                                 [&replica = replicas[selector]](const api::WatchEvent& event) {
                                     replica.apply(event);
                                 })));
    }
    std::vector<std::thread> writers;
    for (uint64_t seed = 1; seed <= 4; ++seed)
        writers.emplace_back([&world, seed] {
            Random random(seed);
            const char* colors[] = {"red", "green", "blue"};
            for (int step = 0; step < 250; ++step) {
                const std::string name = "o" + std::to_string(random.below(12));
                Json labels = Json::object({{"color", colors[random.below(3)]}});
                labels.set("size", random.chance(0.5) ? Json("big") : Json());
                const uint64_t action = random.below(4);
                if (action == 0)
                    (void)world.client().remove(resources::config_maps, {"default", name});
                else if (action == 1)
                    (void)world.client().create(
                        resources::config_maps, "default",
                        config_map(name, "v", Json::object({{"color", labels["color"]}})));
                else
                    (void)world.client().patch(
                        resources::config_maps, {"default", name}, api::PatchType::merge,
                        Json::object({{"metadata", Json::object({{"labels", labels}})}}));
            }
        });
    for (std::thread& writer : writers) writer.join();
    for (auto& [selector, replica] : replicas) {
        std::map<std::string, std::string> wanted;
        for (const api::Object& object : list(selector).items)
            wanted[std::string(object.name())] = std::string(object.resource_version());
        EXPECT_TRUE(replica.wait_for(wanted)) << selector;
        EXPECT_EQ(replica.problems(), "") << selector;
    }
}

} // namespace
} // namespace cloudlet::kube::server::testing
