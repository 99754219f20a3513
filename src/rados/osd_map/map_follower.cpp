#include "cloudlet/rados/map_follower.h"

#include <algorithm>

namespace cloudlet::rados {

Result<std::vector<MapEpochPtr>> MapFollower::take(const message::Maps& maps) {
    std::vector<MapEpochPtr> taken;
    const bool leads_on = !maps.steps.empty() && maps.steps.front()->epoch <= epoch() + 1;
    if (maps.full && maps.full->epoch > epoch() && !(now_ && leads_on)) {
        now_ = TRY(cache_->first(maps.full));
        steps_.clear();
        taken.push_back(now_);
    }
    for (const MapStep& step : maps.steps) {
        if (!now_ || step->epoch <= now_->epoch()) continue;
        if (step->epoch > now_->epoch() + 1) break;
        now_ = TRY(cache_->next(now_, step));
        steps_.push_back(step);
        if (steps_.size() > kept_steps) steps_.pop_front();
        taken.push_back(now_);
    }
    return taken;
}

std::optional<message::Maps> MapFollower::steps_after(Epoch epoch) const {
    if (steps_.empty() || epoch >= this->epoch() || steps_.front()->epoch > epoch + 1)
        return std::nullopt;
    auto from = steps_.begin() + static_cast<ptrdiff_t>(epoch + 1 - steps_.front()->epoch);
    auto count = std::min<ptrdiff_t>(steps_.end() - from, most_steps);
    return message::Maps{.full = {}, .steps = {from, from + count}};
}

} // namespace cloudlet::rados
