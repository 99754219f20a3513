#pragma once
// What a leader heard of the PGs, and of which of them too little: those are created. It begins
// empty with every leader. One thread.

#include <map>
#include <optional>
#include <vector>

#include "cloudlet/rados/health.h"
#include "monitor/pg_pasts.h"

namespace cloudlet::rados {

class ReportBook {
public:
    ReportBook(MonotonicTime now, Duration create_retry) : began_(now), retry_(create_retry) {}

    /// Kept when it is not older than what is known: by its interval, then by the epoch of the
    /// sender's map.
    void heard(Epoch epoch, const PgReport& report, MonotonicTime now);
    /// After every new map: forgets PGs that are gone, notes which reports became outdated.
    void look_at(const PgPasts& pasts, MonotonicTime now);

    /// The reports, with PgFlag::stale on those whose PG has no primary, or whose interval has been
    /// over for `stale_after`.
    std::map<PgId, PgReport> reports(const PgPasts& pasts, MonotonicTime now,
                                     Duration stale_after) const;
    /// For how long each PG serves nothing, as far as this leader knows.
    InactiveTimes inactive(const PgPasts& pasts, MonotonicTime now) const;

    /// The PGs whose present primary shall be told now to make them, because it does not report
    /// them; each is due again after the retry interval. One that was never reported is due at
    /// once in a new interval, unless the leader is so new that its silence means nothing.
    std::vector<PgId> due_to_create(const PgPasts& pasts, MonotonicTime now);

private:
    struct Kept {
        PgReport report = {};
        Epoch epoch = 0;
        std::optional<MonotonicTime> outdated_since = {}, inactive_since = {};
    };
    struct Creation {
        Epoch since = 0; // the interval's first epoch
        MonotonicTime next = {};
    };

    MonotonicTime began_;
    Duration retry_;
    std::map<PgId, Kept> kept_;
    std::map<PgId, Creation> creations_;
};

} // namespace cloudlet::rados
