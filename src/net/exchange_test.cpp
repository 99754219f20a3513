// Streams, upgrades, and clients that leave at every stage.

#include "cloudlet/net/http_server.h"

#include <atomic>
#include <thread>

#include "test_support.h"

namespace cloudlet::net {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

/// Hands exchanges from the server to the test.
class Inbox {
public:
    void put(std::shared_ptr<Exchange> exchange) {
        std::lock_guard lock(mutex_);
        exchanges_.push_back(std::move(exchange));
        came_.notify_all();
    }
    std::shared_ptr<Exchange> take() {
        std::unique_lock lock(mutex_);
        check(came_.wait_for(lock, 20s, [&] { return !exchanges_.empty(); }), "a request comes");
        auto exchange = std::move(exchanges_.front());
        exchanges_.erase(exchanges_.begin());
        return exchange;
    }
    Handler handler() {
        return [this](std::shared_ptr<Exchange> exchange) { put(std::move(exchange)); };
    }

private:
    std::mutex mutex_;
    std::condition_variable came_;
    std::vector<std::shared_ptr<Exchange>> exchanges_;
};

constexpr std::string_view ask = "GET /watch HTTP/1.1\r\nHost: x\r\n\r\n";

bool ended(const std::shared_ptr<Exchange>& exchange) {
    auto done = std::make_shared<std::promise<void>>();
    exchange->on_close([done] { done->set_value(); });
    return done->get_future().wait_for(20s) == std::future_status::ready;
}

TEST(Exchange, StreamsChunksAndKeepsTheConnection) {
    Inbox inbox;
    TestServer server(inbox.handler());
    RawClient client(server.server->port());
    client.send(ask);
    auto exchange = inbox.take();
    exchange->start_stream(200, {{"Content-Type", "application/json"}});
    EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("Transfer-Encoding: chunked"));
    EXPECT_TRUE(exchange->write("one"));
    EXPECT_EQ(client.read_until("one\r\n"), "3\r\none\r\n");
    auto large = share(std::string(100'000, 'L'));
    EXPECT_TRUE(exchange->write(large));
    EXPECT_EQ(client.read_until("L\r\n").size(), 5 + 2 + large->size() + 2);
    exchange->write("");
    exchange->finish();
    EXPECT_EQ(client.read_until("0\r\n\r\n"), "0\r\n\r\n");
    EXPECT_TRUE(ended(exchange));
    EXPECT_FALSE(exchange->write("late"));
    client.send(ask);
    inbox.take()->respond({200, {}, "next"});
    EXPECT_THAT(client.read_until("next"), StartsWith("HTTP/1.1 200"));
}

TEST(Exchange, AStreamForHttp10EndsWithTheConnection) {
    Inbox inbox;
    TestServer server(inbox.handler());
    RawClient client(server.server->port());
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    auto exchange = inbox.take();
    exchange->start_stream(200, {});
    exchange->write("plain");
    exchange->finish();
    EXPECT_THAT(client.read_all(), EndsWith("\r\n\r\nplain"));
}

TEST(Exchange, TellsWhenTheClientOfAStreamIsGone) {
    Inbox inbox;
    TestServer server(inbox.handler());
    for (bool cut : {false, true}) {
        RawClient client(server.server->port());
        client.send(ask);
        auto exchange = inbox.take();
        exchange->start_stream(200, {});
        client.read_until("\r\n\r\n");
        if (cut) {
            client.cut();
        } else {
            client.close();
        }
        EXPECT_TRUE(ended(exchange));
        EXPECT_TRUE(exchange->closed());
        EXPECT_FALSE(exchange->write("x"));
        EXPECT_EQ(exchange->queued_bytes(), 0u);
    }
}

TEST(Exchange, AClientThatLeftBeforeTheAnswerMakesItANoOp) {
    Inbox inbox;
    TestServer server(inbox.handler());
    RawClient client(server.server->port());
    client.send(ask);
    auto exchange = inbox.take();
    client.cut();
    EXPECT_TRUE(ended(exchange));
    exchange->respond({200, {}, "nobody"});
    EXPECT_FALSE(exchange->upgrade(101, {}));
}

TEST(Exchange, AbortShowsTheClientAnIncompleteAnswer) {
    Inbox inbox;
    TestServer server(inbox.handler());
    RawClient client(server.server->port());
    client.send(ask);
    auto exchange = inbox.take();
    exchange->start_stream(200, {});
    exchange->write("half");
    client.read_until("half\r\n");
    exchange->abort();
    EXPECT_EQ(client.read_all(), "");
}

TEST(Exchange, ASlowReaderIsVisibleAndDoesNotDisturbOthers) {
    Inbox inbox;
    TestServer server(inbox.handler());
    RawClient slow(server.server->port()), quick(server.server->port());
    slow.send(ask);
    auto stuck = inbox.take();
    quick.send(ask);
    auto flowing = inbox.take();
    stuck->start_stream(200, {});
    flowing->start_stream(200, {});
    auto chunk = share(std::string(64 << 10, '~'));
    size_t written = 0;
    while (stuck->queued_bytes() < (4u << 20)) { // far more than the sockets hold
        stuck->write(chunk);
        flowing->write(chunk);
        written += chunk->size();
        quick.read_until(std::string(1000, '~') + "\r\n");
    }
    std::promise<void> drained;
    stuck->when_drained(1000, [&] { drained.set_value(); });
    stuck->finish();
    auto text = slow.read_until("0\r\n\r\n");
    EXPECT_EQ(static_cast<size_t>(std::count(text.begin(), text.end(), '~')), written);
    EXPECT_EQ(drained.get_future().wait_for(20s), std::future_status::ready);
}

TEST(Exchange, AConnectionWithTooManyUnsentBytesIsCut) {
    Inbox inbox;
    TestServer server(inbox.handler(), {.max_queued_bytes = 1 << 20});
    RawClient client(server.server->port());
    client.send(ask);
    auto exchange = inbox.take();
    exchange->start_stream(200, {});
    auto chunk = share(std::string(64 << 10, 'c'));
    int writes = 0;
    while (exchange->write(chunk) && writes < 10'000) ++writes;
    EXPECT_LT(writes, 10'000);
    EXPECT_TRUE(ended(exchange));
}

TEST(Exchange, AThousandIdleStreamsAllGetTheirEvent) {
    Inbox inbox;
    TestServer server(inbox.handler());
    std::vector<std::unique_ptr<RawClient>> clients;
    std::vector<std::shared_ptr<Exchange>> streams;
    for (int i = 0; i < 1000; ++i) {
        clients.push_back(std::make_unique<RawClient>(server.server->port()));
        clients.back()->send(ask);
        streams.push_back(inbox.take());
        streams.back()->start_stream(200, {});
    }
    auto event = share("{\"type\":\"ADDED\"}\n");
    for (auto& stream : streams) EXPECT_TRUE(stream->write(event));
    for (auto& client : clients)
        EXPECT_THAT(client->read_until("}\n\r\n"), HasSubstr("11\r\n" + *event));
    EXPECT_EQ(server.server->connections(), 1000u);
    for (size_t i = 0; i < clients.size(); i += 2) clients[i]->cut();
    for (size_t i = 0; i < clients.size(); i += 2) EXPECT_TRUE(ended(streams[i]));
    for (size_t i = 1; i < clients.size(); i += 2) EXPECT_FALSE(streams[i]->closed());
}

TEST(Exchange, ManyThreadsMayWriteWhileTheClientLeaves) {
    Inbox inbox;
    TestServer server(inbox.handler());
    for (int round = 0; round < 30; ++round) {
        RawClient client(server.server->port());
        client.send(ask);
        auto exchange = inbox.take();
        exchange->start_stream(200, {});
        std::vector<std::thread> writers;
        for (int i = 0; i < 3; ++i) {
            writers.emplace_back([exchange] {
                for (int k = 0; k < 2000 && exchange->write(std::string(200, 'w')); ++k) {
                }
            });
        }
        client.read_until("www");
        if (round % 2) {
            client.cut();
        } else {
            client.close();
        }
        for (auto& writer : writers) writer.join();
        EXPECT_TRUE(ended(exchange));
    }
}

TEST(Exchange, AnswersMayRaceWithShutdown) {
    for (int round = 0; round < 20; ++round) {
        Inbox inbox;
        TestServer server(inbox.handler());
        std::vector<std::unique_ptr<RawClient>> clients;
        std::vector<std::shared_ptr<Exchange>> exchanges;
        for (int i = 0; i < 10; ++i) {
            clients.push_back(std::make_unique<RawClient>(server.server->port()));
            clients.back()->send(ask);
            exchanges.push_back(inbox.take());
        }
        std::thread answering([&] {
            for (auto& exchange : exchanges) exchange->respond({200, {}, "done"});
        });
        server.server->shutdown(round % 2 ? 5s : 0s);
        answering.join();
        for (auto& exchange : exchanges) EXPECT_TRUE(exchange->closed());
    }
}

TEST(Upgrade, HandsOverTheStreamWithWhatTheClientSentAhead) {
    Inbox inbox;
    TestServer server(inbox.handler());
    RawClient client(server.server->port());
    client.send(
        "GET /exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nahead ");
    auto exchange = inbox.take();
    auto stream = must(exchange->upgrade(101, {{"Upgrade", "raw"}}));
    EXPECT_THAT(
        client.read_until("\r\n\r\n"),
        StartsWith("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw"));
    client.send("and after");
    std::string got;
    std::promise<void> closed;
    stream->set_handlers({[&](std::string_view bytes) { got += bytes; },
                          [&] {
                              stream->write("you said: " + got);
                              stream->close();
                          },
                          [&] { closed.set_value(); }});
    client.end_writing();
    EXPECT_EQ(client.read_all(), "you said: ahead and after");
    EXPECT_EQ(closed.get_future().wait_for(20s), std::future_status::ready);
    EXPECT_FALSE(stream->write("late"));
}

TEST(Upgrade, APausedReaderHoldsItsPeerBack) {
    Inbox inbox;
    TestServer server(inbox.handler());
    RawClient client(server.server->port());
    client.send(ask);
    auto stream = must(inbox.take()->upgrade(101, {}));
    client.read_until("\r\n\r\n");
    std::atomic<size_t> got = 0;
    std::promise<void> all;
    constexpr size_t total = 32 << 20;
    stream->pause_reading();
    stream->set_handlers({[&](std::string_view bytes) {
        if ((got += bytes.size()) == total) all.set_value();
    }});
    std::atomic<bool> sent = false;
    std::thread writer([&] {
        client.send(std::string(total, 'x'));
        sent = true;
    });
    server.thread->loop().call([] {});
    EXPECT_EQ(got, 0u);
    EXPECT_FALSE(sent);
    stream->resume_reading();
    EXPECT_EQ(all.get_future().wait_for(30s), std::future_status::ready);
    writer.join();
    stream->close();
}

TEST(Upgrade, AStreamThatNobodyHoldsIsClosed) {
    Inbox inbox;
    TestServer server(inbox.handler());
    RawClient client(server.server->port());
    client.send(ask);
    must(inbox.take()->upgrade(200, {})).reset();
    EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 200 OK"));
}

TEST(Upgrade, ALateOwnerOfAClosedStreamHearsOfItsEnd) {
    Inbox inbox;
    TestServer server(inbox.handler());
    RawClient client(server.server->port());
    client.send(ask);
    auto exchange = inbox.take();
    auto stream = must(exchange->upgrade(101, {}));
    client.cut();
    EXPECT_TRUE(ended(exchange));
    std::promise<void> closed;
    stream->set_handlers({{}, {}, [&] { closed.set_value(); }});
    EXPECT_EQ(closed.get_future().wait_for(20s), std::future_status::ready);
}

} // namespace
} // namespace cloudlet::net
