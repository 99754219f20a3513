#include "osd/slots.h"

#include <algorithm>

namespace cloudlet::rados {

bool Slots::ask(const Asker& asker) {
    if (held_.contains(asker)) return true;
    if (held_.size() < count_) {
        held_.insert(asker);
        return true;
    }
    if (std::ranges::find(waiting_, asker) == waiting_.end()) waiting_.push_back(asker);
    return false;
}

std::optional<Slots::Asker> Slots::give_back(const Asker& asker) {
    std::erase(waiting_, asker);
    if (!held_.erase(asker) || waiting_.empty() || held_.size() >= count_) return std::nullopt;
    const Asker next = waiting_.front();
    waiting_.pop_front();
    held_.insert(next);
    return next;
}

} // namespace cloudlet::rados
