#pragma once
// The step to the next map while it is being put together. Several who do not know of each other
// write into it, so an OSD belongs to the first that claims it: whoever comes later waits for the
// step after this one, and judges anew by the map that this one leads to. One thread.

#include <optional>
#include <set>

#include "cloudlet/base/clock.h"
#include "cloudlet/rados/crush_map.h"
#include "cloudlet/rados/map_epoch.h"

namespace cloudlet::rados {

class MapDraft {
public:
    /// `map` must outlive it. The step is stamped: never before the map that it follows, wherever
    /// the wall clock jumped.
    MapDraft(const OsdMap& map, WallTime wall);

    const OsdMap& map() const { return *map_; }
    const OsdMapIncremental& step() const { return step_; }
    bool empty() const { return !changed_; }
    const Timestamp& modified() const { return step_.modified; }

    /// True for the first who asks; then what concerns the OSD is the caller's to change.
    bool claim(int32_t osd) { return claimed_.insert(osd).second; }
    bool is_claimed(int32_t osd) const { return claimed_.contains(osd); }

    /// For writing. Asking for it makes the draft a step.
    OsdMapIncremental& change() {
        changed_ = true;
        return step_;
    }
    /// A step that leaves the map as it is, for what has to be answered by a step.
    void touch() { set_flags(flags()); }

    uint32_t flags() const {
        return step_.new_flags < 0 ? map_->flags : static_cast<uint32_t>(step_.new_flags);
    }
    void set_flags(uint32_t flags) { change().new_flags = static_cast<int32_t>(flags); }
    int32_t max_osd() const { return step_.new_max_osd < 0 ? map_->max_osd() : step_.new_max_osd; }

    const CrushMap& crush() const { return crush_ ? *crush_ : *map_->crush; }
    void set_crush(CrushMap crush) {
        changed_ = true;
        crush_ = std::move(crush);
    }

    MapStep finish();

private:
    const OsdMap* map_;
    OsdMapIncremental step_;
    bool changed_ = false;
    std::set<int32_t> claimed_;
    std::optional<CrushMap> crush_;
};

/// "osd.1 up, osd.3 down, osd.4 out": what a step does, for whoever listens.
std::string describe(const OsdMap& map, const OsdMapIncremental& step);

/// Whether an OSD, or a bucket that holds it, carries a flag of OsdState (osd_noup and its like).
bool has_osd_flag(const OsdMap& map, int32_t osd, uint32_t flag);

} // namespace cloudlet::rados
