#pragma once
// Do flags mean what they say while they are set? Judged from outside: by the map steps that were
// committed, by what machines send, and by the ways that placement groups take.
//
// A step is judged by the flags that held before it and still hold after it: one that sets or
// clears a flag and does what the flag forbids does both at once. An OSD is judged by the epoch it
// is in: flags of later epochs it cannot know. Belongs to the simulation; one thread.

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cloudlet/rados/machine.h"
#include "cloudlet/rados/message.h"
#include "cloudlet/rados/osd_machine.h"
#include "cloudlet/rados/osd_map.h"

namespace cloudlet::rados::sim {

class FlagJudge {
public:
    FlagJudge(const OsdMap& base, size_t osds)
        : base_(base.epoch), flags_{base.flags}, works_(osds) {}

    /// A step was committed, after all those before it. noout, noin, noup.
    void stepped(const OsdMap& before, const OsdMap& after);
    /// A monitor's step marks the OSD down, and neither a boot nor an operator asked for it.
    /// nodown.
    void convicted(int32_t osd, const OsdMap& before, const OsdMapIncremental& step);
    /// A machine sends something. pause, nobackfill.
    void sent(const Entity& from, const Message& message);
    /// A PG of the OSD, whose map is that of `epoch`, took a way. norecover, nobackfill.
    void moved(int32_t osd, Epoch epoch, const PgMove& move);
    /// The OSD has dealt with an event: what a flag stops has stopped.
    void acted(int32_t osd, Epoch epoch);
    /// In one event, which began in the epoch `known` and ended in `epoch`, the OSD began the
    /// scrubs between `before` and `now` that nobody asked for. noscrub, nodeep-scrub.
    void scrubbed(int32_t osd, Epoch known, Epoch epoch, const ScrubCounts& before,
                  const ScrubCounts& now);
    /// The OSD's process is at its end.
    void ended(int32_t osd) { works_[static_cast<size_t>(osd)] = {}; }

    /// What went against a flag first; empty when nothing did.
    const std::string& wrong() const { return wrong_; }

private:
    /// How many PGs of an OSD are doing it.
    struct Works {
        int recovering = 0, backfilling = 0;
    };

    uint32_t flags_in(Epoch epoch) const;
    void judge_request(const Entity& from, Epoch epoch, const RequestId& request, bool changed);
    void blame(std::string sentence);

    Epoch base_;
    std::vector<uint32_t> flags_; // of each epoch since the base
    std::vector<Works> works_;    // of each OSD
    std::map<RequestId, uint32_t> paused_by_;
    std::string wrong_;
};

} // namespace cloudlet::rados::sim
