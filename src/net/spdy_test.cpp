#include "cloudlet/net/spdy.h"

#include <zlib.h>

#include "cloudlet/base/random.h"
#include "spdy_codec.h"
#include "test_support.h"

namespace cloudlet::net {
namespace {

using Role = SpdySession::Role;
using FlowControl = SpdySession::FlowControl;

TEST(SpdyCodec, HasTheDictionaryOfTheDraft) {
    const auto& dictionary = spdy_header_dictionary();
    EXPECT_EQ(dictionary.size(), 1423u);
    // zlib writes this id into the stream; the other side must have the same.
    EXPECT_EQ(
        adler32(adler32(0, nullptr, 0), reinterpret_cast<const Bytef*>(dictionary.data()), 1423),
        0xe3c6a7c2u);
}

TEST(SpdyCodec, HeadersSurviveAndShareOneContext) {
    HeaderCompressor compressor;
    HeaderDecompressor decompressor;
    Headers headers{{"streamType", "stdin"}, {"port", "80"}, {"x", "1"}, {"X", "2"}};
    size_t first = 0;
    for (int round = 0; round < 5; ++round) {
        auto block = compressor.compress(headers);
        if (!round)
            first = block.size();
        else
            EXPECT_LT(block.size(), first);
        auto back = must(decompressor.decompress(block));
        EXPECT_EQ(back.get("streamtype"), "stdin");
        EXPECT_EQ(back.all("x"), (std::vector<std::string_view>{"1", "2"}));
    }
}

TEST(SpdyCodec, RefusesABombAndBrokenBlocks) {
    HeaderCompressor compressor;
    auto bomb = compressor.compress({{"x", std::string(1 << 20, 'a')}});
    EXPECT_LT(bomb.size(), 5000u);
    auto refused = HeaderDecompressor().decompress(bomb);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, testing::HasSubstr("64 KiB"));
    EXPECT_FALSE(HeaderDecompressor().decompress("no zlib"));
    EXPECT_FALSE(HeaderDecompressor().decompress(""));
}

/// Two sessions, each feeding the other when the test says so.
struct Pair {
    std::string to_server, to_client;
    std::vector<std::shared_ptr<SpdyStream>> accepted;
    bool server_closed = false, client_closed = false;
    std::shared_ptr<SpdySession> server, client;

