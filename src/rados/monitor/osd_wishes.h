#pragma once
// OSDs that want to be up, or to have it recorded that they live (up_thru). A wish stands until the
// map fulfils it or makes it void, so one that went into a step that the store refused is not lost.

#include <cstdint>
#include <map>

#include "cloudlet/rados/message.h"
#include "monitor/map_draft.h"

namespace cloudlet::rados {

/// An OSD in new processes (a boot) takes part from the step that marks it up. `epoch` is that of
/// the OSD's map when it asked.
class OsdWishes {
public:
    void boot(int32_t osd, Epoch epoch, const message::Boot& wish);
    void alive(int32_t osd, Epoch epoch, Epoch up_thru);
    /// The OSD lost its memory.
    void forget(int32_t osd);

    /// An OSD that asks though the map has it up is one that restarted before anybody noticed: it
    /// goes down first, and up with the next step, so that all see the interval end. It is up
    /// already when it is so at this address, and since an epoch that it had not seen when it
    /// asked.
    void draft_boots(MapDraft& draft);
    /// After all that may mark an OSD down.
    void draft_up_thru(MapDraft& draft);

private:
    struct Boot {
        Epoch epoch = 0;
        message::Boot wish = {};
    };
    struct Alive {
        Epoch epoch = 0, up_thru = 0;
    };
    std::map<int32_t, Boot> boots_;
    std::map<int32_t, Alive> alive_;
};

/// Why the OSD cannot be marked up now ("noup is set"), or nothing.
std::string_view boot_obstacle(const OsdMap& map, uint32_t flags, int32_t osd);

} // namespace cloudlet::rados
