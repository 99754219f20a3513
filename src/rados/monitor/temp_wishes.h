#pragma once
// Acting sets that primaries ask for (pg_temp), and the removal of those that serve nothing.

#include <cstdint>
#include <map>
#include <vector>

#include "monitor/map_draft.h"

namespace cloudlet::rados {

/// A wish stands until the map fulfils it, or its asker does not serve the PG any more.
class TempWishes {
public:
    /// No OSDs: no temporary set any more. `epoch` is that of the asker's map.
    void want(PgId pg, int32_t asker, Epoch epoch, std::vector<int32_t> osds);
    void forget(int32_t asker);

    /// The wishes, and the removal of entries whose PG is gone, of whose OSDs none is up, or that
    /// are what the map says anyway. `now` is the map that the draft follows.
    void draft(const MapEpoch& now, MapDraft& draft);

private:
    struct Wish {
        int32_t asker = no_osd;
        Epoch epoch = 0;
        std::vector<int32_t> osds = {};
    };
    std::map<PgId, Wish> wishes_;
};

} // namespace cloudlet::rados
