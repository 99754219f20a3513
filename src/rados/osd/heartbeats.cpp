#include "osd/heartbeats.h"

#include <algorithm>

#include "cloudlet/rados/planted_bug.h"

namespace cloudlet::rados {

void Heartbeats::set_peers(const std::map<int32_t, Peer>& peers, MonotonicTime now) {
    std::erase_if(peers_, [&](const auto& known) {
        auto found = peers.find(known.first);
        return found == peers.end() || found->second != known.second.peer;
    });
    std::erase_if(named_, [&](int32_t osd) { return !peers_.contains(osd); });
    for (const auto& [osd, peer] : peers) {
        const bool is_new = peers_.try_emplace(osd, Watched{peer, now, {now, now}}).second;
        if (is_new) ping_at_ = std::min(ping_at_, now);
    }
}

std::vector<std::pair<int32_t, Wire>> Heartbeats::due(MonotonicTime now, Random& random) {
    std::vector<std::pair<int32_t, Wire>> pings;
    if (peers_.empty() || now < ping_at_) return pings;
    for (const auto& [osd, watched] : peers_) {
        pings.emplace_back(osd, Wire::public_network);
        if (watched.peer.two_networks) pings.emplace_back(osd, Wire::cluster_network);
    }
    const auto jitter = static_cast<uint64_t>(times_.interval.count() / 12);
    ping_at_ = now + times_.interval + Duration(static_cast<int64_t>(random.below(jitter + 1)));
    return pings;
}

std::vector<Heartbeats::Silent> Heartbeats::silent(MonotonicTime now) {
    std::vector<Silent> found;
    for (const auto& [osd, watched] : peers_) {
        const Duration silent = now - watched.last_heard();
        if (silent >= times_.grace && named_.insert(osd).second) found.push_back({osd, silent});
    }
    return found;
}

MonotonicTime Heartbeats::deadline() const {
    MonotonicTime next = peers_.empty() ? MonotonicTime::max() : ping_at_;
    for (const auto& [osd, watched] : peers_)
        if (!named_.contains(osd)) next = std::min(next, watched.last_heard() + times_.grace);
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

bool Heartbeats::answered(int32_t osd, Wire wire, MonotonicTime stamp, MonotonicTime now) {
    auto found = peers_.find(osd);
    if (found == peers_.end()) return false;
    // An answer that took longer than the grace proves nothing about now.
    if (now - stamp >= times_.grace) return false;
    Watched& watched = found->second;
    if (watched.refused && stamp <= *watched.refused) return false; // it was given before the end
    watched.refused.reset();
    watched.heard[static_cast<size_t>(wire)] = now;
    if (!watched.peer.two_networks) watched.heard.fill(now);
    return now - watched.last_heard() < times_.grace && named_.erase(osd) > 0;
}

bool Heartbeats::gone(int32_t osd, MonotonicTime asked) {
    auto found = peers_.find(osd);
    if (found == peers_.end()) return false;
    Watched& watched = found->second;
    // Whoever was reached for before the map showed this life was an earlier one.
    if (asked < watched.met && !planted(PlantedBug::blame_next_life)) return false;
    const bool is_news = !watched.refused;
    watched.refused = asked;
    named_.insert(osd);
    return is_news;
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
