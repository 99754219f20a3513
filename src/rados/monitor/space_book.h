#pragma once
// How full the disks are, and what the map says of it: a bit of each OSD's state, and two flags of
// the whole map.

#include "cloudlet/rados/health.h"
#include "monitor/map_draft.h"

namespace cloudlet::rados {

class SpaceBook {
public:
    void heard(int32_t osd, OsdSpace space) { spaces_[osd] = space; }
    const OsdSpaces& spaces() const { return spaces_; }

    /// An OSD has at most one of the bits osd_nearfull, osd_backfillfull and osd_full, as in Ceph;
    /// one that was not heard of keeps its bit. The flags map_nearfull and map_full are set while
    /// any OSD that is up and in is so full, or fuller.
    void draft(MapDraft& draft);

private:
    OsdSpaces spaces_;
};

} // namespace cloudlet::rados
