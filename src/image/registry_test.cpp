// Pulls from a registry that this file plays: a thread that answers GETs on a socket of 127.0.0.1.
#include "registry.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <mutex>
#include <thread>

#include "cloudlet/codec/compression.h"
#include "test_world.h"

namespace cloudlet::image {
namespace {

using namespace testing_world;
using testing::HasSubstr;

struct Answer {
    int status = 200;
    std::string body{};
    std::string headers{}; // whole lines
};

/// Answers by path; one request a connection. Stops when it is destroyed.
class FakeRegistry {
public:
    FakeRegistry() {
        socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(listen(socket_, 64), 0);
        socklen_t size = sizeof address;
        getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
        host = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
        thread_ = std::thread([this] { serve(); });
    }
    ~FakeRegistry() {
        shutdown(socket_, SHUT_RDWR);
        thread_.join();
        close(socket_);
    }

    void set(const std::string& path, Answer answer) {
        std::lock_guard guard(mutex_);
        answers_[path] = std::move(answer);
    }
    void add_image(const std::string& repository, const std::string& tag, const OciLayout& layout) {
        set("/v2/" + repository + "/manifests/" + tag, {200, layout.manifest});
        set("/v2/" + repository + "/manifests/" + digest_of(layout.manifest),
            {200, layout.manifest});
        for (const auto& blob : layout.blobs)
            set("/v2/" + repository + "/blobs/" + digest_of(blob), {200, blob});
    }
    size_t asked(const std::string& path) {
        std::lock_guard guard(mutex_);
        return static_cast<size_t>(std::count(log_.begin(), log_.end(), path));
    }

    std::string host;

private:
    void serve() {
        for (int peer; (peer = accept(socket_, nullptr, nullptr)) >= 0; close(peer)) {
            std::string request;
            char buffer[4096];
            while (request.find("\r\n\r\n") == std::string::npos) {
                ssize_t count = recv(peer, buffer, sizeof buffer, 0);
                if (count <= 0) break;
                request.append(buffer, static_cast<size_t>(count));
            }
            auto start = request.find(' ') + 1;
            std::string path = request.substr(start, request.find(' ', start) - start);
            Answer answer{404, "{}"};
            {
                std::lock_guard guard(mutex_);
                log_.push_back(path);
                if (auto found = answers_.find(path); found != answers_.end())
                    answer = found->second;
            }
            std::string reply =
                fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\nConnection: close\r\n{}\r\n{}",
                            answer.status, answer.body.size(), answer.headers, answer.body);
            for (size_t sent = 0; sent < reply.size();) {
                ssize_t count = send(peer, reply.data() + sent, reply.size() - sent, MSG_NOSIGNAL);
                if (count <= 0) break;
                sent += static_cast<size_t>(count);
            }
            shutdown(peer, SHUT_WR);
        }
    }

