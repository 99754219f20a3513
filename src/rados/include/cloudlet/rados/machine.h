#pragma once
// Monitors, OSDs and clients are machines: they are told what happened (a message, a wake-up, what
// the disk has synced) and answer by calls to a World, never blocking and never asking the system
// for time, randomness or a network. A shell gives them a real world, the simulator one of dice.
//
// A machine lives in one thread. A World must not call the machine from within its own functions.

#include <memory>
#include <string>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/random.h"
#include "cloudlet/rados/entity.h"
#include "cloudlet/rados/pg_stage.h"

namespace cloudlet::rados {

struct Message;
using MessagePtr = std::shared_ptr<const Message>;

class World {
public:
    virtual ~World() = default;
    virtual MonotonicTime now() const = 0;
    virtual WallTime wall() const = 0; // may jump; for stamps only
    virtual Random& random() = 0;
    /// Once and in order while both live; a peer that started anew is told by Machine::reset().
    /// Goes over the cluster network between OSDs, else over the public one.
    virtual void send(const Entity& to, MessagePtr message) = 0;
    /// May be lost, late or doubled: for what is only of use now.
    virtual void send_loosely(const Entity& to, MessagePtr message, Wire wire) = 0;
    /// Machine::wake() is called at that time or a little later; an earlier wish stays.
    virtual void wake_at(MonotonicTime when) = 0;
    /// True when somebody listens to tell(); ask before a sentence is put together.
    virtual bool listening() const { return false; }
    virtual void tell(std::string /*sentence*/) {}
    /// A placement group moved; for coverage.
    virtual void moved(const PgMove& /*move*/) {}
};

class Machine {
public:
    virtual ~Machine() = default;
    virtual void receive(const Entity& from, const MessagePtr& message) = 0;
    /// The peer lost its memory: what was sent and not answered will not be.
    virtual void reset(const Entity& peer) = 0;
    /// Nobody listens at the peer's address, though its host answers (ECONNREFUSED): at `asked` or
    /// later the peer's process was gone. May be told again and again, or never.
    virtual void gone(const Entity& /*peer*/, MonotonicTime /*asked*/) {}
    virtual void wake() = 0;
};

} // namespace cloudlet::rados
