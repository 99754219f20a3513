#pragma once
// What an operator's command changes in the map. Every command that is carried out makes a step,
// also one that finds everything as it should be: its answer tells of a map that was committed.

#include <cstdint>
#include <string>

#include "cloudlet/rados/message.h"
#include "monitor/map_draft.h"

namespace cloudlet::rados {

struct CommandVerdict {
    enum class Kind : uint8_t { taken, later, refused };
    Kind kind = Kind::taken;
    int32_t result = 0; // of a refusal: -ENOENT, -EBUSY, -EEXIST or -EINVAL
    std::string text = {};
};

/// Writes the command into the draft. `later`: the step has changed the OSD already, ask again with
/// the next one.
CommandVerdict draft_command(MapDraft& draft, const Command& command);

} // namespace cloudlet::rados
