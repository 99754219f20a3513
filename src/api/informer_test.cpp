#include "cloudlet/api/informer.h"

#include <condition_variable>

namespace cloudlet::api {
namespace {

Object pod(const std::string& name, int version, const std::string& node = "n1") {
    return Object(codec::Json::object(
        {{"metadata", codec::Json::object({{"namespace", "default"},
                                           {"name", name},
                                           {"resourceVersion", std::to_string(version)}})},
         {"spec", codec::Json::object({{"nodeName", node}})}}));
}

/// The two calls an informer makes, over a list the test changes and a watch it feeds.
class ScriptedClient final : public Client {
public:
    std::mutex mutex;
    std::condition_variable changed;
    ObjectList current;
    std::function<void(const WatchEvent&)> deliver;
    int watches = 0;

    Result<ObjectList> list(const Resource&, const std::string&, const ListOptions&) override {
        std::lock_guard lock(mutex);
        return current;
    }
    Result<std::unique_ptr<Watch>> watch(const Resource&, const std::string&,
                                         const WatchOptions& options,
                                         std::function<void(const WatchEvent&)> on_event) override {
        std::lock_guard lock(mutex);
        if (options.resource_version != current.resource_version)
            return fail(Code::expired, "too old");
        deliver = std::move(on_event);
        ++watches;
        changed.notify_all();
        return std::make_unique<Watch>();
    }
    bool wait_for_watches(int count) {
        std::unique_lock lock(mutex);
        return changed.wait_for(lock, std::chrono::seconds(20), [&] { return watches >= count; });
    }

    Result<Object> get(const Resource&, const ObjectKey&) override { return unused(); }
    Result<Object> create(const Resource&, const std::string&, codec::Json) override {
        return unused();
    }
    Result<Object> update(const Resource&, const ObjectKey&, codec::Json,
                          const std::string&) override {
        return unused();
    }
    Result<Object> patch(const Resource&, const ObjectKey&, PatchType, const codec::Json&,
                         const std::string&) override {
        return unused();
    }
    Result<> remove(const Resource&, const ObjectKey&, const DeleteOptions&) override {
        return unused();
    }
    Result<codec::Json> post(const Resource&, const ObjectKey&, const std::string&,
                             codec::Json) override {
        return unused();
    }

private:
    static tl::unexpected<Error> unused() {
        return fail(Code::unsupported, "an informer only lists and watches");
    }
};

struct Seen {
    std::vector<std::string> changes;
    Informer::Handler handler() {
        return [this](const Object& before, const Object& after) {
            if (!before)
                changes.push_back("+" + std::string(after.name()));
            else if (!after)
                changes.push_back("-" + std::string(before.name()));
            else
                changes.push_back("~" + std::string(after.name()));
        };
    }
};

TEST(Informer, GivesTheListThenTheChanges) {
    ScriptedClient client;
    client.current = {{pod("a", 1), pod("b", 2)}, "2", ""};
    Informer informer(client, resources::pods);
    Seen seen;
    informer.add_handler(seen.handler());
    ASSERT_TRUE(informer.start());
    client.deliver({WatchEvent::Type::added, pod("c", 3)});
    client.deliver({WatchEvent::Type::modified, pod("a", 4)});
    client.deliver({WatchEvent::Type::deleted, pod("b", 5)});
    EXPECT_THAT(seen.changes, testing::ElementsAre("+a", "+b", "+c", "~a", "-b"));
    EXPECT_EQ(informer.size(), 2u);
    EXPECT_EQ(informer.get({"default", "a"}).resource_version(), "4");
    EXPECT_FALSE(informer.get({"default", "b"}));
    EXPECT_EQ(informer.list("other").size(), 0u);
}

TEST(Informer, AfterABrokenWatchListsAnewAndReportsOnlyTheDifference) {
    ScriptedClient client;
    client.current = {{pod("a", 1), pod("b", 2)}, "2", ""};
    Informer informer(client, resources::pods);
    Seen seen;
    informer.add_handler(seen.handler());
    ASSERT_TRUE(informer.start());
    seen.changes.clear();
    {
        std::lock_guard lock(client.mutex);
        client.current = {{pod("b", 2), pod("c", 9)}, "9", ""};
    }
    client.deliver({WatchEvent::Type::error, Object()});
    ASSERT_TRUE(client.wait_for_watches(2));
    informer.stop();
    EXPECT_THAT(seen.changes, testing::UnorderedElementsAre("-a", "+c"));
}

TEST(Informer, IndexesFollowEveryChange) {
    ScriptedClient client;
    client.current = {{pod("a", 1), pod("b", 2, "n2")}, "2", ""};
    Informer informer(client, resources::pods);
    informer.add_index("node", [](const Object& o) {
        return std::vector{std::string(o.spec()["nodeName"].as_string())};
    });
    ASSERT_TRUE(informer.start());
    client.deliver({WatchEvent::Type::modified, pod("a", 3, "n2")});
    EXPECT_EQ(informer.by_index("node", "n1").size(), 0u);
    EXPECT_EQ(informer.by_index("node", "n2").size(), 2u);
    client.deliver({WatchEvent::Type::deleted, pod("b", 4, "n2")});
    EXPECT_EQ(informer.by_index("node", "n2").size(), 1u);
}

TEST(Informer, ALateHandlerIsGivenWhatIsThere) {
    ScriptedClient client;
    client.current = {{pod("a", 1)}, "1", ""};
    Informer informer(client, resources::pods);
    ASSERT_TRUE(informer.start());
    Seen seen;
    informer.add_handler(seen.handler());
    EXPECT_THAT(seen.changes, testing::ElementsAre("+a"));
}

} // namespace
} // namespace cloudlet::api
