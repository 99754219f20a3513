#pragma once
// A session between two machines over a network that loses, doubles, delays and reorders: what one
// sends, the other gets once and in order, as long as both live. When one starts anew the other is
// told (`reset`), and what was not acknowledged is forgotten: who needs it must ask again. Loss
// alone is never told: it is sent again until it arrives.
//
// A life has a number, its incarnation, that grows with each start. Messages are numbered anew for
// each pair of lives, and a frame names both: one of, or to, an earlier life changes nothing. So
// the first frame to a peer only greets it; messages follow once its life is known. A frame whose
// pair were not named could be taken for one of a later numbering.
//
// Pure; one thread. `Message` is any type; messages are shared and not copied.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cloudlet/base/clock.h"

namespace cloudlet::rados {

/// How a session waits.
struct SessionTimes {
    Duration acknowledge = std::chrono::milliseconds(20); // for a frame to acknowledge along with
    Duration first_retry = std::chrono::milliseconds(200);
    Duration last_retry = std::chrono::seconds(2); // each retry waits twice as long, up to this
};

template <typename Message>
class PeerSession {
public:
    using MessagePtr = std::shared_ptr<const Message>;

    /// What travels. A frame without a message greets or acknowledges.
    struct Frame {
        uint64_t from_life = 0, to_life = 0; // to_life 0: a greeting
        uint64_t sequence = 0;               // of the message, from 1; 0 when there is none
        uint64_t acknowledged = 0;           // all up to this one arrived
        MessagePtr message = {};
    };
    struct Received {
        bool reset = false;                    // the peer started anew, before these messages
        std::vector<MessagePtr> messages = {}; // in order
    };

    /// `life` is above 0 and above that of every earlier start.
    explicit PeerSession(uint64_t life, SessionTimes times = {})
        : times_(times), life_(life), retry_(times.first_retry) {}

    /// The frame to send now.
    Frame send(MessagePtr message, MonotonicTime now) {
        sent_.emplace_back(next_, message);
        if (!retry_at_) retry_at_ = now + retry_;
        const uint64_t sequence = next_++;
        return peer_life_ ? frame(sequence, std::move(message)) : frame(0, nullptr);
    }

    Received receive(const Frame& frame, MonotonicTime now) {
        Received received;
        if (frame.from_life < peer_life_) return received;
        if (frame.from_life > peer_life_) received.reset = meet(frame.from_life, now);
        if (frame.to_life != life_) {
            acknowledge_by(now); // it tells the peer which life this is
            return received;
        }
        if (forget_acknowledged(frame.acknowledged)) {
            retry_ = times_.first_retry;
            retry_at_.reset();
            if (!sent_.empty()) retry_at_ = now + retry_;
        }
        if (frame.sequence == 0) return received;
        acknowledge_by(frame.sequence < expected_ ? now : now + times_.acknowledge);
        if (frame.sequence < expected_ || frame.sequence - expected_ >= window) return received;
        if (ahead_.empty() && frame.sequence == expected_) {
            received.messages.push_back(frame.message);
            ++expected_;
            return received;
        }
        ahead_.emplace(frame.sequence, frame.message);
        while (!ahead_.empty() && ahead_.begin()->first == expected_) {
            received.messages.push_back(std::move(ahead_.begin()->second));
            ahead_.erase(ahead_.begin());
            ++expected_;
        }
        return received;
    }

    /// What is to be sent by now: again what was not acknowledged, or an acknowledgement alone.
    std::vector<Frame> due(MonotonicTime now) {
        std::vector<Frame> frames;
        if (retry_at_ && *retry_at_ <= now) {
            if (peer_life_ == 0) frames.push_back(frame(0, nullptr));
            for (size_t i = 0; peer_life_ && i < std::min(sent_.size(), sent_at_once); ++i)
                frames.push_back(frame(sent_[i].first, sent_[i].second));
            retry_ = std::min(2 * retry_, times_.last_retry);
            retry_at_ = now + retry_;
        }
        if (ack_at_ && *ack_at_ <= now) frames.push_back(frame(0, nullptr));
        return frames;
    }

    /// When due() has something; nothing while all is quiet.
    std::optional<MonotonicTime> deadline() const {
        if (!retry_at_ || !ack_at_) return retry_at_ ? retry_at_ : ack_at_;
        return std::min(*retry_at_, *ack_at_);
    }

    size_t unacknowledged() const { return sent_.size(); }

    static constexpr size_t sent_at_once = 16; // of what is sent again
    static constexpr uint64_t window = 1024;   // frames that are kept ahead of a lost one

private:
    Frame frame(uint64_t sequence, MessagePtr message) {
        ack_at_.reset(); // every frame acknowledges
        return {life_, peer_life_, sequence, expected_ - 1, std::move(message)};
    }

    void acknowledge_by(MonotonicTime when) {
        if (!ack_at_ || *ack_at_ > when) ack_at_ = when;
    }

    /// True when it is another life than the one that was known.
    bool meet(uint64_t life, MonotonicTime now) {
        const bool another = peer_life_ != 0;
        peer_life_ = life;
        retry_ = times_.first_retry;
        if (another) {
            next_ = expected_ = 1;
            sent_.clear();
            ahead_.clear();
        }
        retry_at_.reset();
        if (!sent_.empty()) retry_at_ = now; // what waited for this meeting
        return another;
    }

    bool forget_acknowledged(uint64_t sequence) {
        const size_t before = sent_.size();
        while (!sent_.empty() && sent_.front().first <= sequence) sent_.pop_front();
        return sent_.size() < before;
    }

    SessionTimes times_;
    uint64_t life_, peer_life_ = 0;
    uint64_t next_ = 1;                                // of what we send
    uint64_t expected_ = 1;                            // of what we get
    std::deque<std::pair<uint64_t, MessagePtr>> sent_; // not acknowledged yet
    std::map<uint64_t, MessagePtr> ahead_;             // arrived before its turn
    Duration retry_;
    std::optional<MonotonicTime> retry_at_, ack_at_;
};

} // namespace cloudlet::rados
