#include "cloudlet/rados/peer_session.h"

#include <gtest/gtest.h>

#include "cloudlet/base/random.h"
#include "test_seeds.h"

namespace cloudlet::rados {
namespace {

using namespace std::chrono_literals;
using Session = PeerSession<int>;

Session::MessagePtr numbered(int number) { return std::make_shared<const int>(number); }

/// Two ends that have met, and a network that does what it is told.
struct Met {
    Session a{1}, b{1};
    MonotonicTime now{};

    Met() {
        a.receive(b.send(numbered(0), now), now);
        for (const auto& frame : a.due(now)) b.receive(frame, now);
        for (const auto& frame : b.due(now)) a.receive(frame, now);
        for (const auto& frame : a.due(now + 20ms)) b.receive(frame, now);
        now += 20ms;
    }
};

TEST(PeerSession, GreetsAndSendsOnceItKnowsWhoLives) {
    Session a(1), b(7);
    MonotonicTime now{};
    auto greeting = a.send(numbered(5), now);
    EXPECT_FALSE(greeting.message);
    EXPECT_TRUE(b.receive(greeting, now).messages.empty());
    auto answer = b.due(now);
    ASSERT_EQ(answer.size(), 1u);
    EXPECT_FALSE(a.receive(answer[0], now).reset) << "nobody was known before";
    auto frames = a.due(now);
    ASSERT_EQ(frames.size(), 1u);
    auto got = b.receive(frames[0], now);
    ASSERT_EQ(got.messages.size(), 1u);
    EXPECT_EQ(*got.messages[0], 5);
}

TEST(PeerSession, DeliversAtOnceAndAcknowledgesAlongWithTheAnswer) {
    Met met;
    auto got = met.b.receive(met.a.send(numbered(7), met.now), met.now);
    ASSERT_EQ(got.messages.size(), 1u);
    EXPECT_EQ(met.a.unacknowledged(), 1u);
    met.a.receive(met.b.send(numbered(8), met.now), met.now);
    EXPECT_EQ(met.a.unacknowledged(), 0u);
    EXPECT_TRUE(met.b.due(met.now + 100ms).empty()) << "the answer has acknowledged";
}

TEST(PeerSession, AcknowledgesAloneAfterAWhileAndIsQuietThen) {
    Met met;
    EXPECT_FALSE(met.a.deadline());
    met.b.receive(met.a.send(numbered(1), met.now), met.now);
    EXPECT_EQ(met.b.deadline(), met.now + SessionTimes{}.acknowledge);
    auto frames = met.b.due(met.now + 20ms);
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_FALSE(frames[0].message);
    met.a.receive(frames[0], met.now + 20ms);
    EXPECT_FALSE(met.a.deadline());
    EXPECT_FALSE(met.b.deadline());
}

TEST(PeerSession, SendsAgainLessAndLessOftenUntilItIsHeard) {
    Met met;
    met.a.send(numbered(1), met.now);
    Duration wait = SessionTimes{}.first_retry;
    for (int i = 0; i < 6; ++i) {
        ASSERT_EQ(met.a.deadline(), met.now + wait);
        met.now += wait;
        EXPECT_EQ(met.a.due(met.now).size(), 1u);
        wait = std::min(2 * wait, SessionTimes{}.last_retry);
    }
    EXPECT_EQ(wait, SessionTimes{}.last_retry);
}

TEST(PeerSession, TellsThatThePeerStartedAnewAndForgetsWhatWasOnTheWay) {
    Met met;
    auto lost = met.a.send(numbered(2), met.now);
    Session reborn(2);
    EXPECT_TRUE(reborn.receive(lost, met.now).messages.empty()) << "it was for the earlier life";
    auto answer = reborn.due(met.now);
    ASSERT_EQ(answer.size(), 1u) << "it says at once who lives";
    EXPECT_TRUE(met.a.receive(answer[0], met.now).reset);
    EXPECT_EQ(met.a.unacknowledged(), 0u);
    auto got = reborn.receive(met.a.send(numbered(3), met.now), met.now);
    ASSERT_EQ(got.messages.size(), 1u);
    EXPECT_EQ(*got.messages[0], 3);
    EXPECT_FALSE(got.reset);
}

TEST(PeerSession, IgnoresAnEarlierLife) {
    Met met;
    auto late = met.b.send(numbered(1), met.now);
    Session reborn(2);
    EXPECT_TRUE(met.a.receive(reborn.send(numbered(2), met.now), met.now).reset);
    auto got = met.a.receive(late, met.now);
    EXPECT_TRUE(got.messages.empty());
    EXPECT_FALSE(got.reset);
}

TEST(PeerSession, AFrameFarAheadWaitsForItsResend) {
    Met met;
    std::vector<Session::Frame> frames;
    for (uint64_t i = 0; i <= Session::window; ++i)
        frames.push_back(met.a.send(numbered(1), met.now));
    EXPECT_TRUE(met.b.receive(frames.back(), met.now).messages.empty());
    size_t got = 0;
    for (size_t i = 0; i + 1 < frames.size(); ++i)
        got += met.b.receive(frames[i], met.now).messages.size();
    EXPECT_EQ(got, Session::window) << "the last one was too far ahead to be kept";
    EXPECT_EQ(met.b.receive(frames.back(), met.now).messages.size(), 1u);
}

/// Two ends that die and live again, and a network that does everything a network can. Both number
/// what they say from 1 in all lives together, so whoever listens can tell what it missed.
class TwoEnds {
public:
    explicit TwoEnds(uint64_t seed) : random_(seed) {}

