#include "cloudlet/net/websocket.h"

#include "cloudlet/io/process.h"
#include "test_support.h"

namespace cloudlet::net {
namespace {

using Role = WebSocketDecoder::Role;
using testing::HasSubstr;
using testing::StartsWith;

std::string client_frame(Opcode opcode, std::string_view payload, bool final = true) {
    return encode_frame(opcode, payload, final, 0x1a2b3c4d);
}

TEST(WebSocketCodec, AgreesWithTheExamplesOfRfc6455) {
    // Section 5.7 and section 1.3.
    EXPECT_EQ(encode_frame(Opcode::text, "Hello"), "\x81\x05Hello");
    EXPECT_EQ(encode_frame(Opcode::text, "Hello", true, 0x37fa213d),
              "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    EXPECT_EQ(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocketCodec, MessagesOfAllSizesSurviveInPiecesAndFragments) {
    for (size_t size : {0, 1, 125, 126, 127, 65535, 65536, 200'000}) {
        std::string payload(size, 'p'), bytes;
        for (size_t i = 0; i < size; i += 7) payload[i] = static_cast<char>(i);
        bytes = client_frame(Opcode::binary, payload.substr(0, size / 2), false) +
                client_frame(Opcode::ping, "in between") +
                client_frame(Opcode::continuation, payload.substr(size / 2));
        WebSocketDecoder decoder(Role::server);
        std::vector<WebSocketMessage> messages;
        for (size_t at = 0; at < bytes.size(); at += 1000) {
            auto some = decoder.feed(std::string_view(bytes).substr(at, 1000));
            ASSERT_TRUE(some) << some.error().message;
            for (auto& message : *some) messages.push_back(std::move(message));
        }
        ASSERT_EQ(messages.size(), 2u);
        EXPECT_EQ(messages[0].payload, "in between");
        EXPECT_TRUE(messages[1].payload == payload);
        EXPECT_EQ(decoder.buffered(), 0u);
    }
}

TEST(WebSocketCodec, RefusesWhatTheRfcForbidsWithTheRightCode) {
    struct Case {
        std::string bytes;
        uint16_t code;
    };
    const std::vector<Case> cases = {
        {encode_frame(Opcode::text, "not masked"), 1002},
        {"\xc1\x80"
         "abcd",
         1002}, // a reserved bit
        {"\x83\x80"
         "abcd",
         1002},                                                    // an unknown opcode
        {client_frame(Opcode::ping, std::string(126, 'x')), 1002}, // a long control frame
        {client_frame(Opcode::ping, "x", false), 1002},            // a fragmented one
        {client_frame(Opcode::continuation, "x"), 1002},           // of nothing
        {client_frame(Opcode::text, "a", false) + client_frame(Opcode::text, "b"), 1002},
        {client_frame(Opcode::text, "\xff"), 1007},
        {client_frame(Opcode::text, "\xc0\xaf"), 1007},
        {client_frame(Opcode::text, "\xed\xa0\x80"), 1007},
        {client_frame(Opcode::close, "x"), 1002},
        {client_frame(Opcode::close, std::string("\x03\xed", 2)), 1002},     // 1005 is never sent
        {std::string("\x82\xfe\x00\x05", 4) + "abcdhello", 1002},            // 5 in a long form
        {std::string("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00", 10), 1002}, // a negative length
        {client_frame(Opcode::binary, std::string(1001, 'x')), 1009},
        {client_frame(Opcode::binary, std::string(600, 'x'), false) +
             client_frame(Opcode::continuation, std::string(600, 'x')),
         1009},
        {std::string("\x82\xff\x00\x00\x7f\xff\xff\xff\xff\xff", 10),
         1009}, // huge, before its payload
    };
    for (const auto& wrong : cases) {
        WebSocketDecoder decoder(Role::server, 1000);
        EXPECT_FALSE(decoder.feed(wrong.bytes));
        EXPECT_EQ(decoder.close_code(), wrong.code)
            << testing::PrintToString(wrong.bytes.substr(0, 12));
        EXPECT_FALSE(decoder.feed("more"));
    }
}

TEST(WebSocketCodec, KnowsUtf8) {
    for (auto good :
         {"", "abc", "\xc2\xa2", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"})
        EXPECT_TRUE(is_valid_utf8(good));
    for (auto bad : {"\x80", "\xc2", "\xe2\x82", "\xc1\x81", "\xe0\x80\x80", "\xf0\x80\x80\x80",
                     "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80"})
        EXPECT_FALSE(is_valid_utf8(bad));
}

/// Serves echoes: "close" is answered by closing.
void serve_echo(std::shared_ptr<Exchange> exchange,
                std::promise<std::pair<uint16_t, std::string>>* closed) {
    auto accepted =
        accept_websocket(*exchange, {"v5.channel.k8s.io", "v4.channel.k8s.io"}, 100'000);
    if (!accepted) return exchange->respond({400, {}, accepted.error().message});
    auto socket = *accepted;
    auto* raw = socket.get();
    socket->set_handlers({[raw](Opcode opcode, std::string payload) {
                              if (payload == "close")
                                  return raw->close(CloseCode::normal, "as you wish");
                              raw->send(opcode, payload);
                          },
                          [closed](uint16_t code, std::string reason) {
                              if (closed) closed->set_value({code, reason});
                          }});
}

/// Reads frames of a server until one of that opcode.
std::string read_frame(BlockingStream& stream, WebSocketDecoder& decoder, Opcode opcode) {
    static thread_local std::vector<WebSocketMessage> waiting;
    for (;;) {
        while (!waiting.empty()) {
            auto message = std::move(waiting.front());
            waiting.erase(waiting.begin());
            if (message.opcode == opcode) return message.payload;
        }
        auto bytes = stream.read(20s);
        if (!bytes || bytes->empty()) return "(end)";
        auto messages = decoder.feed(*bytes);
        if (!messages) return messages.error().message;
        waiting = std::move(*messages);
    }
}

Request hello(const std::string& protocols) {
    return {.target = "/exec",
            .headers = {{"Connection", "keep-alive, Upgrade"},
                        {"Upgrade", "websocket"},
                        {"Sec-WebSocket-Version", "13"},
                        {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
                        {"Sec-WebSocket-Protocol", protocols}}};
}

TEST(WebSocket, NegotiatesEchoesAnswersPingsAndCloses) {
    for (bool tls : {false, true}) {
        std::promise<std::pair<uint16_t, std::string>> closed;
        TestServer server(
            [&](std::shared_ptr<Exchange> exchange) { serve_echo(std::move(exchange), &closed); },
            {}, tls);
        auto upgraded =
            must(http_upgrade(server.client_options(), server.url(),
                              hello("base64.binary.k8s.io, v4.channel.k8s.io, v5.channel.k8s.io")));
        ASSERT_EQ(upgraded.head.status, 101);
        EXPECT_EQ(upgraded.head.headers.get("sec-websocket-accept"),
                  "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        EXPECT_EQ(upgraded.head.headers.get("sec-websocket-protocol"), "v5.channel.k8s.io");
        WebSocketDecoder decoder(Role::client);
        auto& stream = *upgraded.stream;
        must(stream.write(client_frame(Opcode::ping, "are you there") +
                          client_frame(Opcode::binary, std::string(50'000, 'd'))));
        EXPECT_EQ(read_frame(stream, decoder, Opcode::pong), "are you there");
        EXPECT_EQ(read_frame(stream, decoder, Opcode::binary), std::string(50'000, 'd'));
        must(stream.write(client_frame(Opcode::close, encode_close(1000, "bye"))));
        EXPECT_EQ(read_frame(stream, decoder, Opcode::close), "\x03\xe8");
        upgraded.stream.reset(); // the server waits for that, for a while
        EXPECT_EQ(closed.get_future().get(), (std::pair<uint16_t, std::string>{1000, "bye"}));
    }
}

TEST(WebSocket, ClosesWithAReasonAndOnBrokenFrames) {
    TestServer server(
        [&](std::shared_ptr<Exchange> exchange) { serve_echo(std::move(exchange), nullptr); });
    for (const auto& [sent, answer] : std::vector<std::pair<std::string, std::string>>{
             {client_frame(Opcode::text, "close"), encode_close(1000, "as you wish")},
             {encode_frame(Opcode::text, "unmasked"),
              encode_close(1002, "WebSocket: a client's frame is not masked")},
             {client_frame(Opcode::binary, std::string(100'001, 'x')),
              encode_close(1009, "WebSocket: a message is larger than 100000 bytes")}}) {
        auto upgraded = must(http_upgrade({}, server.url(), hello("v5.channel.k8s.io")));
        WebSocketDecoder decoder(Role::client);
        must(upgraded.stream->write(sent));
        EXPECT_EQ(read_frame(*upgraded.stream, decoder, Opcode::close), answer);
        EXPECT_EQ(read_frame(*upgraded.stream, decoder, Opcode::close), "(end)");
    }
}

TEST(WebSocket, TellsWhenTheClientWasCut) {
    std::promise<std::pair<uint16_t, std::string>> closed;
    TestServer server(
        [&](std::shared_ptr<Exchange> exchange) { serve_echo(std::move(exchange), &closed); });
    must(http_upgrade({}, server.url(), hello("v5.channel.k8s.io"))).stream.reset();
    EXPECT_EQ(closed.get_future().get().first, 1006);
}

TEST(WebSocket, RefusesBadHandshakesWithAReason) {
    TestServer server(
        [&](std::shared_ptr<Exchange> exchange) { serve_echo(std::move(exchange), nullptr); });
    auto status = [&](Request request) {
        return must(http_upgrade({}, server.url(), std::move(request))).head;
    };
    EXPECT_THAT(status(hello("v9.other")).body, HasSubstr("v5.channel.k8s.io, v4.channel.k8s.io"));
    auto old = hello("v4.channel.k8s.io");
    old.headers.set("Sec-WebSocket-Version", "8");
    EXPECT_THAT(status(old).body, HasSubstr("version 13"));
    auto keyless = hello("v4.channel.k8s.io");
    keyless.headers.set("Sec-WebSocket-Key", "c2hvcnQ=");
    EXPECT_EQ(status(keyless).status, 400);
    EXPECT_EQ(status({.target = "/"}).status, 400);
}

TEST(WebSocket, CurlSeesTheHandshake) {
    TestServer server(
        [&](std::shared_ptr<Exchange> exchange) { serve_echo(std::move(exchange), nullptr); });
    auto output = io::run({"curl", "-sS", "-i", "-N", "--noproxy", "*", "-m", "1", "-H",
                           "Connection: Upgrade", "-H", "Upgrade: websocket", "-H",
                           "Sec-WebSocket-Version: 13", "-H",
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", server.url()},
                          30s);
    if (!output && output.error().code == Code::not_found) GTEST_SKIP() << "no curl here";
    EXPECT_THAT(output->out, StartsWith("HTTP/1.1 101 "));
    EXPECT_THAT(output->out, HasSubstr("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

} // namespace
} // namespace cloudlet::net
