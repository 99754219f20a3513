// Scrubs that nobody asked for: one PG after the other, the one that is due for longest first.

#include "osd/osd_core.h"

namespace cloudlet::rados {

bool OsdCore::may_scrub() const {
    const bool recovers = local_slots_.held() > 0 || remote_slots_.held() > 0;
    return scrubbed_.size() < options_.most_scrubs && !recovers;
}

bool OsdCore::take_scrub_slot(PgId pg) {
    if (scrubbed_.contains(pg)) return true;
    if (!may_scrub()) return false;
    scrubbed_.insert(pg);
    return true;
}

void OsdCore::scrub_begins(bool deep) { ++(deep ? scrub_counts_.deep : scrub_counts_.shallow); }

/// With some dice: OSDs that look at the same moment would refuse each other again and again.
void OsdCore::look_for_scrubs() {
    if (!booted_ || world_.now() < scrubs_at_) return;
    const Duration tick = options_.scrub_tick;
    scrubs_at_ = world_.now() + tick +
                 Duration(static_cast<Duration::rep>(
                     world_.random().below(static_cast<uint64_t>(tick.count() / 2))));
    if (!may_scrub()) return;
    PlacementGroup* next = nullptr;
    WallTime since = WallTime::max();
    for (const auto& [id, pg] : pgs_) {
        const auto due = pg->scrub_due();
        if (!due || due->since >= since) continue;
        next = pg.get();
        since = due->since;
    }
    if (next) next->reserve_scrub();
}

} // namespace cloudlet::rados