    void run() {
        for (int step = 0; step < 2000 && !testing::Test::HasFailure(); ++step) {
            now_ += std::chrono::milliseconds(random_.below(40));
            if (random_.chance(0.4)) say(random_.below(2));
            if (random_.chance(0.004)) restart(random_.below(2));
            tick();
        }
        lossy_ = false;
        for (int i = 0; i < 1000 && !quiet(); ++i) {
            now_ += 500ms;
            tick();
        }
        EXPECT_TRUE(quiet()) << "nothing stays on the way when the network is well";
        for (const End& end : ends_) {
            const End& other = ends_[&end == ends_];
            if (other.said > other.forgotten) {
                EXPECT_EQ(end.heard, other.said);
            }
        }
    }
    int delivered = 0, resets = 0;

private:
    struct End {
        uint64_t life = 1;
        Session session{1};
        int said = 0;
        int forgotten = 0; // what it said up to here may be lost, since one of the two died
        int heard = 0;     // the newest that it heard of the other
        std::pair<uint64_t, uint64_t> between; // the lives, the other's and its own, of that
    };
    struct Flight {
        MonotonicTime arrival;
        size_t to;
        Session::Frame frame;
    };

    void launch(size_t from, const Session::Frame& frame) {
        if (lossy_ && random_.chance(0.2)) return;
        for (int copies = lossy_ && random_.chance(0.1) ? 2 : 1; copies > 0; --copies)
            flights_.push_back({now_ + std::chrono::milliseconds(random_.below(lossy_ ? 300 : 5)),
                                1 - from, frame});
    }
    void say(size_t from) {
        End& end = ends_[from];
        launch(from, end.session.send(numbered(++end.said), now_));
    }
    void restart(size_t which) {
        End& end = ends_[which];
        end.session = Session(++end.life);
        end.forgotten = end.said;
    }
    void tick() {
        std::vector<Flight> landing;
        std::erase_if(flights_, [&](const Flight& flight) {
            if (flight.arrival > now_) return false;
            landing.push_back(flight);
            return true;
        });
        for (const Flight& flight : landing) land(flight);
        for (size_t i = 0; i < 2; ++i)
            for (const auto& frame : ends_[i].session.due(now_)) launch(i, frame);
    }
    void land(const Flight& flight) {
        End& end = ends_[flight.to];
        auto got = end.session.receive(flight.frame, now_);
        if (got.reset) {
            ++resets;
            end.forgotten = end.said;
        }
        for (const auto& message : got.messages) {
            const std::pair between{flight.frame.from_life, end.life};
            if (between == end.between) {
                EXPECT_EQ(*message, end.heard + 1) << "once, in order, and none left out";
            } else {
                EXPECT_LE(*message, ends_[1 - flight.to].forgotten + 1) << "none left out";
            }
            if (between.second == end.between.second) {
                EXPECT_GT(*message, end.heard);
            }
            end.between = between;
            end.heard = *message;
            ++delivered;
        }
    }
    bool quiet() const {
        return flights_.empty() && !ends_[0].session.deadline() && !ends_[1].session.deadline();
    }

    Random random_;
    MonotonicTime now_{};
    End ends_[2];
    std::vector<Flight> flights_;
    bool lossy_ = true;
};

TEST(PeerSession, DeliversOnceAndInOrderOverANetworkThatDoesEverything) {
    uint64_t seed = first_seed();
    int delivered = 0, resets = 0;
    for (uint64_t left = seeds_to_run(100); left > 0 && !HasFailure(); --left, ++seed) {
        SCOPED_TRACE("CLOUDLET_SEED=" + std::to_string(seed));
        TwoEnds ends(seed);
        ends.run();
        delivered += ends.delivered;
        resets += ends.resets;
    }
    EXPECT_GT(delivered, 100);
    if (seeds_to_run(100) >= 100) {
        EXPECT_GT(resets, 50);
    }
}

} // namespace
} // namespace cloudlet::rados
