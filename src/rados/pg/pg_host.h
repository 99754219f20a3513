#pragma once
// What a placement group needs of the OSD that it lives in.

#include <cstdint>
#include <functional>
#include <vector>

#include "cloudlet/rados/machine.h"
#include "cloudlet/rados/map_epoch.h"
#include "cloudlet/rados/message.h"
#include "cloudlet/rados/object_store.h"
#include "cloudlet/rados/osd_machine.h"

namespace cloudlet::rados {

class PgHost {
public:
    virtual ~PgHost() = default;
    virtual int32_t number() const = 0;
    virtual const MapEpochPtr& map() const = 0; // the newest
    virtual bool is_up() const = 0;             // by that map, in its present life
    virtual World& world() = 0;
    virtual ObjectStore& store() = 0;
    virtual const OsdOptions& options() const = 0;

    virtual void send(int32_t osd, MessageBody body) = 0;
    virtual void send_to_all(const std::vector<int32_t>& osds, MessageBody body) = 0;
    virtual void reply(const Entity& client, message::ClientReply reply) = 0;

    /// Submits; `then` is called when it is on disk, if the PG still lives in the same interval.
    /// Error: as ObjectStore::submit(), and nothing happened.
    virtual Result<void> submit(PgId pg, Transaction transaction, std::function<void()> then) = 0;
    /// PlacementGroup::timer() is called at that time or later.
    virtual void call_at(PgId pg, MonotonicTime when) = 0;

    /// Asks the monitors; again until the map shows it, or the PG's interval ends.
    virtual void want_temp(PgId pg, std::vector<int32_t> acting) = 0;
    virtual void forget_temp(PgId pg) = 0; // what was wanted
    virtual void want_up_thru(Epoch epoch) = 0;
    /// What the PG reports has changed.
    virtual void report(PgId pg) = 0;

    /// A slot to recover or fill others, or to be filled; slot_granted() is called after this event
    /// or later, and slot_lost() when a higher priority took it. `for_osd`: who asked, or ourselves
    virtual void ask_slot(PgId pg, int32_t for_osd, uint8_t priority) = 0;
    virtual void give_back_slot(PgId pg, int32_t for_osd) = 0;

    /// One of the slots for scrubs that nobody asked for; false when they are taken, or the OSD
    /// recovers something. A PG holds one at most.
    virtual bool take_scrub_slot(PgId pg) = 0;
    virtual void give_back_scrub_slot(PgId pg) = 0;
    virtual void scrub_begins(bool deep) = 0; // such a one

    /// When the newest ping was sent that the OSD answered without knowing a newer map than ours.
    virtual MonotonicTime answered_us(int32_t osd) const = 0;
    /// For how long from now our last answer to the OSD lets it read.
    virtual Duration lets_read(int32_t osd) const = 0;
    virtual void confirm(int32_t osd) = 0; // as if a ping of the OSD had been answered now

    /// The copy is to be removed, once the present event is dealt with.
    virtual void remove(PgId pg) = 0;
    /// The disk cannot be relied upon: the OSD stops.
    virtual void stop(const Error& error) = 0;

    /// True when the ratio of the disk that is used is above it.
    virtual bool fuller_than(double ratio) const = 0;
};

} // namespace cloudlet::rados
