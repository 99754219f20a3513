#include "osd/slots.h"

#include <algorithm>

namespace cloudlet::rados {

bool Slots::has(const Claims& claims, const Asker& asker) {
    return std::ranges::find(claims, asker, &Claim::asker) != claims.end();
}

Slots::Outcome Slots::ask(const Asker& asker, uint8_t priority) {
    if (holds(asker)) return {.granted = true};
    if (auto known = std::ranges::find(waiting_, asker, &Claim::asker); known != waiting_.end()) {
        if (known->priority == priority) return {};
        waiting_.erase(known);
    }
    if (held_.size() < count_) {
        held_.push_back({asker, priority});
        return {.granted = true};
    }
    // Of equals the newest: it has done the least so far.
    auto least = std::min_element(held_.rbegin(), held_.rend(), [](const Claim& a, const Claim& b) {
        return a.priority < b.priority;
    });
    if (least != held_.rend() && least->priority < priority) {
        const Asker preempted = least->asker;
        held_.erase(std::next(least).base());
        held_.push_back({asker, priority});
        return {.granted = true, .preempted = preempted};
    }
    auto behind = std::ranges::find_if(
        waiting_, [&](const Claim& claim) { return claim.priority < priority; });
    waiting_.insert(behind, {asker, priority});
    return {};
}

std::optional<Slots::Asker> Slots::give_back(const Asker& asker) {
    auto same = [&](const Claim& claim) { return claim.asker == asker; };
    std::erase_if(waiting_, same);
    if (!std::erase_if(held_, same) || waiting_.empty() || held_.size() >= count_)
        return std::nullopt;
    const Claim next = waiting_.front();
    waiting_.erase(waiting_.begin());
    held_.push_back(next);
    return next.asker;
}

} // namespace cloudlet::rados