    int socket_ = -1;
    std::thread thread_;
    std::mutex mutex_;
    std::map<std::string, Answer> answers_;
    std::vector<std::string> log_;
};

OciLayout some_image(const std::string& text) {
    std::vector<std::string> layers;
    for (int i = 0; i < 5; ++i)
        layers.push_back(
            tar_of({file(fmt::format("file-{}", i), text + std::string(100'000, 'x'))}));
    return oci_layout(layers, "",
                      [](const std::string& bytes) { return codec::gzip_compress(bytes); });
}

TEST(Pull, FetchesVerifiesAndUnpacks) {
    World world;
    FakeRegistry registry;
    auto layout = some_image("hello");
    registry.add_image("team/app", "v1", layout);
    uint64_t done = 0;
    auto image = world.store->pull(registry.host + "/team/app:v1", [&](const PullEvent& event) {
        if (event.what == "layer" && event.done == event.total) ++done;
    });
    ASSERT_TRUE(image) << image.error().to_string();
    EXPECT_EQ(image->digest, digest_of(layout.manifest));
    EXPECT_EQ(done, 5u);
    auto root = world.store->prepare_snapshot("s", registry.host + "/team/app:v1");
    ASSERT_TRUE(root);
    EXPECT_THAT(content_of(*root + "/file-4"), testing::StartsWith("hellox"));
    ASSERT_TRUE(world.store->pull(registry.host + "/team/app:v1"));
    EXPECT_EQ(registry.asked("/v2/team/app/blobs/" + digest_of(layout.blobs[0])), 1u)
        << "what is there is not fetched again";
}

TEST(Pull, ByDigestAndFromAnIndexForThisMachine) {
    World world;
    FakeRegistry registry;
    auto layout = some_image("multi");
    registry.add_image("app", "unused", layout);
    Json other =
        Json::object({{"digest", digest_of("other")},
                      {"size", 5},
                      {"platform", Json::object({{"os", "linux"}, {"architecture", "s390x"}})}});
    Json ours = Json::object(
        {{"digest", digest_of(layout.manifest)},
         {"size", layout.manifest.size()},
         {"platform",
          Json::object({{"os", "linux"}, {"architecture", std::string(this_architecture())}})}});
    std::string index =
        Json::object({{"schemaVersion", 2}, {"manifests", Json::array({other, ours})}}).dump();
    registry.set("/v2/app/manifests/latest", {200, index});
    auto image = world.store->pull(registry.host + "/app");
    ASSERT_TRUE(image) << image.error().to_string();
    EXPECT_EQ(image->digest, digest_of(layout.manifest));
    auto name = registry.host + "/app@" + digest_of(layout.manifest);
    ASSERT_TRUE(world.store->pull(name));
    EXPECT_EQ(world.store->find(name)->id, image->id);
    registry.set("/v2/app/manifests/latest",
                 {200, Json::object({{"manifests", Json::array({other})}}).dump()});
    EXPECT_THAT(world.store->pull(registry.host + "/app").error().to_string(),
                HasSubstr("has no image for linux/"));
}

TEST(Pull, FollowsARedirectOnThisMachineOnly) {
    World world;
    FakeRegistry registry;
    auto layout = some_image("moved");
    registry.add_image("app", "latest", layout);
    std::string blob = "/v2/app/blobs/" + digest_of(layout.blobs[0]);
    registry.set("/store/blob", {200, layout.blobs[0]});
    registry.set(blob, {307, "", "Location: http://192.0.2.1/blob\r\n"});
    EXPECT_EQ(world.store->pull(registry.host + "/app").error().code, Code::unsupported);
    registry.set(blob, {307, "", "Location: /store/blob\r\n"});
    EXPECT_TRUE(world.store->pull(registry.host + "/app"));
}

TEST(Pull, RefusesWhatDoesNotMatchItsDigest) {
    FakeRegistry registry;
    auto layout = some_image("x");
    std::string blob = "/v2/app/blobs/" + digest_of(layout.blobs[2]),
                manifest = "/v2/app/manifests/latest";
    std::string changed = layout.blobs[2];
    changed[50] ^= 1;
    const std::vector<std::tuple<std::string, Answer, std::string>> table = {
        {blob, {200, changed}, "it is corrupt"},
        {blob, {200, layout.blobs[2] + "x"}, "longer than its manifest says"},
        {blob, {200, layout.blobs[2].substr(0, 100)}, "it is corrupt"},
        {blob, {500, "oops"}, "the registry answered 500"},
        {blob, {404, ""}, "the registry answered 404"},
        {manifest,
         {200, layout.manifest, "Docker-Content-Digest: " + digest_of("x") + "\r\n"},
         "it is corrupt"},
        {manifest, {200, "{\"schemaVersion\":1,\"config\":{}}"}, "old schema version"},
        {manifest, {200, "<html>"}, "invalid JSON"},
        {manifest, {401, ""}, "without a login"},
        {manifest, {200, std::string(5 << 20, ' ')}, ""},
    };
    for (const auto& [path, answer, message] : table) {
        World world;
        registry.add_image("app", "latest", layout);
        registry.set(path, answer);
        auto image = world.store->pull(registry.host + "/app");
        ASSERT_FALSE(image) << message;
        EXPECT_THAT(image.error().to_string(), HasSubstr(message));
        world.expect_nothing_left();
    }
}

TEST(Pull, GoesNowhereElse) {
    World world;
    EXPECT_EQ(world.store->pull("nginx").error().code, Code::unsupported);
    EXPECT_EQ(world.store->pull("registry.example.com/x").error().code, Code::unsupported);
    EXPECT_EQ(world.store->pull("127.evil.example.com/x").error().code, Code::unsupported);
    const Error absent = world.store->pull("localhost:1/x").error();
    EXPECT_EQ(absent.code, Code::unavailable);
    EXPECT_NE(absent.to_string().find("cloudlet image load"), std::string::npos)
        << absent.to_string();
    EXPECT_EQ(world.store->pull("NOT A NAME").error().code, Code::invalid);
}

} // namespace
} // namespace cloudlet::image