    explicit Pair(FlowControl flow_control = FlowControl::strict, size_t max_streams = 10) {
        server = SpdySession::create(
            Role::server, [this](std::string bytes) { to_client += bytes; },
            {[this](std::shared_ptr<SpdyStream> stream) { accepted.push_back(std::move(stream)); },
             [this] { server_closed = true; }},
            flow_control, max_streams);
        client = SpdySession::create(
            Role::client, [this](std::string bytes) { to_server += bytes; },
            {{}, [this] { client_closed = true; }}, flow_control);
    }
    ~Pair() {
        server->end_of_input();
        client->end_of_input();
    }
    Result<> move() {
        while (!to_server.empty() || !to_client.empty()) {
            auto bytes = std::exchange(to_server, {});
            for (size_t at = 0; at < bytes.size(); at += 5000)
                TRY(server->receive(std::string_view(bytes).substr(at, 5000)));
            bytes = std::exchange(to_client, {});
            for (size_t at = 0; at < bytes.size(); at += 777)
                TRY(client->receive(std::string_view(bytes).substr(at, 777)));
        }
        return {};
    }
};

/// What a stream received, as text: data, then "." at its end and "!" at its close.
SpdyStream::Handlers record(std::string& into) {
    return {[&into](std::string_view bytes) { into += bytes; }, [&into] { into += "."; },
            [&into] { into += "!"; }};
}

TEST(SpdySession, OpensStreamsMovesDataAndHalfCloses) {
    std::string at_client, at_server;
    Pair pair;
    auto stream = must(pair.client->open_stream({{"streamType", "stdout"}}));
    stream->set_handlers(record(at_client));
    EXPECT_TRUE(stream->write("question"));
    stream->close_write();
    EXPECT_FALSE(stream->write("late"));
    must(pair.move());
    ASSERT_EQ(pair.accepted.size(), 1u);
    EXPECT_EQ(pair.accepted[0]->headers().get("streamtype"), "stdout");
    EXPECT_EQ(pair.accepted[0]->id(), 1u);
    pair.accepted[0]->set_handlers(record(at_server)); // later than the data
    EXPECT_EQ(at_server, "question.");
    pair.accepted[0]->write("answer");
    pair.accepted[0]->close_write();
    EXPECT_EQ(at_server, "question.!");
    must(pair.move());
    EXPECT_EQ(at_client, "answer.!");
    EXPECT_EQ(pair.server->stream_count(), 0u);
    EXPECT_EQ(pair.client->stream_count(), 0u);
}

TEST(SpdySession, AStrictSenderStaysWithinTheWindowUntilTheReaderReads) {
    std::string at_server;
    Pair pair;
    auto stream = must(pair.client->open_stream({}));
    std::string body(1 << 20, 'w');
    stream->write(body);
    stream->close_write();
    EXPECT_EQ(stream->queued_bytes(), body.size() - (64 << 10));
    must(pair.move());
    EXPECT_EQ(stream->queued_bytes(), body.size() - (64 << 10)); // nobody reads there yet
    pair.accepted.at(0)->set_handlers(record(at_server));
    must(pair.move());
    EXPECT_EQ(stream->queued_bytes(), 0u);
    EXPECT_TRUE(at_server == body + ".");
}

TEST(SpdySession, ManyStreamsShareTheSessionWindowWithoutStarving) {
    std::vector<std::string> got(20);
    Pair pair(FlowControl::strict, 100);
    std::vector<std::shared_ptr<SpdyStream>> streams;
    for (int i = 0; i < 20; ++i) {
        streams.push_back(must(pair.client->open_stream({{"n", std::to_string(i)}})));
        streams.back()->write(std::string(100'000, static_cast<char>('a' + i)));
    }
    must(pair.move());
    for (size_t i = 20; i-- > 0;) pair.accepted.at(i)->set_handlers(record(got[i]));
    must(pair.move());
    for (size_t i = 0; i < 20; ++i)
        EXPECT_EQ(got[i], std::string(100'000, static_cast<char>('a' + i)));
}

TEST(SpdySession, APeerWithoutWindowsIsNotWaitedFor) {
    // As spdystream: it never sends a WINDOW_UPDATE.
    std::string sent;
    auto server = SpdySession::create(Role::server, [&](std::string bytes) { sent += bytes; }, {});
    auto stream = must(server->open_stream({}));
    EXPECT_TRUE(stream->write(std::string(1 << 20, 'x')));
    EXPECT_EQ(stream->queued_bytes(), 0u);
    EXPECT_GT(sent.size(), 1u << 20);
    // Once it shows that it counts, it is taken at its word.
    must(server->receive(SpdyEncoder::window_update(stream->id(), 10)));
    stream->write("more");
    EXPECT_EQ(stream->queued_bytes(), 4u);
    server->end_of_input();
}

TEST(SpdySession, ResetsPingsAndGoesAway) {
    std::string at_server, at_client;
    Pair pair;
    auto stream = must(pair.client->open_stream({}));
    stream->set_handlers(record(at_client));
    must(pair.move());
    pair.accepted.at(0)->set_handlers(record(at_server));
    pair.accepted[0]->reset();
    must(pair.move());
    EXPECT_EQ(at_server, "!");
    EXPECT_EQ(at_client, "!");
    pair.client->ping();
    EXPECT_EQ(pair.to_server, SpdyEncoder::ping(1));
    must(pair.server->receive(std::exchange(pair.to_server, {})));
    EXPECT_EQ(pair.to_client, SpdyEncoder::ping(1));
    must(pair.move());
    auto second = must(pair.client->open_stream({}));
    must(pair.move());
    pair.server->close();
    EXPECT_TRUE(pair.server_closed);
    must(pair.client->receive(pair.to_client));
    EXPECT_FALSE(pair.client->open_stream({}));
    pair.client->end_of_input();
    EXPECT_TRUE(pair.client_closed);
    EXPECT_FALSE(second->write("x"));
}

TEST(SpdySession, RefusesStreamsBeyondItsLimitButKeepsTheHeaderContext) {
    std::vector<std::string> got(4);
    Pair pair(FlowControl::strict, 2);
    std::vector<std::shared_ptr<SpdyStream>> streams;
    for (size_t i = 0; i < 4; ++i) {
        streams.push_back(must(pair.client->open_stream({{"name", "stream"}})));
        streams[i]->set_handlers(record(got[i]));
    }
    must(pair.move());
    EXPECT_EQ(pair.accepted.size(), 2u);
    EXPECT_EQ(got, (std::vector<std::string>{"", "", "!", "!"}));
    pair.accepted[0]->reset();
    auto next = must(pair.client->open_stream({{"name", "next"}}));
    must(pair.move());
    EXPECT_EQ(pair.accepted.back()->headers().get("name"), "next");
}

TEST(SpdySession, BreaksOffWhenThePeerBreaksTheProtocol) {
    SpdyEncoder encoder;
    auto syn = [&](uint32_t id) { return encoder.syn_stream(id, {{"a", "b"}}); };
    const std::vector<std::string> wrong = {
        std::string("\x80\x02\x00\x01\x00\x00\x00\x00", 8),                  // version 2
        std::string("\x80\x03\x00\x01\x00\x00\x00\x02xx", 10),               // too short
        std::string("\x80\x03\x00\x01\x00\xff\xff\xff", 8),                  // too long
        syn(2),                                                              // the wrong parity
        SpdyEncoder::window_update(0, 0x7fffffff),                           // an overflow
        std::string("\x80\x03\x00\x04\x00\x00\x00\x04\x00\x00\x10\x00", 12), // SETTINGS cut short
    };
    for (const auto& bytes : wrong) {
        Pair pair;
        EXPECT_FALSE(pair.server->receive(bytes));
        EXPECT_TRUE(pair.server_closed);
        EXPECT_THAT(pair.to_client, testing::HasSubstr(std::string("\x80\x03\x00\x07", 4)));
        EXPECT_FALSE(pair.server->receive("more"));
    }
    // A stream id that goes back.
    Pair pair;
    SpdyEncoder again;
    must(pair.server->receive(again.syn_stream(5, {})));
    EXPECT_FALSE(pair.server->receive(again.syn_stream(3, {})));
}

TEST(SpdySession, DataForNobodyIsAnsweredAndUnknownFramesAreSkipped) {
    Pair pair;
    must(pair.server->receive(std::string("\x80\x03\x00\xee\x00\x00\x00\x02xx", 10)));
    must(pair.server->receive(SpdyEncoder::data(9, "lost", false)));
    EXPECT_EQ(pair.to_client, SpdyEncoder::window_update(0, 4) +
                                  SpdyEncoder::rst_stream(9, SpdyStatus::invalid_stream));
}

TEST(SpdySession, RunsOverAnUpgradedConnection) {
    std::promise<void> closed;
    TestServer server(
        [&](std::shared_ptr<Exchange> exchange) {
            auto stream = must(exchange->upgrade(101, {{"Upgrade", "SPDY/3.1"}}));
            SpdySession::serve(stream,
                               {[](std::shared_ptr<SpdyStream> opened) {
                                    auto* raw = opened.get();
                                    raw->set_handlers(
                                        {[raw](std::string_view bytes) { raw->write(bytes); },
                                         [opened] { opened->close_write(); }});
                                },
                                [&] { closed.set_value(); }});
        },
        {}, true);
    auto upgraded = must(
        http_upgrade(server.client_options(), server.url(),
                     {.method = "POST", .target = "/exec", .headers = {{"Upgrade", "SPDY/3.1"}}}));
    auto& stream = *upgraded.stream;
    auto client = SpdySession::create(
        Role::client, [&](std::string bytes) { must(stream.write(bytes)); }, {},
        FlowControl::strict);
    std::string echoed, body(300'000, 'e');
    auto opened = must(client->open_stream({{"streamType", "stdin"}}));
    opened->set_handlers(record(echoed));
    opened->write(body);
    opened->close_write();
    while (!echoed.ends_with("!")) {
        auto bytes = must(stream.read(20s));
        ASSERT_FALSE(bytes.empty());
        must(client->receive(bytes));
    }
    EXPECT_TRUE(echoed == body + ".!");
    upgraded.stream.reset();
    EXPECT_EQ(closed.get_future().wait_for(20s), std::future_status::ready);
}

} // namespace
} // namespace cloudlet::net
