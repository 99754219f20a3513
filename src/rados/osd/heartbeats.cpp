#include "osd/heartbeats.h"

#include <algorithm>

namespace cloudlet::rados {

void Heartbeats::set_peers(const std::set<int32_t>& peers, MonotonicTime now) {
    std::erase_if(peers_, [&](const auto& peer) { return !peers.contains(peer.first); });
    std::erase_if(named_, [&](int32_t osd) { return !peers.contains(osd); });
    for (int32_t osd : peers) {
        const bool is_new = peers_.try_emplace(osd, Peer{now}).second;
        if (is_new) ping_at_ = std::min(ping_at_, now);
    }
}

std::vector<int32_t> Heartbeats::due(MonotonicTime now, Random& random) {
    std::vector<int32_t> osds;
    if (peers_.empty() || now < ping_at_) return osds;
    for (const auto& [osd, peer] : peers_) osds.push_back(osd);
    const auto jitter = static_cast<uint64_t>(times_.interval.count() / 12);
    ping_at_ = now + times_.interval + Duration(static_cast<int64_t>(random.below(jitter + 1)));
    return osds;
}

std::vector<Heartbeats::Silent> Heartbeats::silent(MonotonicTime now) {
    std::vector<Silent> found;
    for (const auto& [osd, peer] : peers_) {
        if (now - peer.heard < times_.grace || !named_.insert(osd).second) continue;
        found.push_back({osd, now - peer.heard});
    }
    return found;
}

MonotonicTime Heartbeats::deadline() const {
    MonotonicTime next = peers_.empty() ? MonotonicTime::max() : ping_at_;
    for (const auto& [osd, peer] : peers_)
        if (!named_.contains(osd)) next = std::min(next, peer.heard + times_.grace);
    return next;
}

void Heartbeats::trust(int32_t osd, MonotonicTime stamp, Epoch theirs, Epoch ours) {
    if (theirs > ours) {
        ahead_[osd] = {stamp, theirs};
        return;
    }
    MonotonicTime& newest = trusted_[osd];
    newest = std::max(newest, stamp);
}

void Heartbeats::caught_up(Epoch ours) {
    std::erase_if(ahead_, [&](const auto& entry) {
        const auto& [osd, answer] = entry;
        if (answer.epoch > ours) return false;
        trust(osd, answer.stamp, answer.epoch, ours);
        return true;
    });
}

bool Heartbeats::answered(int32_t osd, MonotonicTime stamp, MonotonicTime now) {
    auto peer = peers_.find(osd);
    if (peer == peers_.end()) return false;
    // An answer that took longer than the grace proves nothing about now.
    if (now - stamp >= times_.grace) return false;
    peer->second.heard = now;
    return named_.erase(osd) > 0;
}

MonotonicTime Heartbeats::answered_at(int32_t osd) const {
    auto found = trusted_.find(osd);
    return found == trusted_.end() ? MonotonicTime{} : found->second;
}

Duration Heartbeats::lets_read(int32_t osd, MonotonicTime now) const {
    auto found = our_answers_.find(osd);
    MonotonicTime last = started_;
    if (found != our_answers_.end()) last = std::max(last, found->second);
    return std::max(Duration{0}, Duration(last + times_.read_lease - now));
}

} // namespace cloudlet::rados
