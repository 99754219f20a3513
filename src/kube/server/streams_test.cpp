// Logs and exec as bytes on the wire, with a node that is made up.

#include "cloudlet/net/websocket.h"
#include "fake_node.h"

namespace cloudlet::kube::server::testing {
namespace {

const std::string pods = "/api/v1/namespaces/default/pods";

class Streams : public ::testing::Test {
protected:
    void SetUp() override {
        world_.server().set_node_connector(&node_);
        must(world_.client().create(resources::pods, "default", pod("p")));
        bind(world_, "p");
    }

    /// Opens an exec, sends messages, and gives all that came until the connection closed.
    std::vector<std::string> exec(const std::string& query,
                                  const std::vector<std::string>& messages,
                                  const std::string& offered = "v5.channel.k8s.io",
                                  const std::string& chosen = "v5.channel.k8s.io") {
        net::ClientOptions options;
        options.tls = World::admin_tls();
        net::Request request;
        request.headers = {{"Connection", "Upgrade"},
                           {"Upgrade", "websocket"},
                           {"Sec-WebSocket-Version", "13"},
                           {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
                           {"Sec-WebSocket-Protocol", offered}};
        const std::string target = pods + "/p/exec?" + query;
        request.target = target;
        auto upgraded = must(net::http_upgrade(options, world_.url() + target, std::move(request)));
        EXPECT_EQ(upgraded.head.status, 101);
        EXPECT_EQ(upgraded.head.headers.get("Sec-WebSocket-Protocol"), chosen);
        for (const std::string& message : messages)
            must(upgraded.stream->write(net::encode_frame(net::Opcode::binary, message, true, 7)));
        net::WebSocketDecoder decoder(net::WebSocketDecoder::Role::client);
        std::vector<std::string> received;
        for (;;) {
            const std::string bytes = must(upgraded.stream->read(std::chrono::seconds(20)));
            if (bytes.empty()) return received;
            for (net::WebSocketMessage& message : must(decoder.feed(bytes))) {
                if (message.opcode == net::Opcode::close) return received;
                if (message.opcode == net::Opcode::ping) {
                    must(upgraded.stream->write(
                        net::encode_frame(net::Opcode::pong, message.payload, true, 7)));
                    continue;
                }
                received.push_back(std::move(message.payload));
            }
        }
    }

    FakeNode node_;
    World world_;
};

TEST_F(Streams, GivenLogsThenTheTextIsStreamedAndErrorsAreStatuses) {
    EXPECT_EQ(world_.ask("GET", pods + "/p/log").text, "first\nsecond\n");
    EXPECT_EQ(world_.ask("GET", pods + "/p/log?tailLines=1&container=main").text, "second\n");
    EXPECT_EQ(world_.ask("GET", pods + "/p/log?previous=true").status, 404);
    const Answer wrong = world_.ask("GET", pods + "/p/log?container=other");
    EXPECT_EQ(wrong.status, 400);
    EXPECT_EQ(wrong.json["message"].as_string(), "container other is not valid for pod p");
    EXPECT_EQ(world_.ask("GET", pods + "/p/log?tailLines=-1").status, 400);
    EXPECT_EQ(world_.ask("GET", pods + "/none/log").status, 404);
    world_.server().set_node_connector(nullptr);
    EXPECT_EQ(world_.ask("GET", pods + "/p/log").status, 503);
}

TEST_F(Streams, GivenACommandThenOutputAndAnExitStatusComeOnTheirChannels) {
    const auto received = exec("command=echo&command=hi&stdout=true", {});
    ASSERT_EQ(received.size(), 3u);
    EXPECT_EQ(received[0], "\x01");
    EXPECT_EQ(received[1], "\x01"
                           "command: echo hi\n");
    EXPECT_EQ(received[2], "\x03"
                           R"({"metadata":{},"status":"Success"})");
    const auto failed = exec("command=exit&command=7&stdout=true&stderr=true", {});
    ASSERT_FALSE(failed.empty());
    EXPECT_NE(failed.back().find(R"("causes":[{"reason":"ExitCode","message":"7"}])"),
              std::string::npos);
    const auto none = exec("command=none&stdout=true", {});
    EXPECT_NE(none.back().find("no such program"), std::string::npos);
}

TEST_F(Streams, GivenInputAndItsHalfCloseThenTheCommandSeesBoth) {
    using namespace std::string_literals;
    const auto received = exec("command=cat&stdin=true&stdout=true", {"\0hello"s, "\xff\0"s});
    ASSERT_EQ(received.size(), 3u);
    EXPECT_EQ(received[1], "\x01hello");
    const auto sized =
        exec("command=size&stdin=true&stdout=true&tty=true", {"\x04{\"Width\":80,\"Height\":24}"s});
    ASSERT_GE(sized.size(), 2u);
    EXPECT_EQ(sized[1], "\x01"
                        "80x24");
}

TEST_F(Streams, GivenAClientOfV4ThenItIsSpokenAndOneOfBothGetsV5) {
    const std::string v4 = "v4.channel.k8s.io";
    const auto received = exec("command=echo&command=hi&stdout=true", {}, v4, v4);
    ASSERT_EQ(received.size(), 3u);
    EXPECT_EQ(received[1], "\x01"
                           "command: echo hi\n");
    EXPECT_EQ(received[2], "\x03"
                           R"({"metadata":{},"status":"Success"})");
    EXPECT_EQ(exec("command=echo&stdout=true", {}, v4 + ", v5.channel.k8s.io").size(), 3u);
}

TEST_F(Streams, GivenAnExecThatCannotBeThenAStatusSaysWhy) {
    EXPECT_EQ(world_.ask("GET", pods + "/p/exec?stdout=true").status, 400);
    EXPECT_EQ(world_.ask("GET", pods + "/p/exec?command=ls").status, 400);
    const Answer plain = world_.ask("POST", pods + "/p/exec?command=ls&stdout=true");
    EXPECT_EQ(plain.status, 400);
    EXPECT_NE(plain.json["message"].as_string().find("Upgrade request required"),
              std::string_view::npos);
    must(world_.client().create(resources::pods, "default", pod("idle")));
    EXPECT_EQ(world_.ask("GET", pods + "/idle/exec?command=ls&stdout=true").status, 400);
}

} // namespace
} // namespace cloudlet::kube::server::testing
